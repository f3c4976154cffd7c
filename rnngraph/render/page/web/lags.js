// The lag matrix as a heat map, and the way of one cell through the graph: from the loss at s back to the state at k.

const lag = { map: null, cells: null, row: 0, column: 0, ends: [0, 1] };
let trail = null;

function startLags() {
  if (!data.lags.length) return;
  byId("lags").hidden = false;
  byId("lagstate").append(...data.lags.map((map, index) => html("option", { value: index }, oneLine(map.name))));
  byId("lagstate").addEventListener("change", chooseLag);
  byId("lagsample").addEventListener("change", () => { chooseSample(); });
  const canvas = byId("lagmap");
  canvas.addEventListener("click", (event) => { pointAt(event); traceBack(); });
  canvas.addEventListener("pointermove", (event) => { if (!trail) pointAt(event); });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (moves) moveTo(lag.row + moves[0], lag.column + moves[1]);
    else if (event.key === "Enter" || event.key === " ") traceBack();
    else return;
    event.preventDefault();
  });
  chooseLag();
}

function chooseLag() {
  lag.map = data.lags[byId("lagstate").value];
  byId("lagsample").replaceChildren(html("option", { value: -1 }, lag.map.samples.length === lag.map.batch ? "all" : `${lag.map.samples.length} of ${lag.map.batch}`),
    ...lag.map.each.map((_, index) => html("option", { value: index }, `sample ${lag.map.samples[index]}`)));
  [lag.row, lag.column] = [lag.map.losses.length - 1, 0];
  chooseSample();
}

function chooseSample() {
  const sample = Number(byId("lagsample").value);
  lag.cells = sample < 0 ? lag.map.all : lag.map.each[sample];
  const known = lag.cells.flat().filter((cell) => typeof cell === "number");
  const top = known.reduce((a, b) => Math.max(a, b), -Infinity) / 100, low = known.reduce((a, b) => Math.min(a, b), Infinity) / 100;
  lag.ends = known.length ? [Math.min(Math.floor(low), Math.ceil(top) - 2), Math.ceil(top)] : [-1, 0];
  data.scales.lag = lag.ends;
  paintLags();
  scaleLegend(byId("laglegend"), "lag", "norm", true);
  sayCell();
}

function paintLags() {
  const canvas = byId("lagmap"), rows = lag.cells.length, wide = lag.cells[0].length;
  const each = Math.max(1, Math.floor(300 / wide)), high = Math.max(3, Math.min(each, Math.floor(300 / rows)) || 3);
  Object.assign(canvas, { width: wide * each, height: rows * high });
  const context = canvas.getContext("2d");
  lag.cells.forEach((row, s) => row.forEach((cell, k) => {
    context.fillStyle = cellColour(cell);
    context.fillRect(k * each, (rows - 1 - s) * high, each, high);
  }));
  context.strokeStyle = isDark() ? "#ffffff" : "#000000";
  context.lineWidth = Math.max(1.5, wide * each / 300);
  context.strokeRect(lag.column * each - 0.5, (rows - 1 - lag.row) * high - 0.5, each + 1, high + 1);
  Object.assign(lag, { each, high });
}

function cellColour(cell) {
  if (typeof cell === "number") return colourOf("lag", cell / 100);
  return cell === null ? (isDark() ? "#111827" : "#f3f4f6") : cell === "n" ? "#c62828" : isDark() ? "#4b5563" : "#cbd5e1";
}

function pointAt(event) {
  const canvas = byId("lagmap"), box = canvas.getBoundingClientRect(), rows = lag.cells.length;
  const x = ((event.clientX - box.left) / box.width) * canvas.width, y = ((event.clientY - box.top) / box.height) * canvas.height;
  moveTo(rows - 1 - Math.floor(y / lag.high), Math.floor(x / lag.each));
}

function moveTo(row, column) {
  lag.row = Math.min(lag.cells.length - 1, Math.max(0, row));
  lag.column = Math.min(lag.cells[0].length - 1, Math.max(0, column));
  paintLags();
  sayCell();
}

// The state that a cell is about: a timestep, -1 for the initial state.
const stateStep = () => Math.min(lag.column * lag.map.width - 1, lag.map.timesteps - 1);

function cellText(cell) {
  if (typeof cell === "number") return numberFromLog(cell / 100, 3);
  return cell === null ? "not measured" : cell === "n" ? "not finite" : "exactly 0";
}

function sayCell() {
  const s = lag.map.losses[lag.row], k = stateStep(), initial = k < 0;
  byId("lagaxes").textContent = `Rows: loss at t=${lag.map.losses[0]} (bottom) to t=${lag.map.losses.at(-1)} (top). Columns: initial state (left), then t=0 to t=${lag.map.timesteps - 1}.`;
  const text = `loss at t=${s}, ${initial ? "initial state" : `state at t=${k}${lag.map.width > 1 ? " and on" : ""}`}: ${cellText(lag.cells[lag.row][lag.column])}`;
  byId("lagtext").textContent = text;
}

function traceBack() {
  const state = data.states[lag.map.state];
  if (!state) return;
  const before = (k) => (state.direction === "reverse" ? last - k : k);
  const s = lag.map.losses[lag.row], k = lag.column === 0 ? -1 : stateStep();
  const initial = lag.column === 0;
  if (!initial && before(k) > before(s)) { showTrail(null); return; }
  showTrail({ state: lag.map.state, s, k: initial ? -1 : k });
  const loss = columnAt(s);
  reveal(loss.x, 0, loss.plan.width, Math.min(scene.height, view.height / tall() - 80));
}

// Keep the way lit until another one is chosen or Escape is pressed.
function showTrail(found) {
  trail = found;
  byId("view").classList.toggle("tracing", Boolean(trail));
  drawTrail();
}

function drawTrail() {
  const layer = byId("path");
  layer.replaceChildren();
  if (!trail) return;
  const state = data.states[trail.state], reverse = state.direction === "reverse";
  const start = columnAt(trail.s), stop = trail.k < 0 && reverse && !ui.rolled && state.timesteps <= last ? columnAt(state.timesteps) : columnAt(trail.k, reverse);
  if (!start || !stop) return;
  const [low, high] = [start.index, stop.index].sort((a, b) => a - b);
  let way = "", heads = "";
  for (let index = low + 1; index <= high; index += 1) {
    for (const edge of columns[index].arrows) {
      if (edge.kind !== "b" || edge.state !== trail.state) continue;
      way += pathOf(edge.points, columns[index].x, 8);
      heads += headOf(edge.points, columns[index].x, 10, 5);
    }
  }
  for (const edge of upward(start, trail.state)) way += pathOf(edge.points, start.x);
  layer.append(svg("path", { class: "trail", d: way }), svg("path", { class: "trail-head", d: heads }));
  for (let index = low; index <= high; index += 1) {
    const vertex = columns[index].plan.vertices.find((one) => one.state === trail.state || one.kind === "fold");
    if (vertex) layer.append(svg("rect", { class: "trail-box", x: columns[index].x + vertex.x - 3, y: vertex.y - 3, width: vertex.width + 6, height: vertex.height + 6, rx: 8 }));
  }
}

// The arrows inside the loss's own column that lead from the state up to the loss.
function upward(column, state) {
  const arrows = column.plan.edges.filter((edge) => edge.kind === "f");
  const reach = (from, way) => {
    const seen = new Set(from);
    for (const key of seen) for (const edge of arrows) if (edge[way[0]][1] === key) seen.add(edge[way[1]][1]);
    return seen;
  };
  const keys = (test) => column.plan.vertices.filter(test).map((vertex) => vertex.key);
  const above = reach(keys((one) => one.state === state), ["from", "to"]), below = reach(keys((one) => one.kind === "loss"), ["to", "from"]);
  return arrows.filter((edge) => [edge.from[1], edge.to[1]].every((key) => above.has(key) && below.has(key)));
}
