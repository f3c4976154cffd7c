// The graph from far away, where a step is too narrow for text: the same columns painted on a canvas, because
// hundreds of them as elements could not follow the pointer. Only time is compressed, rows and bars keep their height.

const READABLE = 0.45; // the smallest scale at which boxes are elements with text
const NEAR = 44, LEAST = 9; // pixels a step: below the first without forward arrows, below the second not at all

const isFar = () => view.scale < READABLE;
const tall = () => (isFar() ? Math.max(view.scale, Math.min(0.62, (view.height - 30) / total().height)) : view.scale);

const themes = new Map(); // asking for a computed style is slow
function themed(name) {
  const key = `${isDark()} ${name}`;
  if (!themes.has(key)) themes.set(key, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return themes.get(key);
}

function drawFar(first, stop) {
  const canvas = byId("far"), ratio = window.devicePixelRatio || 1;
  canvas.hidden = !isFar();
  if (canvas.hidden) return;
  const [wide, high] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d"), sx = view.scale, sy = tall(), pitch = pitchOf() * sx;
  const colours = Object.fromEntries(["ink", "edge", "accent"].map((name) => [name, themed(name)]));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  const at = (points) => points.map((value, index) => (index % 2 ? value * sy + view.y : value * sx + view.x));
  for (let index = first; index < stop; index += 1) {
    const column = columns[index], shapes = farShapes(column);
    if (pitch >= NEAR) for (const points of shapes.thin) curve(context, at(points), colours.edge, 0.7, []);
    for (const { points, colour, wide: line, dash } of shapes.curves) curve(context, at(points), colour, line, dash);
    for (const { x, y, width: w, height: h, fill, line, thick } of shapes.boxes) {
      context.fillStyle = fill;
      context.fillRect(x * sx + view.x, y * sy + view.y, Math.max(1, w * sx), h * sy);
      if (!line) continue;
      context.strokeStyle = line;
      context.lineWidth = thick;
      context.strokeRect(x * sx + view.x, y * sy + view.y, Math.max(1, w * sx), h * sy);
    }
    farName(context, column, pitch, colours.ink);
  }
  const found = current();
  if (!found) return;
  const { column, vertex } = found;
  context.strokeStyle = colours.accent;
  context.lineWidth = 3;
  context.strokeRect((column.x + vertex.x) * sx + view.x, vertex.y * sy + view.y, vertex.width * sx, vertex.height * sy);
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

function farName(context, column, pitch, ink) {
  const every = Math.ceil(60 / pitch);
  if (column.kind === "initial" || (column.kind === "step" && column.first % every)) return;
  context.fillStyle = ink;
  context.font = "600 11px Helvetica, Arial, sans-serif";
  context.textAlign = "center";
  context.fillText(columnName(column), (column.x + column.plan.width / 2) * view.scale + view.x, (scene.height + HEADER) * tall() + view.y + 4);
}

// What one column consists of, with colours; kept with the column until something about it changes.
function farShapes(column) {
  if (column.far) return column.far;
  const moved = (points) => points.map((value, index) => (index % 2 ? value : value + column.x));
  const curves = [], thin = [], before = columns[column.index - 1];
  for (const edge of edges(column)) {
    if (isBeyond(edge, column, column.arrows.includes(edge) ? before : column)) continue;
    if (edge.kind !== "b") { thin.push(moved(edge.points)); continue; }
    if (!ui.backward) continue;
    const look = lookOf(walkOf(edge, column, column.arrows.includes(edge) ? before : column));
    curves.push({ points: moved(look.cut ? halved(edge.points) : edge.points), colour: look.colour ?? themed(look.name), wide: 0.8 + look.wide * 0.5, dash: look.dash });
  }
  const boxes = column.plan.vertices.map((vertex) => {
    const mark = isFirstNonfinite(column, vertex) ? "red" : markOf(column, vertex) ? "orange" : "";
    const kind = isPadding(column, vertex) ? "padding" : { layer: "state", part: "gate", input: "op", initial: "paper" }[vertex.kind] ?? vertex.kind;
    const line = themed(mark || (kind === "paper" ? "gate-line" : `${kind}-line`));
    return { x: column.x + vertex.x, y: vertex.y, width: vertex.width, height: vertex.height, fill: paintOf(column, vertex)?.fill ?? themed(kind), line, thick: mark ? 2 : 1 };
  });
  if (column.kind !== "initial") for (const band of shownBands()) boxes.push(...farBand(column, band));
  column.far = { curves, thin, boxes };
  return column.far;
}

function farBand(column, band) {
  const found = bandMeasure(band, column);
  if (!found || found.status === UNOBSERVED) return [];
  const { top, low } = extentOf(found, column);
  const fill = found.status === OK ? colourOf(band.kind === "gradient" ? "bars" : "weights", found.high) : themed(found.status === NONFINITE ? "red" : "paper");
  const line = found.status === OK || found.status === NONFINITE ? "" : themed(found.status === ZERO ? "grey" : "violet");
  const [high, drop] = band.kind === "gradient" ? [top - low, 1 - top] : [1, 0];
  return [{ x: column.x, y: band.y + band.height * drop, width: column.plan.width * 0.95, height: band.height * high, fill, line, thick: 0.8 }];
}

// The box or band under the pointer.
function farAt(event) {
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
