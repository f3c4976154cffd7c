// @ts-check
// What stands under and beside the columns: headers, the strip of norms, the weights' cells, the names of the rows.
import { view } from "./camera.js";
import { GUTTER, HEADER, bottom, columnName, isPadding, scene, shownBands, ui, wordOf } from "./columns.js";
import { lines } from "./draw.js";
import { atoms, measureEntry, measureOf, ownRuns } from "./series.js";
import { NONFINITE, OK, STATUS_CLASS, UNOBSERVED, colourOf, inkOver, shareOf, textOf } from "./text.js";
import { byId, data } from "../data.js";
import { oneLine, shorten, svg } from "../elements.js";

export function drawHeader(group, column) {
  const middle = column.x + column.plan.width / 2, y = scene.height + HEADER;
  group.append(svg("text", { class: "head-name", x: middle, y, "font-size": 12 }, columnName(column)));
  const word = wordOf(column), words = [...(word === null ? [] : [oneLine(word)]), ...(isPadding(column) ? ["(padding)"] : [])].join(" ");
  if (words) group.append(svg("text", { class: "head-word", x: middle, y: y + 15, "font-size": 11 }, shorten(words, column.plan.width + 40, 11)));
}

const bandState = (band) => (band.kind === "gradient" ? data.states.find((state) => state.name === band.name) : null);
export const bandSeries = (band) => bandState(band)?.grad ?? data.parameters.find((parameter) => parameter.name === band.name).steps;

// What a band shows under a column; null where its recurrence has no step.
function bandMeasure(band, column) {
  const state = bandState(band), runs = state ? ownRuns(state, column.runs) : column.runs;
  return runs.length ? measureOf(bandSeries(band), runs) : null;
}

export function drawBands(group, column) {
  for (const band of shownBands()) {
    const found = bandMeasure(band, column);
    if (!found) continue;
    if (band.kind === "gradient") drawBar(group, column, band, found);
    else drawCell(group, column, band, found);
  }
}

// A bar's ends as shares of the strip: from the floor, or of several steps the range.
function extentOf(found, column) {
  const known = found.status === OK, ends = data.scales.bars;
  const top = known ? Math.max(0.05, shareOf(ends, found.high)) : found.status === NONFINITE ? 1 : 0.12;
  return { top, low: known && column.count > 1 ? Math.max(0, Math.min(shareOf(ends, found.low), top - 0.05)) : 0 };
}

function drawBar(group, column, band, found) {
  const { top, low } = extentOf(found, column), wide = Math.min(column.plan.width * 0.5, 52);
  const bar = svg("rect", {
    class: `bar ${STATUS_CLASS[found.status]}`, x: column.x + column.plan.width / 2 - wide / 2, width: wide,
    y: (band.y + band.height * (1 - top)).toFixed(1), height: Math.max(2, band.height * (top - low)).toFixed(1),
  });
  bar.dataset.band = band.name;
  if (found.status === OK) bar.style.fill = ui.color === "loss" ? "var(--amount)" : colourOf("bars", found.high);
  group.append(bar);
  group.append(svg("text", { class: "number", x: column.x + column.plan.width / 2, y: band.y + band.height + 10, "font-size": 10 }, textOf(found)));
}

function drawCell(group, column, band, found) {
  if (found.status === UNOBSERVED && isSilent(band)) return;
  const wide = Math.min(column.plan.width, 104), x = column.x + (column.plan.width - wide) / 2;
  const cell = svg("rect", { class: `cell ${STATUS_CLASS[found.status]}`, x, width: wide, y: band.y, height: band.height, rx: 2 });
  cell.dataset.band = band.name;
  if (found.status === OK) cell.style.fill = ui.color === "loss" ? "var(--amount)" : colourOf("weights", found.high);
  group.append(cell);
  const text = svg("text", { class: "number", x: column.x + column.plan.width / 2, y: band.y + band.height / 2, dy: "0.35em", "font-size": 10 },
    found.status === UNOBSERVED ? "" : textOf(found));
  if (found.status === OK && ui.color !== "loss") text.style.fill = inkOver("weights", found.high);
  group.append(text);
}

// Whether a weight's gradient was not observed step by step at all.
const isSilent = (band) => measureOf(bandSeries(band), [[0, atoms.length]]).status === UNOBSERVED;

// Whether any weight's is: then one that is not is used once for all steps.
const byStep = () => data.parameters.some((parameter) => parameter.steps.log.some((entry) => entry !== null));

// Names keep a size that can be read where a tall stack is fitted into the view.
const nameSize = (least, most) => Math.min(most, Math.max(least, 11 / view.scale));
export let namesFor = 0;

// The names of rows and bands stay at the left side of the view while the graph moves under them.
export function drawNames() {
  namesFor = view.scale;
  const names = byId("names"), both = scene.rows.some((row) => row.direction === "reverse");
  names.replaceChildren(svg("rect", { class: "gutter", x: 0, y: -40, width: GUTTER - 8, height: bottom() + 60 }));
  const add = (text, y, size, name) => {
    const element = lines(names, text, { x: 0, y: y - 1, width: 0, height: 2 }, size, { x: GUTTER - 16, class: `row-name ${name}`, room: GUTTER - 20 });
    element.append(svg("title", {}, oneLine(text)));
  };
  for (const row of scene.rows) add(oneLine(row.name) + (row.direction && both ? `\n${row.direction}` : ""), (row.top + row.bottom) / 2, nameSize(13, 24), "");
  for (const band of shownBands()) {
    const total = data.parameters.find((parameter) => parameter.name === band.name && band.kind === "weight");
    const text = band.kind === "gradient" ? `${oneLine(band.name)}\n${band.note}` : `${oneLine(band.name)}  Σ ${textOf(measureEntry(total.grad, true))}${isSilent(band) ? (byStep() ? ", not per step" : ", by step ?") : ""}`;
    add(text, band.y + band.height / 2, band.kind === "gradient" ? nameSize(12, 20) : nameSize(11, 17), band.kind);
    if (band.caption) names.append(svg("text", { class: "caption", x: 8, y: band.caption.y + 3, "font-size": 11 }, band.caption.text));
  }
}

