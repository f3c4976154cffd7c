// @ts-check
// The panel beside the graph: everything that is known of what was chosen.
import { gatesOf, gradientOf, labelOf, sumOf } from "./column.js";
import { columnName, columns, isPadding, scene, ui, wordOf } from "./columns.js";
import { go } from "./go.js";
import { vertexOf } from "./selected.js";
import { isStep, lossOf, measureEntry, measureOf, nodeId } from "./series.js";
import { OK, STATUS_CLASS, UNOBSERVED, percent, restOf, textOf } from "./text.js";
import { byId, data } from "../data.js";
import { html, oneLine } from "../elements.js";

export function showNothing() {
  ui.opened = "";
  const steps = `${data.timesteps} timestep${data.timesteps === 1 ? "" : "s"}`;
  byId("selection").replaceChildren(html("h2", {}, "Nothing chosen"),
    html("p", { class: "note" }, `${steps}. Click a box, an arrow back in time, a bar or a cell to see its numbers.`));
}

function show(title, under, ...blocks) {
  ui.opened = title;
  byId("selection").replaceChildren(html("h2", {}, title, html("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => go.close() }, "×")),
    html("p", { class: "note" }, under), ...blocks.filter(Boolean));
  byId("panel").scrollTop = 0;
}

// Rows of [name, value]; a measure becomes text, nothing is left out silently.
function table(caption, rows) {
  const kept = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!kept.length) return null;
  return html("table", {}, html("caption", {}, caption), html("tbody", {}, ...kept.map(([name, value]) => {
    const found = typeof value === "object" && "counts" in value ? value : null;
    const cell = html("td", { class: found ? STATUS_CLASS[found.status] : "" }, found ? textOf(found, 4) : String(value));
    const rest = found && restOf(found);
    if (rest) cell.append(html("small", {}, ` (${rest})`));
    return html("tr", {}, html("th", { scope: "row" }, name), cell);
  })));
}

export function showVertex(column, vertex) {
  const row = scene.rows[vertex.row], state = vertex.state >= 0 ? data.states[vertex.state] : null;
  const word = wordOf(column), place = [columnName(column), word === null ? "" : `“${oneLine(word)}”`, row?.name, row?.direction, isPadding(column, vertex) ? "padding" : ""];
  const blocks = [vertex.formula || nodesOf(vertex).some((node) => node.formula) ? formula(vertex) : null];
  if (state) blocks.push(...stateTables(column, vertex, state));
  for (const gate of gatesOf(vertex)) {
    blocks.push(table(`gate ${gate.gate}`, [["mean", measureOf(gate.mean, column.runs)], ["saturated", percent(measureOf(gate.saturated, column.runs))]]));
  }
  if (!state && vertex.kind !== "fold") blocks.push(table("Gradient", [["norm", gradientOf(column, vertex)], ...wholeNorm(vertex)]));
  if (vertex.kind === "fold") blocks.push(...foldBlocks(column));
  if (vertex.kind === "loss") blocks.push(table("Loss", [["this step's part", lossOf(column.runs)]]));
  blocks.push(...nodesOf(vertex).map((node, number) => nodeTable(column, vertex, node, number)), ...neighbours(column, vertex));
  show(titleOf(column, vertex), place.filter(Boolean).map(oneLine).join(" · "), ...blocks);
}

const titleOf = (column, vertex) => (vertex.kind === "fold" ? `${column.count} folded steps` : labelOf(column, vertex).replaceAll("\n", " · "));
export const nodesOf = (vertex) => vertex.nodes.map((number) => scene.nodes[number]);

function formula(vertex) {
  const texts = new Set([vertex.formula, ...nodesOf(vertex).map((node) => node.formula)].filter(Boolean));
  return html("p", { class: "formula" }, [...texts].join("\n"));
}

function stateTables(column, vertex, state) {
  if (vertex.kind === "initial") return [table("Gradient", [["‖∂L/∂state‖", measureEntry(state.initial, true)]])];
  const at = (name) => measureOf(state[name], column.runs);
  const known = (name) => (at(name).status === UNOBSERVED ? null : at(name));
  const cut = state.cuts.length && sumOf(state.cuts, column.runs);
  return [
    table(`Gradient of ${state.name}`, [
      [`‖∂L/∂${state.kind}‖`, at("grad")], ["from its own step", at("immediate")], ["carried from the next", at("carried")],
      ["gain over one step", known("gain")], ["… of it activation, nats", known("gainActivation")], ["… of it weights, nats", known("gainWeights")],
      ["10th percentile", known("low")], ["median of samples", known("middle")], ["90th percentile", known("high")],
      ["exact zeros", known("zeros")], ["not finite", known("nonfinite")], ["recurrence cut", cut ? (column.count > 1 ? `${cut} times` : "into this step") : ""],
    ]),
    table("Value", [["root mean square", at("activation")], [data.recurrences[state.track].mark[1], percent(at("saturated"))]]),
  ];
}

function wholeNorm(vertex) {
  const norms = scene.norms[`${vertex.key} ${vertex.nodes.length - 1}`];
  return norms && "whole" in norms ? [["norm, all steps together", measureEntry(norms.whole, true)]] : [];
}

function foldBlocks(column) {
  const able = column.runs.every(([first, stop]) => Array.from({ length: stop - first }, (_, at) => first + at).every(isStep));
  return [
    able ? html("p", {}, html("button", { type: "button", onclick: () => go.unfold(column) }, `Show these ${column.count} steps`))
      : html("p", { class: "note" }, `Most of these steps are not in this file; write them with --steps ${column.first}:${column.last + 1}.`),
    ...data.states.filter((state) => column.first < state.timesteps).map((state) => table(state.name, [["‖∂L/∂state‖", measureOf(state.grad, column.runs)], ["carried", measureOf(state.carried, column.runs)], ["gain", measureOf(state.gain, column.runs)]])),
  ];
}

function nodeTable(column, vertex, node, number) {
  const id = column.kind === "step" ? nodeId(scene, vertex.key, number, column.runs[0][0]) : -1;
  return table(`Recorded: ${node.label}`, [["op", node.op], ["name", oneLine(node.name)], ["shape", node.shape], ["scope", oneLine(node.scope)],
    ["inputs", node.inputs.map(oneLine).join("\n")], ["node", id >= 0 ? id : ""]]);
}

// Buttons to the boxes that this one takes from and gives to.
function neighbours(column, vertex) {
  /** @type {{from: any[], to: any[]}} */
  const found = { from: [], to: [] };
  const look = (arrows, here, before) => arrows.filter((edge) => edge.kind !== "b").forEach((edge) => {
    const ends = [edge.from, edge.to].map(([side, key]) => [side || here === before ? here : before, key]);
    const [one, two] = ends.map(([where, key]) => where === column && key === vertex.key);
    if (two && !one) found.from.push(ends[0]);
    if (one && !two) found.to.push(ends[1]);
  });
  const next = columns[column.index + 1];
  look(column.plan.edges, column, column);
  look(column.arrows, column, columns[column.index - 1]);
  if (next) look(next.arrows, next, column);
  return /** @type {[string, any[]][]} */ ([["Takes", found.from], ["Gives to", found.to]]).filter(([, list]) => list.length).map(([name, list]) => html("p", { class: "ways" }, `${name} `,
    ...list.slice(0, 12).map(([where, key]) => html("button", { type: "button", onclick: () => go.select(where, key, { focus: true }) },
      `${titleOf(where, vertexOf(where, key))}${where === column ? "" : `, ${columnName(where)}`}`))));
}

export function showArrow({ walk, column, before }) {
  const from = walk.to === column ? before : column;
  ui.selected = null;
  for (const placed of go.placed) placed();
  show(`${walk.state.name}, back in time`, `from ${columnName(from)} to ${columnName(walk.to)}`,
    walk.cut ? html("p", {}, "The recurrence is cut here: no gradient goes further back.") : table("Carried", [
      ["norm that arrives", walk.carried], ["gain", walk.gain?.status === UNOBSERVED ? null : walk.gain],
      ["norm, decimal logarithm", walk.carried.status === OK ? walk.carried.high.toFixed(3) : null]]));
}

export function showBand(name, column) {
  const parameter = data.parameters.find((one) => one.name === name);
  if (!parameter) {
    const vertex = column.plan.vertices.find((one) => one.state >= 0 && data.states[one.state].name === name && one.kind !== "fold");
    return go.select(column, (vertex ?? column.plan.vertices[0]).key, { focus: false });
  }
  show(parameter.name, `weight, ${parameter.shape}, shared by all steps`,
    table("Gradient", [[`from ${columnName(column)}`, measureOf(parameter.steps, column.runs)], ["sum over all steps", measureEntry(parameter.grad, true)],
      ["sum / sum of norms", parameter.cancellation]]),
    table("Value", [["Frobenius norm", parameter.norm], ["spectral radius", parameter.radius], ["largest singular value", parameter.singular]]));
}
