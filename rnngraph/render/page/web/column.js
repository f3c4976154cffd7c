// One column of the graph as SVG: the arrows from its left neighbour, its boxes, its bars and cells.

function drawColumn(column) {
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
  const points = walk.cut ? halved(edge.points) : edge.points;
  const arrow = svg("g", { class: `back ${walk.cut ? "is-cut" : STATUS_CLASS[look.shown.status]}` });
  arrow.dataset.edge = `${column.index} ${edges(column).indexOf(edge)}`;
  const line = svg("path", { class: "line", d: pathOf(points, column.x, 4 + look.wide), "stroke-width": look.wide.toFixed(2) });
  const head = svg("path", { class: "tip", d: headOf(points, column.x, 5 + look.wide, 1.8 + look.wide * 0.6) });
  if (look.colour) { line.style.stroke = look.colour; head.style.fill = look.colour; }
  const [x, y] = walk.cut ? points.slice(-2) : edge.text;
  arrow.append(line, head, svg("path", { class: "hit", d: pathOf(points, column.x) }),
    svg("text", { x: x + column.x, y, dy: "0.35em" }, look.text));
  group.append(arrow);
}

// How an arrow back in time looks: by what it carries, or by the gain of its step.
function lookOf(walk) {
  if (walk.cut) return { shown: null, cut: true, colour: null, name: "red", wide: 1.2, dash: [2, 3], text: "cut" };
  const gain = ui.color === "gain" && walk.carried.status === OK && walk.gain, shown = gain || walk.carried;
  const scale = gain ? "gain" : "arrows", known = shown.status === OK && !(ui.color === "gain" && !gain);
  const log = shown.log ? shown.high : Math.log10(shown.high);
  const text = (gain && known ? "×" : "") + textOf(shown).replace(" … ", "…");
  return {
    shown, cut: false, text: text === "not observed" ? "?" : text,
    colour: known ? colourOf(scale, log) : null,
    name: { [NONFINITE]: "red", [UNDERFLOW]: "violet" }[shown.status] ?? "grey",
    wide: known ? 1.2 + 3.2 * shareOf(endsOf(scale), log) : shown.status === NONFINITE ? 3 : 1.2,
    dash: { [ZERO]: [5, 4], [UNDERFLOW]: [5, 4], [UNOBSERVED]: [2, 3] }[shown.status] ?? [],
  };
}

const edges = (column) => [...column.arrows, ...column.plan.edges];

// Whether an arrow would lead into a fold in which its recurrence is over, or has not begun.
function isBeyond(edge, column, before) {
  const state = data.states[edge.state];
  const begins = state && state.direction === "reverse" && state.initial !== null ? 1 : 0;
  return Boolean(state) && [column, before].some((one) => one?.kind === "fold" && one.first >= state.timesteps + begins);
}

// What an arrow back in time carries: the norm and gain at the step that it reaches, or that it is cut.
function walkOf(edge, column, before) {
  const state = data.states[edge.state], reverse = state.direction === "reverse";
  if (column === before) return { state, carried: measureOf(state.carried, walked(state, column.runs)), gain: measureOf(state.gain, ownRuns(state, column.runs)), cut: false, to: column };
  const [from, to] = reverse ? [before, column] : [column, before];
  const final = (one) => Math.min(one.last, state.timesteps - 1);
  const entered = reverse ? final(from) : from.first;
  const cut = from.kind !== "loop" && state.cuts.length > 0 && state.cuts[atomAt(entered)] > 0;
  if (to.kind === "initial" || to.first >= state.timesteps) return { state, carried: measureEntry(state.initial, true), gain: null, cut, to };
  const step = reverse ? to.first : final(to);
  return { state, carried: measureAt(state.carried, step), gain: measureAt(state.gain, step), cut, to };
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
  const mark = markOf(column, vertex);
  if (mark) classes.push("marked");
  if (isFirstNonfinite(column, vertex)) classes.push("nonfinite");
  const paint = paintOf(column, vertex);
  if (paint) shape.style.fill = paint.fill;
  const label = [labelOf(column, vertex), mark].filter(Boolean).join("\n");
  const text = lines(element, label, { x, y, width: vertex.width, height: vertex.height }, vertex.kind === "fold" ? 11 : mark ? 10 : vertex.size);
  if (paint) text.style.fill = paint.ink;
  element.setAttribute("class", classes.join(" "));
  element.setAttribute("aria-label", spokenOf(column, vertex, mark).join(", "));
  column.boxes.set(vertex.key, element);
  return element;
}

function labelOf(column, vertex) {
  if (vertex.kind === "loss") {
    const name = column.kind === "step" ? `L${column.first}` : `L × ${column.count}`, part = lossOf(column.runs);
    return part === null ? name : `${name}\n${part === "n" ? "not finite" : shortNumber(part)}`;
  }
  if (vertex.kind === "layer") return [vertex.label.replace("{n}", Math.min(column.count, data.states[vertex.state].timesteps)), ...carriesOf(column, vertex)].join("\n");
  if (vertex.kind !== "fold") return vertex.label.replace("{n}", column.count);
  const ranges = data.states.filter((state) => column.first < state.timesteps).map((state) => {
    const cuts = state.cuts.length ? sumOf(state.cuts, column.runs) : 0;
    return `${oneLine(state.name)}  ${textOf(measureOf(state.grad, column.runs))}${cuts ? `  cut ${cuts}×` : ""}`;
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
  const kept = ownRuns(state, runs).map(([first, stop]) => [first + (first === end), stop - (stop - 1 === end)]).filter(([first, stop]) => first < stop);
  return kept.length ? kept : runs;
}

const sumOf = (list, runs) => runs.reduce((sum, [first, stop]) => list.slice(first, stop).reduce((a, b) => a + b, sum), 0);

const gatesOf = (vertex) => vertex.gates.map((number) => data.gates[number]);

function saturationOf(column, vertex) {
  if (vertex.kind === "gate") {
    const found = gatesOf(vertex).map((gate) => measureOf(gate.saturated, column.runs)).filter((one) => one.status !== UNOBSERVED);
    return found.sort((a, b) => (b.high || 0) - (a.high || 0))[0] ?? null;
  }
  return vertex.state >= 0 && column.runs.length ? measureOf(data.states[vertex.state].saturated, column.runs) : null;
}

function markOf(column, vertex) {
  if (!["state", "layer", "gate"].includes(vertex.kind)) return "";
  const share = saturationOf(column, vertex), [limit, word] = data.recurrences[trackOf(vertex)]?.mark ?? [];
  return share && share.high >= limit ? `${word} ${Math.round(share.high * 100)}%` : "";
}

function paintOf(column, vertex) {
  if (!["saturation", "activation"].includes(ui.color) || !["state", "layer", "gate"].includes(vertex.kind)) return null;
  const found = ui.color === "saturation" ? saturationOf(column, vertex)
    : vertex.state >= 0 ? measureOf(data.states[vertex.state].activation, column.runs) : null;
  if (!found || found.status === UNOBSERVED) return null;
  const value = found.high || 0;
  return { fill: colourOf(ui.color, value), ink: inkOn(ui.color, value) };
}

function isFirstNonfinite(column, vertex) {
  return data.nonfinite.some(({ node, step }) => (column.kind === "fold"
    ? step >= column.first && step <= column.last
    : column.kind === "step" && vertex.nodes.some((_, place) => nodeId(scene, vertex.key, place, column.runs[0][0]) === node)));
}

function gradientOf(column, vertex) {
  if (vertex.kind === "initial") return measureEntry(data.states[vertex.state].initial, true);
  if (vertex.state >= 0) return measureOf(data.states[vertex.state].grad, column.runs);
  const entering = vertex.kind === "input" && data.inputs.find((input) => input.name === scene.rows[vertex.row].name);
  if (entering) return measureOf(entering.grad, column.runs);
  const norms = scene.norms[`${vertex.key} ${vertex.nodes.length - 1}`];
  return norms?.log && column.kind === "step" ? measureOf(norms, column.runs) : null;
}

// What is said of a box, line by line: to a screen reader and beside the pointer.
function spokenOf(column, vertex, mark) {
  const row = scene.rows[vertex.row], grad = gradientOf(column, vertex);
  const several = scene.rows.some((one) => one.direction === "reverse");
  return [
    labelOf(column, vertex).replaceAll("\n", ", "),
    [row?.name, several ? row?.direction : "", vertex.kind === "fold" ? "" : columnName(column), wordOf(column)].filter(Boolean).join(", "),
    grad ? `gradient ${textOf(grad, 4)}` : "", mark, isPadding(column, vertex) ? "padding" : "",
  ].filter(Boolean).map(oneLine);
}
