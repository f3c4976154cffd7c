// Put the page together.

byId("title").textContent = oneLine(data.title);
byId("subtitle").textContent = oneLine(data.subtitle);
if (data.notes.length) {
  byId("notes").hidden = false;
  byId("notes").querySelector("ul").append(...data.notes.map((note) => html("li", {}, oneLine(note))));
}
setTheme("auto");
startControls();
measureView();
rebuild({ keep: false });
listenToPointer();
listenToGraph();
startSearch();
startFindings();
startOverview();
startLags();
drawOverview();

let size = "";
new ResizeObserver(() => {
  const before = size;
  measureView();
  size = `${view.width} ${view.height}`;
  if (before && before !== size) { place(); drawOverview(); }
}).observe(byId("view"));
