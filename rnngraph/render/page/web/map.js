// @ts-check
// Every loss at once: a row a loss, a column the step that feels it. A pixel shows the smallest of the steps that it covers.
import { byId, data } from "./data.js";
import { chosen, look } from "./loss.js";
import { MARK, toneOf } from "./scale.js";
import { niceStep } from "./strips.js";
import { themed } from "./theme.js";
import { axis, lastAbove, lossCount, partOf, positions, rows, seenFrom } from "./walks.js";

const PAD = 34, FOOT = 22;
/** @type {HTMLCanvasElement | null} */
let painted = null;
let paintedFor = "", mapWidth = 0, mapHeight = 0;

const roomOf = () => ({ left: PAD, wide: mapWidth - PAD - 4, tall: mapHeight - FOOT });
const yOf = (/** @type {number} */ number) => roomOf().tall * (1 - (number + 1) / lossCount);

/** What is left at every position, of the row where most is. @param {number} number */
function lineOf(number) {
  const seen = seenFrom(number), line = new Float64Array(positions).fill(NaN);
  seen.walks.forEach((walk, row) => {
    if (!walk) return;
    const { offset } = partOf(rows[row].clock);
    walk.steps.forEach((step, index) => { const value = walk.decades[index]; if (!(line[offset + step] >= value)) line[offset + step] = value; });
  });
  return line;
}

/** @param {number} ratio */
function paint(ratio) {
  const canvas = document.createElement("canvas"), { left, wide, tall } = roomOf();
  canvas.width = mapWidth * ratio;
  canvas.height = mapHeight * ratio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(ratio, ratio);
  const pixels = Math.min(positions, Math.round(wide * ratio)), each = wide / pixels, high = tall / lossCount;
  for (let number = 0; number < lossCount; number += 1) {
    const line = lineOf(number), y = yOf(number);
    let from = 0, before = "";
    for (let pixel = 0; pixel <= pixels; pixel += 1) {
      let value = NaN;
      if (pixel < pixels) for (let p = Math.floor((pixel * positions) / pixels); p < Math.max(Math.floor((pixel * positions) / pixels) + 1, Math.floor(((pixel + 1) * positions) / pixels)); p += 1) if (!(line[p] >= value) && !Number.isNaN(line[p])) value = line[p];
      const tone = pixel < pixels ? toneOf(value) : "end";
      if (tone === before) continue;
      if (before) { context.fillStyle = themed(before); context.fillRect(left + from * each, y, (pixel - from) * each + 0.2, high + 0.2); }
      [from, before] = [pixel, tone];
    }
  }
  context.strokeStyle = themed("ink");
  context.lineWidth = 1.5;
  context.stroke(coastOf(left, wide / positions, high));
  names(context, left, wide, tall);
  painted = canvas;
}

/** The coast: where 1 % ends in the row that reaches furthest, from loss to loss. @param {number} left @param {number} each @param {number} high */
function coastOf(left, each, high) {
  const coast = new Path2D();
  for (const reverse of [false, true]) {
    let drawing = false;
    for (let number = 0; number < lossCount; number += 1) {
      const ends = seenFrom(number).walks.map((walk, row) => {
        const index = walk && rows[row].reverse === reverse ? lastAbove(walk, MARK) : -1;
        if (!walk || index < 0 || index >= walk.steps.length) return NaN;
        return partOf(rows[row].clock).offset + walk.steps[index] + (reverse ? 1 : 0);
      }).filter((end) => !Number.isNaN(end));
      if (!ends.length) { drawing = false; continue; }
      const x = left + (reverse ? Math.max(...ends) : Math.min(...ends)) * each, y = yOf(number);
      if (drawing) coast.lineTo(x, y + high); else coast.moveTo(x, y + high);
      coast.lineTo(x, y);
      drawing = true;
    }
  }
  return coast;
}

/** Which losses of one recurrence are named, and where: each where there is room, else round ones, which may stand between two that
 * were measured, and the last. @param {number} clock @param {number} tall the height of the map @returns {[number, number][]} */
export function lossTicks(clock, tall) {
  const high = tall / lossCount;
  const own = Array.from({ length: lossCount }, (_, number) => number).filter((number) => seenFrom(number).clock === clock);
  const all = own.map((number) => /** @type {[number, number]} */ ([seenFrom(number).t, tall - (number + 0.5) * high])), last = all[all.length - 1];
  if (high >= 15 || all.length < 2) return all;
  const every = niceStep((26 * (last[0] - all[0][0])) / (all[0][1] - last[1])), found = [last];
  for (let t = Math.ceil(all[0][0] / every) * every; t < last[0]; t += every) {
    const after = all.findIndex((one) => one[0] >= t), [a, b] = [all[Math.max(0, after - 1)], all[after]];
    const y = a[0] === b[0] ? b[1] : a[1] + ((b[1] - a[1]) * (t - a[0])) / (b[0] - a[0]);
    if (y - last[1] >= 15) found.push([t, y]);
  }
  return found;
}

/** @param {CanvasRenderingContext2D} context @param {number} left @param {number} wide @param {number} tall */
function names(context, left, wide, tall) {
  context.fillStyle = themed("muted");
  context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  context.textAlign = "right";
  for (const part of axis) for (const [t, y] of lossTicks(part.clock, tall)) context.fillText(String(t), left - 5, Math.max(9, y + 4));
  for (const part of axis) {
    const each = wide / positions, every = niceStep(48 / each);
    for (let t = 0; t < part.timesteps; t += every) {
      context.textAlign = t ? "center" : "left";
      if (!t || (part.timesteps - t) * each > 14) context.fillText(String(t), left + (part.offset + t + (t ? 0.5 : 0)) * each, tall + 14);
    }
  }
}

/** @param {number} width */
export function paintMap(width) {
  const canvas = byId("map"), ratio = window.devicePixelRatio || 1;
  mapWidth = width;
  mapHeight = Math.round(Math.min(width - 8, Math.max(44, lossCount * 30))) + FOOT;
  const key = `${width} ${ratio} ${document.documentElement.dataset.theme}`;
  if (paintedFor !== key) { paint(ratio); paintedFor = key; }
  if (canvas.width !== mapWidth * ratio || canvas.height !== mapHeight * ratio) Object.assign(canvas, { width: mapWidth * ratio, height: mapHeight * ratio });
  canvas.style.width = `${mapWidth}px`;
  canvas.style.height = `${mapHeight}px`;
}

/** Show which loss is looked from. */
export function markMap() {
  if (!painted) return;
  const canvas = byId("map"), ratio = window.devicePixelRatio || 1, seen = chosen();
  const context = canvas.getContext("2d"), { left, wide, tall } = roomOf(), high = tall / lossCount, y = yOf(seen.number);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(painted, 0, 0);
  context.scale(ratio, ratio);
  context.strokeStyle = themed("ink");
  context.lineWidth = 2;
  context.strokeRect(left, Math.max(1, y - 1), wide, Math.max(3, high + 1));
  canvas.setAttribute("aria-valuemax", String(lossCount - 1));
  canvas.setAttribute("aria-valuenow", String(seen.number));
  canvas.setAttribute("aria-valuetext", `loss at t=${seen.t}`);
}

export function startMap() {
  const canvas = byId("map");
  const pick = (/** @type {PointerEvent} */ event) => {
    const box = canvas.getBoundingClientRect(), { tall } = roomOf();
    look(Math.floor((1 - (event.clientY - box.top) / tall) * lossCount));
  };
  canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => { canvas.setPointerCapture(event.pointerId); pick(event); });
  canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => { if (event.buttons) pick(event); });
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -lossCount, End: lossCount }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    look(chosen().number + step);
  });
  byId("map-note").textContent = `Row: a loss. Column: the step that feels it. Click or drag to see the picture from that loss. ${
    data.losses.measured < data.losses.available ? `${data.losses.measured} of ${data.losses.available} losses were measured.` : ""}${lossCount < data.losses.measured ? ` ${lossCount} of them are in this page.` : ""}`.trim();
}
