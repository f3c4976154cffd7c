// @ts-check
// The graph from far away, where a step is too narrow for text: painted on tiles that are moved as images, because hundreds
// of columns as elements could not follow the pointer. Only time is compressed, rows and bars keep their height.
import { NEAR, isFar, pitchOf, tall, view } from "./camera.js";
import { HEADER, bottom, columnAfter, columnName, columns, scene, ui, width } from "./columns.js";
import { leftOver } from "./left.js";
import { current } from "./selected.js";
import { farShapes } from "./shapes.js";
import { byId, data } from "../data.js";
import { themed } from "../theme.js";

const TILE = 128, BUDGET = 4, SETTLED = 70; // pixels; milliseconds a frame for new tiles, and without a change of scale before any
const PIXELS = 4; // a step this narrow is one column of pixels

const tiles = new Map(); // number of the tile -> canvas, for one scale
let tilesFor = "", promised = false, scaledAt = -Infinity;
/** @type {any} */
let kept = null;
/** @type {Float64Array | null} */
let scores = null;

export function forgetFar() {
  tiles.clear();
  kept = null;
  scores = null;
  for (const column of columns) column.far = null;
}

// Move the tiles that there are, and paint those that are missing as far as there is time in this frame.
export function drawFar() {
  const canvas = byId("far"), ratio = window.devicePixelRatio || 1;
  canvas.hidden = !isFar();
  if (canvas.hidden) return;
  const [wide, high] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d"), { scale, x } = view, upright = tall(), key = `${scale} ${upright} ${ratio}`;
  if (key !== tilesFor) keepImage(key, canvas);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, wide, high);
  const first = Math.floor(-x / TILE), stop = Math.ceil((view.width - x) / TILE), begun = performance.now();
  const resting = !kept || begun - scaledAt > SETTLED;
  let missing = false;
  for (let number = first; number < stop; number += 1) {
    if (resting && !tiles.has(number) && performance.now() - begun < BUDGET) tiles.set(number, paintTile(number, ratio, upright));
    const tile = tiles.get(number);
    if (tile) context.drawImage(tile, Math.round((number * TILE + x) * ratio), Math.round((view.y - ABOVE * upright) * ratio));
    else { missing = true; drawKept(context, number, ratio, upright); }
  }
  if (missing && !promised) { promised = true; requestAnimationFrame(() => { promised = false; drawFar(); }); }
  const found = current();
  if (!found) return;
  const { column, vertex } = found;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.strokeStyle = themed("k9");
  context.lineWidth = 3;
  context.strokeRect((column.x + vertex.x) * scale + x, vertex.y * upright + view.y, vertex.width * scale, vertex.height * upright);
}

const ABOVE = 24; // above the top row, in the drawing

// What is seen now, stretched, stands in for the tiles of another scale until they are painted.
function keepImage(key, canvas) {
  if (tiles.size) {
    const image = document.createElement("canvas");
    Object.assign(image, { width: canvas.width, height: canvas.height });
    image.getContext("2d")?.drawImage(canvas, 0, 0);
    const [scale, upright] = tilesFor.split(" ").map(Number);
    kept = { image, x: shownAt.x, y: shownAt.y, scale, upright };
  }
  tiles.clear();
  scaledAt = performance.now();
  tilesFor = key;
}

const shownAt = { x: 0, y: 0 };
export const rememberFar = () => Object.assign(shownAt, { x: view.x, y: view.y });

function drawKept(context, number, ratio, upright) {
  if (!kept) return;
  const wide = view.scale / kept.scale, high = upright / kept.upright;
  context.save();
  context.beginPath();
  context.rect(Math.round((number * TILE + view.x) * ratio), 0, Math.ceil(TILE * ratio), view.height * ratio);
  context.clip();
  context.drawImage(kept.image, (view.x - kept.x * wide) * ratio, (view.y - kept.y * high) * ratio, kept.image.width * wide, kept.image.height * high);
  context.restore();
}

function paintTile(number, ratio, upright) {
  const tile = document.createElement("canvas"), high = (bottom() + ABOVE + 30) * upright;
  Object.assign(tile, { width: Math.ceil(TILE * ratio), height: Math.max(1, Math.ceil(high * ratio)) });
  const context = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d")), pitch = pitchOf() * view.scale, from = number * TILE;
  context.setTransform(ratio, 0, 0, ratio, -from * ratio, ABOVE * upright * ratio);
  const [start, stop] = [columnAfter((from - 60) / view.scale), Math.min(columns.length, columnAfter((from + TILE + 60) / view.scale) + 1)];
  if (pitch < PIXELS) paintPixels(context, from, ratio, upright);
  else for (let index = start; index < stop; index += 1) paintColumn(context, columns[index], upright, pitch);
  const every = Math.max(1, Math.ceil(60 / pitch));
  for (let index = start; index < stop; index += 1) farName(context, columns[index], every, upright);
  return tile;
}

function paintColumn(context, column, sy, pitch) {
  const sx = view.scale, shapes = farShapes(column), at = (points) => points.map((value, index) => (index % 2 ? value * sy : value * sx));
  if (pitch >= NEAR) for (const points of shapes.thin) curve(context, at(points), themed("line"), 0.7, []);
  for (const { points, colour, wide, dash } of shapes.curves) curve(context, at(points), colour, wide, dash);
  for (const { x, y, width: w, height: h, fill, line, thick } of shapes.boxes) {
    context.fillStyle = fill;
    context.fillRect(x * sx, y * sy, Math.max(1, w * sx), h * sy);
    if (!line) continue;
    context.strokeStyle = line;
    context.lineWidth = thick;
    context.strokeRect(x * sx, y * sy, Math.max(1, w * sx), h * sy);
  }
}

// One column of pixels for each of the screen: the step of those behind it of which least is left.
function paintPixels(context, from, ratio, sy) {
  const sx = view.scale, each = 1 / ratio;
  for (let pixel = 0; pixel < TILE * ratio; pixel += 1) {
    const left = from + pixel * each;
    if (left / sx > width || (left + each) / sx < 0) continue;
    const column = columns[leastOf(columnAfter(left / sx), columnAfter((left + each) / sx))];
    for (const { y, height: h, fill } of farShapes(column).boxes) {
      context.fillStyle = fill;
      context.fillRect(left, y * sy, each, h * sy);
    }
  }
}

function leastOf(first, stop) {
  scores ??= Float64Array.from(columns, (column) => {
    const shares = data.states.map((_, state) => (ui.color === "loss" ? leftOver(state, column)?.[0] : undefined)).filter((share) => share !== undefined);
    return shares.length ? Math.min(...shares) : Infinity;
  });
  let least = first;
  for (let index = first + 1; index < stop; index += 1) if (scores[index] < scores[least]) least = index;
  return least;
}

function curve(context, points, colour, wide, dash) {
  context.strokeStyle = colour;
  context.lineWidth = wide;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(points[0], points[1]);
  for (let at = 2; at < points.length; at += 6) context.bezierCurveTo(...points.slice(at, at + 6));
  context.stroke();
  context.setLineDash([]);
}

function farName(context, column, every, upright) {
  if (column.kind === "initial" || (column.kind === "step" && column.first % every)) return;
  context.fillStyle = themed("ink");
  context.font = "600 11px system-ui, 'DejaVu Sans', sans-serif";
  context.textAlign = "center";
  context.fillText(columnName(column), (column.x + column.plan.width / 2) * view.scale, (scene.height + HEADER) * upright + 4);
}
