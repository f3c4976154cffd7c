// @ts-check
// Zoom and pan. Only the columns in view are in the page, so that a thousand steps cost what twenty cost.
import { drawNames, namesFor } from "./bands.js";
import { READABLE, total, view } from "./camera.js";
import { drawColumn } from "./column.js";
import { GUTTER, bottom, columnAfter, columnAt, columns, width } from "./columns.js";
import { go } from "./go.js";
import { byId, data } from "../data.js";
import { chosen } from "../loss.js";

export function redraw() {
  clearColumns();
  drawNames();
  place();
}

function clearColumns() {
  view.drawn.clear();
  byId("columns").replaceChildren();
}

// Move the drawing to view.x, view.y and add or remove columns at its sides.
export function place() {
  const { scale } = view;
  byId("world").setAttribute("transform", `translate(${view.x.toFixed(2)} ${view.y.toFixed(2)}) scale(${scale.toFixed(4)})`);
  if (Math.abs(scale - namesFor) > 0.02) drawNames();
  const sticky = Math.max(0, view.x - GUTTER * scale);
  byId("names").setAttribute("transform", `translate(${sticky.toFixed(2)} ${view.y.toFixed(2)}) scale(${scale.toFixed(4)})`);
  const first = Math.max(0, columnAfter(-view.x / scale) - 1), stop = Math.min(columns.length, columnAfter((view.width - view.x) / scale) + 2);
  for (const [index, element] of view.drawn) {
    if ((index < first || index >= stop) && !element.contains(document.activeElement)) {
      element.remove();
      view.drawn.delete(index);
    }
  }
  for (let index = first; index < stop; index += 1) if (!view.drawn.has(index)) drawOne(index);
  for (const placed of go.placed) placed();
}

function drawOne(index) {
  const element = drawColumn(columns[index]);
  view.drawn.set(index, element);
  byId("columns").append(element);
}

function zoomAt(factor, x = view.width / 2, y = view.height / 2) {
  const before = view.scale;
  view.scale = Math.min(4, Math.max(READABLE, view.scale * factor));
  view.x = x - (x - view.x) * (view.scale / before);
  view.y = y - (y - view.y) * (view.scale / before);
  bound();
  soon();
}

// Views before a zoom, to go back to.
const before = [];

export function keepView() {
  const { x, y, scale } = view, latest = before.at(-1);
  if (!latest || latest.scale !== scale) before.push({ x, y, scale });
  if (before.length > 50) before.shift();
  byId("undo").disabled = false;
}

export function undoZoom() {
  const found = before.pop();
  byId("undo").disabled = !before.length;
  if (!found) return;
  Object.assign(view, found);
  bound();
  place();
}

export function zoomBy(factor) {
  keepView();
  zoomAt(factor);
}

export function panBy(dx, dy) {
  view.x += dx;
  view.y += dy;
  bound();
  soon();
}

// Keep some of the drawing in view.
export function bound() {
  view.moved = true;
  const margin = 80, { scale } = view, names = GUTTER * scale;
  const most = width * scale + names > view.width ? names + view.width / 4 : view.width - margin;
  view.x = Math.min(most, Math.max(margin + names - width * scale, view.x));
  view.y = Math.min(view.height - margin, Math.max(margin - bottom() * scale, view.y));
}

let waiting = false;
export function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; place(); });
}

const fitting = (whole) => Math.min(view.height / whole.height, view.width / whole.width, 1.4);

// Fit all of it, where it can be read then.
export function fit() {
  measureView();
  const scale = fitting(total());
  if (scale < READABLE) begin(); else stand(scale);
}

// Begin where the text can be read: all of it where there is room, otherwise around the loss that is looked from.
export function begin() {
  measureView();
  const whole = total(), least = Math.min(1, Math.max(0.55, view.height / whole.height));
  stand(Math.max(least, fitting(whole)));
  if (whole.width * view.scale <= view.width) return;
  const column = columnAt(data.losses ? chosen().t : 0), middle = (view.width + GUTTER * view.scale) / 2 - (column.x + column.plan.width / 2) * view.scale;
  view.x = Math.min(GUTTER * view.scale, Math.max(middle, view.width - 30 - width * view.scale));
  place();
}

function stand(scale) {
  view.scale = scale;
  view.moved = false;
  view.x = Math.max(0, (view.width - total().width * scale) / 2) + GUTTER * scale;
  view.y = Math.max(12, (view.height - total().height * scale) / 2) + 8 * scale;
  place();
}

export function measureView() {
  const box = byId("view").getBoundingClientRect();
  [view.width, view.height] = [box.width, box.height];
}

// Bring a part of the drawing into view.
export function reveal(x, y, wide, high) {
  const { scale } = view, margin = 30, names = GUTTER * scale + margin;
  const left = x * scale + view.x, right = (x + wide) * scale + view.x;
  if (left < names || right > view.width - margin) view.x = Math.max(names, (view.width - wide * scale) / 2) - x * scale;
  const top = y * scale + view.y, low = (y + high) * scale + view.y;
  if (top < margin || low > view.height - margin) view.y = Math.max(margin, (view.height - high * scale) / 2) - y * scale;
  place();
}

export function listenToPointer() {
  const area = byId("view"), pointers = new Map();
  let apart = 0, moved = 0, wheeled = 0;
  area.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = area.getBoundingClientRect(), unit = event.deltaMode === 1 ? 16 : 1;
    if (performance.now() - wheeled > 400 && !event.shiftKey && !event.deltaX) keepView(); // a turn of the wheel is one zoom
    wheeled = performance.now();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) panBy(-(event.deltaX || event.deltaY) * unit, 0);
    else zoomAt(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * unit)) * 0.0022), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  area.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
  });
  area.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved > 4 && !area.hasPointerCapture(event.pointerId)) area.setPointerCapture(event.pointerId);
    area.classList.toggle("dragging", moved > 4);
    if (pointers.size === 1) return panBy(dx, dy);
    const [one, two] = [...pointers.values()], distance = Math.hypot(one[0] - two[0], one[1] - two[1]), box = area.getBoundingClientRect();
    if (!apart) keepView();
    if (apart) zoomAt(distance / apart, (one[0] + two[0]) / 2 - box.left, (one[1] + two[1]) / 2 - box.top);
    apart = distance;
  });
  const release = (event) => {
    pointers.delete(event.pointerId);
    apart = 0;
    area.classList.remove("dragging");
  };
  area.addEventListener("pointerup", release);
  area.addEventListener("pointercancel", release);
  area.addEventListener("click", (event) => { if (moved > 4) event.stopPropagation(); }, true);
}
