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
startMinimap();
startLags();
drawMinimap();

// A frame of a notebook gets its size late; until somebody moves the graph, it goes on fitting.
const sizeOf = () => `${view.width} ${view.height}`;
let fitted = sizeOf();
new ResizeObserver(() => {
  measureView();
  if (sizeOf() === fitted) return;
  fitted = sizeOf();
  if (view.moved) place(); else fit(0.55);
  drawMinimap();
}).observe(byId("view"));
