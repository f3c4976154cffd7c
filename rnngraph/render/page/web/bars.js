// @ts-check
// Bars of what is left, one a step or, where there is no room, one for the smallest of several steps: a path a colour.
import { svg } from "./elements.js";
import { heightOf, isFaint, toneOf } from "./scale.js";

/** How many values there is room for, how many steps each stands for, and how wide it is. @param {number} width @param {number} count */
function binsOf(width, count) {
  const most = Math.max(1, Math.floor(width / 2)), each = Math.max(1, Math.ceil(count / most)), bins = Math.ceil(count / each), wide = width / bins;
  return { each, bins, wide, gap: wide > 4 ? Math.min(2, wide * 0.16) : wide > 2.5 ? 0.5 : 0 };
}

/** @param {any} parent @param {{x: number, base: number, width: number, height: number, low: number, top: number}} room
 * @param {number} count @param {(index: number) => number} decadesAt NaN where there is no bar */
export function drawBars(parent, room, count, decadesAt) {
  const { each, bins, wide, gap } = binsOf(room.width, count);
  /** @type {Map<string, string>} */
  const paths = new Map();
  for (let bin = 0; bin < bins; bin += 1) {
    let value = NaN;
    for (let index = bin * each; index < Math.min(count, (bin + 1) * each); index += 1) {
      const one = decadesAt(index);
      if (!Number.isNaN(one) && !(one > value)) value = one;
    }
    if (Number.isNaN(value)) continue;
    const high = Math.max(1.2, room.height * heightOf(value, room)), tone = `${toneOf(value)}${isFaint(value) ? " faint-bar" : ""}`;
    const x = room.x + bin * wide + gap / 2;
    paths.set(tone, `${paths.get(tone) ?? ""}M${x.toFixed(2)} ${room.base}v${(-high).toFixed(2)}h${(wide - gap).toFixed(2)}V${room.base}Z`);
  }
  for (const [tone, d] of paths) parent.append(svg("path", { class: tone, d }));
}

/** @param {any} parent @param {{x: number, base: number, width: number, height: number}} room @param {number[]} shares 0 to 1, NaN for none */
export function drawAmounts(parent, room, shares) {
  const { each, bins, wide, gap } = binsOf(room.width, shares.length);
  let d = "";
  for (let bin = 0; bin < bins; bin += 1) {
    const value = Math.max(...shares.slice(bin * each, (bin + 1) * each).map((one) => (Number.isFinite(one) ? one : 0)));
    const high = room.height * Math.min(1, value);
    if (high > 0.2) d += `M${(room.x + bin * wide + gap / 2).toFixed(2)} ${room.base}v${(-high).toFixed(2)}h${(wide - gap).toFixed(2)}V${room.base}Z`;
  }
  parent.append(svg("path", { class: "amount", d }));
}
