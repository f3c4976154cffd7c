// @ts-check
// What one column consists of when it is seen from far away, with colours; and what of it is under the pointer.
import { bandMeasure, extentOf } from "./bands.js";
import { isFar, tall, view } from "./camera.js";
import { edges, isBeyond, isFirstNonfinite, lookOf, markText, paintOf, walkOf } from "./column.js";
import { columnAfter, columns, isPadding, shownBands, ui } from "./columns.js";
import { halved } from "./draw.js";
import { NONFINITE, OK, UNOBSERVED, ZERO, colourOf } from "./text.js";
import { byId, data } from "../data.js";
import { themed } from "../theme.js";

// A colour as a canvas takes it.
const plainColour = (colour) => colour.replace(/^var\(--([\w-]+)\)$/, (_, name) => themed(name));

// Kept with the column until something about it changes.
export function farShapes(column) {
  if (column.far) return column.far;
  const moved = (points) => points.map((value, index) => (index % 2 ? value : value + column.x));
  const curves = [], thin = [], before = columns[column.index - 1];
  for (const edge of edges(column)) {
    if (isBeyond(edge, column, column.arrows.includes(edge) ? before : column)) continue;
    if (edge.kind !== "b") { thin.push(moved(edge.points)); continue; }
    if (!ui.backward) continue;
    const look = lookOf(walkOf(edge, column, column.arrows.includes(edge) ? before : column));
    if (look.none) continue;
    curves.push({ points: moved(look.cut ? halved(edge.points) : edge.points), colour: plainColour(look.colour ?? `var(--${look.name})`), wide: 0.8 + look.wide * 0.5, dash: look.dash });
  }
  const boxes = column.plan.vertices.map((vertex) => {
    const mark = isFirstNonfinite(column, vertex) ? "red" : markText(column, vertex) ? "orange" : "";
    const [fill, stroke] = data.looks[isPadding(column, vertex) ? "padding" : vertex.kind], line = themed(mark || stroke);
    return { x: column.x + vertex.x, y: vertex.y, width: vertex.width, height: vertex.height, fill: plainColour(paintOf(column, vertex)?.fill ?? `var(--${fill})`), line, thick: mark ? 2 : 1 };
  });
  if (column.kind !== "initial") for (const band of shownBands()) boxes.push(...farBand(column, band));
  column.far = { curves, thin, boxes };
  return column.far;
}

function farBand(column, band) {
  const found = bandMeasure(band, column);
  if (!found || found.status === UNOBSERVED) return [];
  const { top, low } = extentOf(found, column), grey = ui.color === "loss";
  const fill = found.status === OK ? (grey ? themed("amount") : colourOf(band.kind === "gradient" ? "bars" : "weights", found.high)) : themed(found.status === NONFINITE ? "red" : "paper");
  const line = found.status === OK || found.status === NONFINITE ? "" : themed(found.status === ZERO ? "grey" : "violet");
  const [high, drop] = band.kind === "gradient" ? [top - low, 1 - top] : [1, 0];
  return [{ x: column.x, y: band.y + band.height * drop, width: column.plan.width * 0.95, height: band.height * high, fill, line, thick: 0.8 }];
}

// The box or band under the pointer.
export function farAt(event) {
  if (!isFar()) return null;
  const area = byId("view").getBoundingClientRect();
  const x = (event.clientX - area.left - view.x) / view.scale, y = (event.clientY - area.top - view.y) / tall();
  const column = columns[columnAfter(x)];
  if (!column || x < column.x || x > column.x + column.plan.width) return null;
  const within = (part) => y >= part.y && y <= part.y + part.height;
  const vertex = column.plan.vertices.find((one) => within(one) && x >= column.x + one.x && x <= column.x + one.x + one.width);
  const band = vertex || !column.count ? null : shownBands().find(within);
  return vertex || band ? { column, vertex, key: vertex?.key, band: band?.name } : null;
}
