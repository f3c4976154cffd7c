// @ts-check
// Arrows back in time: as wide and as dark as what goes along them, dotted under 1 %.
import { svg, tenth } from "./elements.js";
import { isFaint, toneOf, widthOf } from "./scale.js";

/** @param {number} x @param {number} y @param {number} dx @param {number} dy @param {number} size @param {number} [half] of its width */
export function headAt(x, y, dx, dy, size, half = size * 0.62) {
  const length = Math.hypot(dx, dy) || 1, ux = dx / length, uy = dy / length;
  const point = (/** @type {number} */ along, /** @type {number} */ across) => `${tenth(x - ux * along - uy * across)} ${tenth(y - uy * along + ux * across)}`;
  return `M${tenth(x)} ${tenth(y)}L${point(size, half)}L${point(size, -half)}Z`;
}

/** A bow under the boxes from one x to another. @param {any} parent @param {number} from @param {number} to @param {number} y @param {number} decades */
export function bow(parent, from, to, y, decades) {
  const deep = y + 20, c0 = from + (to - from) * 0.12, c1 = from + (to - from) * 0.88;
  way(parent, `M${tenth(from)} ${y}C${tenth(c0)} ${deep} ${tenth(c1)} ${deep}`, [to, y], [to - c1, y - deep], decades);
}

/** A way to a point, with its head. @param {any} parent @param {string} d up to the last point @param {[number, number]} end
 * @param {[number, number]} direction @param {number} decades */
export function way(parent, d, end, direction, decades) {
  const faint = isFaint(decades), wide = widthOf(decades), size = faint ? 6.5 : 8 + wide;
  const length = Math.hypot(...direction) || 1, back = size * 0.8;
  const stop = `${tenth(end[0] - (direction[0] / length) * back)} ${tenth(end[1] - (direction[1] / length) * back)}`;
  const tone = toneOf(decades);
  const line = svg("path", { class: faint ? "way dotted" : `way ${tone}`, d: `${d} ${stop}` });
  if (!faint) line.setAttribute("stroke-width", tenth(wide));
  parent.append(line, svg("path", { class: faint ? "line" : tone, d: headAt(end[0], end[1], direction[0], direction[1], size) }));
}

/** A thin arrow of the pass forward. @param {any} parent @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
export function thin(parent, x0, y0, x1, y1) {
  parent.append(svg("path", { class: "forward", d: `M${tenth(x0)} ${tenth(y0)}L${tenth(x1)} ${tenth(y1)}` }));
  if (Math.hypot(x1 - x0, y1 - y0) > 7) parent.append(svg("path", { class: "line pale", d: headAt(x1, y1, x1 - x0, y1 - y0, 5) }));
}
