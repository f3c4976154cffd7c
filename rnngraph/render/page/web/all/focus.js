// @ts-check
// Selecting, pointing and the keyboard. One box at a time is in the tab order, and the arrow keys go on from it.
import { bandSeries } from "./bands.js";
import { view } from "./camera.js";
import { edges, markText, spokenOf, walkOf } from "./column.js";
import { columnName, columns, scene, ui } from "./columns.js";
import { unfold } from "./controls.js";
import { go } from "./go.js";
import { leftText } from "./left.js";
import { showArrow, showBand, showNothing, showVertex } from "./panel.js";
import { current, vertexOf } from "./selected.js";
import { measureOf } from "./series.js";
import { OK, textOf } from "./text.js";
import { fit, keepView, panBy, place, reveal, undoZoom, zoomBy } from "./view.js";
import { byId, data } from "../data.js";

export function select(column, key, { focus = false, open = true } = {}) {
  ui.selected = { step: column.first, key, end: column.kind === "initial" ? column.type : "" };
  const vertex = vertexOf(column, key);
  reveal(column.x + vertex.x, vertex.y, vertex.width, vertex.height);
  markSelected();
  if (focus && view.drawn.has(column.index)) column.boxes.get(key).focus({ preventScroll: true });
  if (open) showVertex(column, vertex);
}

function deselect() {
  ui.selected = null;
  place();
  showNothing();
}

function markSelected() {
  const found = current();
  for (const element of document.querySelectorAll("#columns .selected")) element.classList.remove("selected");
  for (const element of document.querySelectorAll('#columns [tabindex="0"]')) element.setAttribute("tabindex", "-1");
  const box = found && view.drawn.has(found.column.index) ? found.column.boxes.get(found.vertex.key) : firstBox();
  box?.setAttribute("tabindex", 0);
  if (found) box?.classList.toggle("selected", box === found.column.boxes?.get(found.vertex.key));
}

function firstBox() {
  const index = Math.min(...view.drawn.keys());
  return Number.isFinite(index) ? [...columns[index].boxes.values()].at(-1) : null;
}

function boxOf(target) {
  const element = target.closest?.("[data-key]");
  if (!element) return null;
  const column = columns[element.closest("[data-column]").dataset.column];
  return { column, key: element.dataset.key, vertex: vertexOf(column, element.dataset.key), element };
}

function arrowOf(target) {
  const element = target.closest?.("[data-edge]");
  if (!element) return null;
  const [index, number] = element.dataset.edge.split(" ").map(Number), column = columns[index];
  const arrow = edges(column)[number], before = number < column.arrows.length ? columns[index - 1] : column;
  return { element, walk: walkOf(arrow, column, before), column, before };
}

// From a box to the next one: along time to the same part of the neighbour, up and down inside the column.
function stepBox(direction) {
  const found = boxOf(document.activeElement);
  if (!found) return;
  if (direction === "left" || direction === "right") {
    const next = columns[found.column.index + (direction === "left" ? -1 : 1)];
    if (!next?.plan.vertices.length) return;
    const same = vertexOf(next, found.key) ?? nearestBox(next, found.vertex.y);
    return select(next, same.key, { focus: true, open: Boolean(ui.opened) });
  }
  const sign = direction === "up" ? -1 : 1;
  const others = found.column.plan.vertices.filter((one) => one !== found.vertex && (one.y - found.vertex.y) * sign > 0.5);
  const distance = (one) => Math.abs(one.y - found.vertex.y) * 4 + Math.abs(one.x - found.vertex.x);
  const [next] = others.sort((one, two) => distance(one) - distance(two));
  if (next) select(found.column, next.key, { focus: true, open: Boolean(ui.opened) });
}

const nearestBox = (column, y) => [...column.plan.vertices].sort((one, two) => Math.abs(one.y - y) - Math.abs(two.y - y))[0];

function edgeColumn(atEnd) {
  const found = boxOf(document.activeElement), column = atEnd ? columns.at(-1) : columns[0];
  select(column, (vertexOf(column, found?.key) ?? nearestBox(column, found?.vertex.y ?? 0)).key, { focus: true, open: Boolean(ui.opened) });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (!byId("all").open) return;
  if (event.key === "/") { event.preventDefault(); byId("search").focus(); return; }
  if (event.key === "Escape") return escape(event);
  if (!byId("view").contains(event.target)) return;
  const inside = event.target !== byId("view");
  const moves = { ArrowLeft: [90, 0, "left"], ArrowRight: [-90, 0, "right"], ArrowUp: [0, 70, "up"], ArrowDown: [0, -70, "down"] };
  if (event.key in moves) {
    const [dx, dy, way] = moves[event.key];
    if (inside && !event.shiftKey) stepBox(way); else panBy(dx, dy);
  } else if (event.key === "+" || event.key === "=") zoomBy(1.25);
  else if (event.key === "-" || event.key === "_") zoomBy(0.8);
  else if (event.key === "0") { keepView(); fit(); }
  else if (event.key === "u") undoZoom();
  else if (event.key === "Home" || event.key === "End") edgeColumn(event.key === "End");
  else if (event.key === "Enter" || event.key === " ") enter(event.target);
  else return;
  event.preventDefault();
}

function enter(target) {
  const found = boxOf(target);
  if (found) return select(found.column, found.key, { focus: true });
  const kept = current() ?? (() => {
    const column = columns.find((one) => one.kind !== "initial");
    return { column, vertex: column.plan.vertices.find((one) => one.kind === "state") ?? column.plan.vertices[0] };
  })();
  select(kept.column, kept.vertex.key, { focus: true, open: false });
}

function escape(event) {
  if (byId("view").contains(event.target) && event.target !== byId("view")) byId("view").focus();
  else if (ui.opened) { deselect(); byId("view").focus(); }
}

export function listenToGraph() {
  const graph = byId("graph"), hint = byId("hint");
  graph.addEventListener("click", (event) => {
    const found = boxOf(event.target), arrow = arrowOf(event.target), band = event.target.closest("[data-band]");
    if (found) select(found.column, found.key, { focus: true });
    else if (arrow) showArrow(arrow);
    else if (band) showBand(band.dataset.band, columns[band.closest("[data-column]").dataset.column]);
    else deselect();
  });
  graph.addEventListener("dblclick", (event) => {
    const found = boxOf(event.target);
    if (found?.column.kind === "fold") unfold(found.column);
  });
  graph.addEventListener("pointermove", (event) => {
    const text = hintOf(event.target);
    hint.hidden = !text || byId("view").classList.contains("dragging");
    if (hint.hidden) return;
    hint.textContent = text;
    const box = byId("view").getBoundingClientRect();
    hint.style.left = `${Math.min(event.clientX - box.left + 14, box.width - hint.offsetWidth - 6)}px`;
    hint.style.top = `${Math.min(event.clientY - box.top + 16, box.height - hint.offsetHeight - 6)}px`;
  });
  graph.addEventListener("pointerleave", () => { hint.hidden = true; });
  document.addEventListener("keydown", onKey);
  go.select = select;
  go.close = () => { deselect(); byId("view").focus(); };
  go.placed.push(markSelected);
}

function hintOf(target) {
  const found = boxOf(target), arrow = arrowOf(target), band = target.closest?.("[data-band]");
  if (found) return spokenOf(found.column, found.vertex, markText(found.column, found.vertex)).join("\n");
  if (arrow) {
    const { walk } = arrow;
    return walk.cut ? `${walk.state.name}\nthe recurrence is cut here` : `${walk.state.name}, back to ${columnName(walk.to)}${leftText(data.states.indexOf(walk.state), walk.to) && `\nleft of the loss looked from: ${leftText(data.states.indexOf(walk.state), walk.to)}`}\nall losses together: carried ${textOf(walk.carried, 4)}`
      + (walk.gain?.status === OK ? `\ngain ×${textOf(walk.gain, 3)}` : "");
  }
  if (!band) return "";
  const plan = scene.bands.find((one) => one.name === band.dataset.band), column = columns[band.closest("[data-column]").dataset.column];
  return `${plan.name}\n${columnName(column)}: ${textOf(measureOf(bandSeries(plan), column.runs), 4)}`;
}
