// @ts-check
// Which columns the graph has: a shown step each, a fold for what is hidden between, the initial states at the ends.
// The columns of a kind and the arrows between two kinds come from the scene; here they get their place.
import { atomAt, atoms, entryOf, groups, isStep } from "./series.js";
import { data, firstOf } from "../data.js";

/** @type {any} */
export const ui = {
  detail: data.start.detail, rolled: data.start.rolled, ranges: data.start.steps, color: data.losses && data.start.color === "grad" ? "loss" : data.start.color,
  backward: data.start.backward, weights: true, selected: null, opened: "",
};
export let scene, columns = [], width = 0;
export const HEADER = 19, GUTTER = 190;

export const shownBands = () => scene.bands.filter((band) => ui.weights || band.kind === "gradient");
export const bottom = () => Math.max(scene.height + 40, ...shownBands().map((band) => band.y + band.height + (band.kind === "gradient" ? 12 : 4)));

const sceneName = () => (ui.detail === "layer" ? "layer" : ui.detail + (ui.rolled ? " rolled" : ""));

export function buildColumns() {
  scene = data.scenes[sceneName()];
  const left = "L" in scene.columns, right = "R" in scene.columns;
  const inner = "O" in scene.columns ? [loopColumn()] : unrolledColumns();
  columns = [...(left ? [endColumn("L")] : []), ...inner, ...(right ? [endColumn("R")] : [])];
  let x = 0;
  columns.forEach((column, index) => {
    const pair = index ? scene.pairs[`${columns[index - 1].type} ${column.type}`] : null;
    column.index = index;
    column.plan = scene.columns[column.type];
    column.arrows = pair ? pair.edges : [];
    column.x = x += index ? pair?.gap ?? 52 : 0;
    x += column.plan.width;
  });
  width = x;
}

const endColumn = (type) => ({ type, kind: "initial", runs: [], first: -1, last: -1, count: 0 });

function loopColumn() {
  const runs = ui.ranges.map(([start, stop]) => [atomAt(start), atomAt(stop - 1) + 1]);
  return spanning("O", "loop", runs);
}

function spanning(type, kind, runs) {
  const count = runs.reduce((sum, [first, stop]) => sum + atoms[stop - 1][1] - atoms[first][0], 0);
  return { type, kind, runs, first: atoms[runs[0][0]][0], last: atoms[runs.at(-1)[1] - 1][1] - 1, count };
}

function unrolledColumns() {
  const found = [];
  let hidden = -1, range = 0;
  const flush = (atom) => {
    if (hidden < 0) return;
    // A fold that hides one step hides more than it saves.
    found.push(atom - hidden === 1 && isStep(hidden) ? stepColumn(hidden) : spanning("F", "fold", [[hidden, atom]]));
    hidden = -1;
  };
  for (let atom = 0; atom < atoms.length; atom += 1) {
    const [start, stop] = atoms[atom];
    while (range < ui.ranges.length && ui.ranges[range][1] <= start) range += 1;
    const shown = range < ui.ranges.length && ui.ranges[range][0] < stop && isStep(atom);
    if (!shown) { if (hidden < 0) hidden = atom; continue; }
    flush(atom);
    found.push(stepColumn(atom));
  }
  flush(atoms.length);
  return found;
}

const stepColumn = (atom) => spanning(String(groups[atom]), "step", [[atom, atom + 1]]);

// Return the column that shows or hides a timestep; -1 stands for the initial state.
export function columnAt(step, reverse = false) {
  if (step < 0) return columns.find((column) => column.type === (reverse ? "R" : "L")) ?? null;
  return columns[firstOf(columns.length - 1, (index) => columns[index].type === "R" || (columns[index].type !== "L" && columns[index].last >= step))];
}

// Return the first column that ends to the right of x.
export const columnAfter = (x) => firstOf(columns.length - 1, (index) => columns[index].x + columns[index].plan.width >= x);

export function columnName(column) {
  if (column.kind === "initial") return "before the recurrence";
  if (column.kind === "step") return `t=${column.first}`;
  if (column.kind === "fold") return `t=${column.first} … ${column.last}`;
  return column.count > 1 ? `each of ${column.count} steps` : `t=${column.first}`;
}

export const wordOf = (column) => (column.kind === "step" ? data.labels[column.runs[0][0]] : null);

// The recurrence that a box belongs to, -1 for none.
export const trackOf = (vertex) => (vertex.state >= 0 ? data.states[vertex.state].track : vertex.gates.length ? data.gates[vertex.gates[0]].track : -1);

/** @param {any} column @param {any} [vertex] */
export function isPadding(column, vertex = null) {
  if (vertex?.kind === "initial") return false;
  const track = vertex ? trackOf(vertex) : -1, valid = track < 0 ? data.valid : data.recurrences[track].valid;
  return column.kind === "step" && entryOf(valid.plain, column.runs[0][0]) === 0;
}
