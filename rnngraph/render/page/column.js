// One column of the graph as SVG: the arrows from its left neighbour, its boxes, its bars and cells.
// `far` columns are too narrow on the screen for text and thin lines; they keep boxes, colours and bars.

function drawColumn(column, far, pitch) {
  const edged = !far || pitch >= NEAR;
  const group = svg("g", { class: `column${far ? " far" : ""}${isPadding(column) ? " padding" : ""}` });
  group.dataset.column = column.index;
  column.boxes = new Map();
  const before = columns[column.index - 1];
  drawEdges(group, column.arrows, column, before, far, edged);
  drawEdges(group, column.plan.edges, column, column, far, edged);
  for (const vertex of column.plan.vertices) group.append(drawVertex(column, vertex, far));
  if (column.kind !== "initial") {
    drawHeader(group, column, far, pitch);
    drawBands(group, column, far);
  }
  return group;
}

function drawEdges(group, arrows, column, before, far, edged) {
  let thin = "", heads = "";
  for (const edge of arrows) {
    if (edge.kind === "b") { if (ui.backward) drawBackward(group, edge, column, before, far); continue; }
    if (!edged) continue;
    thin += pathOf(edge.points, column.x, 4);
    heads += headOf(edge.points, column.x, 5, 2);
  }
  if (thin) group.append(svg("path", { class: "edge", d: thin }), svg("path", { class: "head", d: heads }));
}

function drawBackward(group, edge, column, before, far) {
  const walk = walkOf(edge, column, before);
  const shown = walk.cut ? null : ui.color === "gain" && walk.carried.status === OK ? walk.gain ?? walk.carried : walk.carried;
  const scale = ui.color === "gain" ? "gain" : "arrows";
  const known = shown && shown.status === OK, log = known ? (shown.log ? shown.high : Math.log10(shown.high)) : NaN;
  const wide = known ? 1.2 + 3.2 * shareOf(endsOf(scale), log) : shown?.status === NONFINITE ? 3 : 1.2;
  const points = walk.cut ? halved(edge.points) : edge.points;
  const arrow = svg("g", { class: `back ${walk.cut ? "is-cut" : STATUS_CLASS[shown.status]}` });
  arrow.dataset.edge = `${column.index} ${edges(column).indexOf(edge)}`;
  const line = svg("path", { class: "line", d: pathOf(points, column.x, 4 + wide), "stroke-width": wide.toFixed(2) });
  const head = svg("path", { class: "tip", d: headOf(points, column.x, 5 + wide, 1.8 + wide * 0.6) });
  if (known) { line.style.stroke = colourOf(scale, log); head.style.fill = colourOf(scale, log); }
  arrow.append(line, head);
  if (far) line.setAttribute("stroke-width", (0.8 + wide * 0.5).toFixed(2));
  else {
    arrow.append(svg("path", { class: "hit", d: pathOf(points, column.x) }));
    const [x, y] = walk.cut ? points.slice(-2) : edge.text;
    const text = walk.cut ? "cut" : (ui.color === "gain" && known ? "×" : "") + textOf(shown).replace(" … ", "…");
    arrow.append(svg("text", { x: x + column.x, y, dy: "0.35em" }, text === "not observed" ? "?" : text));
  }
  group.append(arrow);
}

const edges = (column) => [...column.arrows, ...column.plan.edges];

// What an arrow back in time carries: the norm and gain at the step that it reaches, or that it is cut.
function walkOf(edge, column, before) {
  const state = data.states[edge.state], reverse = state.direction === "reverse";
  if (column === before) return { state, carried: measureOf(state.carried, column.runs), gain: measureOf(state.gain, column.runs), cut: false, to: column };
  const [from, to] = reverse ? [before, column] : [column, before];
  const entered = reverse ? from.last : from.first;
  const cut = from.kind !== "loop" && state.cuts.length > 0 && state.cuts[atomAt(entered)] > 0;
  if (to.kind === "initial") return { state, carried: measureEntry(state.initial, true), gain: null, cut, to };
  const step = reverse ? to.first : to.last;
  return { state, carried: measureAt(state.carried, step), gain: measureAt(state.gain, step), cut, to };
}

function drawVertex(column, vertex, far) {
  const classes = ["box", `kind-${vertex.kind}`];
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
  if (!far) {
    const label = [labelOf(column, vertex), mark].filter(Boolean).join("\n");
    const size = vertex.kind === "fold" ? 9 : vertex.size;
    const text = lines(element, label, { x, y, width: vertex.width, height: vertex.height }, size);
    if (paint) text.style.fill = paint.ink;
  }
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
  if (vertex.kind !== "fold") return vertex.label.replace("{n}", column.count);
  const ranges = data.states.map((state) => {
    const cuts = state.cuts.length ? sumOf(state.cuts, column.runs) : 0;
    return `${oneLine(state.name)}  ${textOf(measureOf(state.grad, column.runs))}${cuts ? `  cut ${cuts}×` : ""}`;
  });
  return [`${column.count} steps`, columnName(column), ...ranges].join("\n");
}

const sumOf = (list, runs) => runs.reduce((sum, [first, stop]) => list.slice(first, stop).reduce((a, b) => a + b, sum), 0);

function gatesOf(vertex) {
  const row = scene.rows[vertex.row], wanted = vertex.label.split(/\s+/);
  return vertex.kind !== "gate" || !row ? [] : data.gates.filter(
    (gate) => gate.layer === row.layer && gate.direction === row.direction && wanted.includes(gate.gate));
}

function saturationOf(column, vertex) {
  if (vertex.kind === "gate") {
    const found = gatesOf(vertex).map((gate) => measureOf(gate.saturated, column.runs)).filter((one) => one.status !== UNOBSERVED);
    return found.sort((a, b) => (b.high || 0) - (a.high || 0))[0] ?? null;
  }
  return vertex.state >= 0 && column.runs.length ? measureOf(data.states[vertex.state].saturated, column.runs) : null;
}

function markOf(column, vertex) {
  if (!["state", "layer", "gate"].includes(vertex.kind)) return "";
  const share = saturationOf(column, vertex), [limit, word] = data.states[vertex.state]?.mark ?? [data.saturated, "saturated"];
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
    grad ? `gradient ${textOf(grad, 4)}` : "", mark, isPadding(column) ? "padding" : "",
  ].filter(Boolean).map(oneLine);
}
