// @ts-check
// Curves and texts of the graph of every step.
import { headAt } from "../arrows.js";
import { shorten, svg, tenth } from "../elements.js";

// Points are x and y in turn, 3k + 1 of them; the tip is drawn back so that the arrow head ends there.
export function pathOf(points, offset, back = 0) {
  const all = points.map((value, index) => (index % 2 ? value : value + offset));
  const end = all.length - 2;
  if (back) {
    const [dx, dy] = direction(all);
    all[end] -= dx * back;
    all[end + 1] -= dy * back;
  }
  let text = `M${tenth(all[0])} ${tenth(all[1])}`;
  for (let at = 2; at < all.length; at += 6) text += `C${all.slice(at, at + 6).map(tenth).join(" ")}`;
  return text;
}

function direction(points) {
  const end = points.length - 2;
  const dx = points[end] - points[end - 2], dy = points[end + 1] - points[end - 1];
  const length = Math.hypot(dx, dy) || 1;
  return [dx / length, dy / length];
}

export function headOf(points, offset, length, half) {
  const [x, y] = points.slice(-2), [dx, dy] = direction(points);
  return headAt(x + offset, y, dx, dy, length, half);
}

// The first half of a curve of one piece: an arrow that ends at a cut.
export function halved([ax, ay, bx, by, cx, cy, dx, dy]) {
  const middle = (one, two) => (one + two) / 2;
  const [px, py, qx, qy, rx, ry] = [middle(ax, bx), middle(ay, by), middle(bx, cx), middle(by, cy), middle(cx, dx), middle(cy, dy)];
  const [sx, sy, tx, ty] = [middle(px, qx), middle(py, qy), middle(qx, rx), middle(qy, ry)];
  return [ax, ay, px, py, sx, sy, middle(sx, tx), middle(sy, ty)];
}

export function lines(parent, text, box, size, attributes = {}) {
  const rows = text.split("\n");
  const element = svg("text", { x: box.x + box.width / 2, "font-size": size, ...attributes });
  const top = box.y + box.height / 2 - ((rows.length - 1) * size * 1.2) / 2;
  rows.forEach((row, index) => {
    element.append(svg("tspan", { x: attributes.x ?? box.x + box.width / 2, y: (top + index * size * 1.2).toFixed(1), dy: "0.35em" },
      shorten(row, attributes.room ?? box.width - 4, size)));
  });
  element.removeAttribute("room");
  parent.append(element);
  return element;
}
