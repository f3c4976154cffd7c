// @ts-check
// One column of the graph as SVG: the arrows from its left neighbour, its boxes, its bars and cells.
import { drawBands, drawHeader } from "./bands.js";
import { columnName, columns, isPadding, scene, trackOf, ui, wordOf } from "./columns.js";
import { halved, headOf, lines, pathOf } from "./draw.js";
import { decadesAt, leftOver, leftText } from "./left.js";
import { atomAt, lossOf, measureAt, measureEntry, measureOf, nodeId, ownAtoms, ownRuns } from "./series.js";
import { inkOver, NONFINITE, OK, STATUS_CLASS, UNOBSERVED, colourOf, scaleEnds, shareOf, shortNumber, textOf } from "./text.js";
import { data } from "../data.js";
import { oneLine, svg } from "../elements.js";
import { chosen } from "../loss.js";
import { factorText, inkOn, isFaint, shareText, toneOf, widthOf } from "../scale.js";

export function drawColumn(column) {
  const group = svg("g", { class: `column${isPadding(column) ? " padding" : ""}` });
  group.dataset.column = column.index;
  column.boxes = new Map();
  const before = columns[column.index - 1];
  drawEdges(group, column.arrows, column, before);
  drawEdges(group, column.plan.edges, column, column);
  for (const vertex of column.plan.vertices) group.append(drawVertex(column, vertex));
  if (column.kind !== "initial") {
    drawHeader(group, column);
    drawBands(group, column);
  }
  return group;
}

function drawEdges(group, arrows, column, before) {
  let thin = "", heads = "";
  for (const edge of arrows) {
    if (isBeyond(edge, column, before)) continue;
    if (edge.kind === "b") { if (ui.backward) drawBackward(group, edge, column, before); continue; }
    thin += pathOf(edge.points, column.x, 4);
    heads += headOf(edge.points, column.x, 5, 2);
  }
  if (thin) group.append(svg("path", { class: "edge", d: thin }), svg("path", { class: "head", d: heads }));
}

function drawBackward(group, edge, column, before) {
  const walk = walkOf(edge, column, before), look = lookOf(walk);
  if (!look) return;
  const points = walk.cut ? halved(edge.points) : edge.points;
  const arrow = svg("g", { class: `back ${look.style}` });
  arrow.dataset.edge = `${column.index} ${edges(column).indexOf(edge)}`;
  const line = svg("path", { class: "line", d: pathOf(points, column.x, 4 + look.wide), "stroke-width": look.wide.toFixed(2) });
  const head = svg("path", { class: "tip", d: headOf(points, column.x, 5 + look.wide, 1.8 + look.wide * 0.6) });
  if (look.colour) { line.style.stroke = look.colour; head.style.fill = look.colour; }
  const [x, y] = walk.cut ? points.slice(-2) : edge.text;
  arrow.append(line, head, svg("path", { class: "hit", d: pathOf(points, column.x) }),
    svg("text", { x: x + column.x, y, dy: "0.35em" }, look.text));
  group.append(arrow);
}

// How an arrow back in time looks: by what it carries, or by the gain of its step; null where nothing arrives.
function lookOf(walk) {
  if (walk.cut) return { style: "is-cut", colour: null, wide: 1.2, text: "cut" };
  if (ui.color === "loss") return lossLook(walk);
  const gain = ui.color === "gain" && walk.carried.status === OK && walk.gain, shown = gain || walk.carried;
  const scale = gain ? "gain" : "arrows", known = shown.status === OK && !(ui.color === "gain" && !gain);
  const log = shown.log ? shown.high : Math.log10(shown.high);
  const text = (gain && known ? "×" : "") + textOf(shown).replace(" … ", "…");
  return {
    style: STATUS_CLASS[shown.status], colour: known ? colourOf(scale, log) : null, text: text === "not observed" ? "?" : text,
    wide: known ? 1.2 + 3.2 * shareOf(scaleEnds(scale), log) : shown.status === NONFINITE ? 3 : 1.2,
  };
}

// By what is left of the loss at the step that the arrow reaches; the text is the factor of the step.
function lossLook(walk) {
  const state = data.states.indexOf(walk.state), found = leftOver(state, walk.to), from = leftOver(state, walk.from);
  if (!found || !from || found[1] === -Infinity) return null;
  const near = walk.state.direction === "reverse" ? decadesAt(state, walk.to.first) : decadesAt(state, walk.to.last), value = walk.to.kind === "fold" && !Number.isNaN(near) ? near : found[1];
  const single = walk.to !== walk.from && walk.to.kind !== "fold" && walk.from.kind !== "fold", faint = isFaint(value);
  return { style: faint ? "is-faint" : "", colour: faint ? "var(--line)" : `var(--${toneOf(value)})`, text: single ? factorText(10 ** (found[0] - from[0])) : shareText(value), wide: widthOf(value) };
}

export const edges = (column) => [...column.arrows, ...column.plan.edges];

// Whether an arrow would lead into a fold in which its recurrence is over, or has not begun.
function isBeyond(edge, column, before) {
  const state = data.states[edge.state];
  const begins = state && state.direction === "reverse" && state.initial !== null ? 1 : 0;
  return Boolean(state) && [column, before].some((one) => one?.kind === "fold" && one.first >= state.timesteps + begins);
}

// What an arrow back in time carries: the norm and gain at the step that it reaches, or that it is cut.
export function walkOf(edge, column, before) {
  const state = data.states[edge.state], reverse = state.direction === "reverse";
  if (column === before) return { state, carried: measureOf(state.carried, walked(state, column.runs)), gain: measureOf(state.gain, ownRuns(state, column.runs)), cut: false, to: column, from: column };
  const [from, to] = reverse ? [before, column] : [column, before];
  const final = (one) => Math.min(one.last, state.timesteps - 1);
  const entered = reverse ? final(from) : from.first;
  const cut = from.kind !== "loop" && state.cuts.length > 0 && state.cuts[atomAt(entered)] > 0;
  if (to.kind === "initial" || to.first >= state.timesteps) return { state, carried: measureEntry(state.initial, true), gain: null, cut, to, from };
  const step = reverse ? to.first : final(to);
  return { state, carried: measureAt(state.carried, step), gain: measureAt(state.gain, step), cut, to, from };
}

function drawVertex(column, vertex) {
  const classes = ["box", `kind-${vertex.kind}`, ...(isPadding(column, vertex) ? ["padding"] : [])];
  const element = svg("g", { tabindex: -1, role: "button" });
  element.dataset.key = vertex.key;
  const [x, y] = [column.x + vertex.x, vertex.y];
  const shape = vertex.kind === "loss"
    ? svg("ellipse", { cx: x + vertex.width / 2, cy: y + vertex.height / 2, rx: vertex.width / 2, ry: vertex.height / 2 })
    : svg("rect", { x, y, width: vertex.width, height: vertex.height, rx: 6 });
  element.append(shape);
  const mark = markText(column, vertex);
  if (mark) classes.push("marked");
  if (isFirstNonfinite(column, vertex)) classes.push("nonfinite");
  const paint = paintOf(column, vertex);
  if (paint) shape.style.fill = paint.fill;
  const left = ui.color === "loss" && isCarrying(vertex) && vertex.kind !== "fold" ? leftText(vertex.state, column) : "";
  const label = [labelOf(column, vertex), left, mark].filter(Boolean).join("\n");
  const text = lines(element, label, { x, y, width: vertex.width, height: vertex.height }, vertex.kind === "fold" ? 11 : mark || left ? 10.5 : vertex.size);
  if (paint) text.style.fill = paint.ink;
  element.setAttribute("class", classes.join(" "));
  element.setAttribute("aria-label", spokenOf(column, vertex, mark).join(", "));
  column.boxes.set(vertex.key, element);
  return element;
}

export function labelOf(column, vertex) {
  if (vertex.kind === "loss") {
    const name = column.kind === "step" ? `L${column.first}` : `L × ${column.count}`, part = lossOf(column.runs);
    return part === null ? name : `${name}\n${part === "n" ? "not finite" : shortNumber(part)}`;
  }
  if (vertex.kind === "layer") return [vertex.label.replace("{n}", Math.min(column.count, data.states[vertex.state].timesteps)), ...carriesOf(column, vertex)].join("\n");
  if (vertex.kind !== "fold") return vertex.label.replace("{n}", column.count);
  const ranges = data.states.filter((state) => column.first < state.timesteps).map((state) => {
    const cuts = state.cuts.length ? sumOf(state.cuts, column.runs) : 0;
    const left = ui.color === "loss" ? leftText(data.states.indexOf(state), column) : "";
    return left ? `${oneLine(state.name)}  ${left}` : `${oneLine(state.name)}  ${textOf(measureOf(state.grad, column.runs))}${cuts ? `  cut ${cuts}×` : ""}`;
  });
  return [`${column.count} steps`, columnName(column), ...ranges].join("\n");
}

// What a layer's states carry back that have no arrow of their own, such as an LSTM's c.
function carriesOf(column, vertex) {
  return data.states.filter((state, number) => number !== vertex.state && state.track === trackOf(vertex))
    .map((state) => `${state.kind} carries ${textOf(measureOf(state.carried, walked(state, column.runs)))}`);
}

// Leave out the step with which the recurrence ends: nothing is carried into it, which says nothing of a loop.
function walked(state, runs) {
  const end = state.direction === "reverse" ? 0 : ownAtoms(state) - 1;
  const kept = ownRuns(state, runs).map(([first, stop]) => [first + Number(first === end), stop - Number(stop - 1 === end)]).filter(([first, stop]) => first < stop);
  return kept.length ? kept : runs;
}

export const sumOf = (list, runs) => runs.reduce((sum, [first, stop]) => list.slice(first, stop).reduce((a, b) => a + b, sum), 0);

export const gatesOf = (vertex) => vertex.gates.map((number) => data.gates[number]);

function saturationOf(column, vertex) {
  if (vertex.kind === "gate") {
    const found = gatesOf(vertex).map((gate) => measureOf(gate.saturated, column.runs)).filter((one) => one.status !== UNOBSERVED);
    return found.sort((a, b) => (b.high || 0) - (a.high || 0))[0] ?? null;
  }
  return vertex.state >= 0 && column.runs.length ? measureOf(data.states[vertex.state].saturated, column.runs) : null;
}

export function markText(column, vertex) {
  if (!["state", "layer", "gate"].includes(vertex.kind)) return "";
  const share = saturationOf(column, vertex), [limit, word] = data.recurrences[trackOf(vertex)]?.mark ?? [];
  return share && share.high >= limit ? `${word} ${Math.round(share.high * 100)}%` : "";
}

// Whether a box stands for a state that carries something back.
const isCarrying = (vertex) => vertex.state >= 0 && ["state", "layer", "initial"].includes(vertex.kind);

function paintOf(column, vertex) {
  if (ui.color === "loss") {
    if (vertex.kind === "loss" && column.kind === "step" && column.first === chosen().t) return { fill: "var(--k12)", ink: "var(--paper)" };
    const found = isCarrying(vertex) ? leftOver(vertex.state, column) : null, tone = found ? toneOf(found[0]) : "";
    return tone ? { fill: `var(--${tone})`, ink: `var(--${inkOn(tone)})` } : null;
  }
  if (!["saturation", "activation"].includes(ui.color) || !["state", "layer", "gate"].includes(vertex.kind)) return null;
  const found = ui.color === "saturation" ? saturationOf(column, vertex)
    : vertex.state >= 0 ? measureOf(data.states[vertex.state].activation, column.runs) : null;
  if (!found || found.status === UNOBSERVED) return null;
  const value = found.high || 0;
  return { fill: colourOf(ui.color, value), ink: inkOver(ui.color, value) };
}

function isFirstNonfinite(column, vertex) {
  return data.nonfinite.some(({ node, step }) => (column.kind === "fold"
    ? step >= column.first && step <= column.last
    : column.kind === "step" && vertex.nodes.some((_, place) => nodeId(scene, vertex.key, place, column.runs[0][0]) === node)));
}

export function gradientOf(column, vertex) {
  if (vertex.kind === "initial") return measureEntry(data.states[vertex.state].initial, true);
  if (vertex.state >= 0) return measureOf(data.states[vertex.state].grad, column.runs);
  const entering = vertex.kind === "input" && data.inputs.find((input) => input.name === scene.rows[vertex.row].name);
  if (entering) return measureOf(entering.grad, column.runs);
  const norms = scene.norms[`${vertex.key} ${vertex.nodes.length - 1}`];
  return norms?.log && column.kind === "step" ? measureOf(norms, column.runs) : null;
}

// What is said of a box, line by line: to a screen reader and beside the pointer.
export function spokenOf(column, vertex, mark) {
  const row = scene.rows[vertex.row], grad = gradientOf(column, vertex);
  const several = scene.rows.some((one) => one.direction === "reverse");
  return [
    labelOf(column, vertex).replaceAll("\n", ", "),
    [row?.name, several ? row?.direction : "", vertex.kind === "fold" ? "" : columnName(column), wordOf(column)].filter(Boolean).join(", "),
    grad ? `gradient ${textOf(grad, 4)}` : "", mark, isPadding(column, vertex) ? "padding" : "",
  ].filter(Boolean).map(oneLine);
}
