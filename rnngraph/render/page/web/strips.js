// @ts-check
// Under the picture, every step at the same width: what is left of this loss, and what all losses say together.
import { drawAmounts, drawBars } from "./bars.js";
import { shortenName, svg, tenth } from "./elements.js";
import { endsOf, leftAt } from "./graph.js";
import { EXPLODED, MARK } from "./scale.js";
import { axis, lossCount, partOf, positions, rows } from "./walks.js";

/** @param {any} parent @param {import("./place.js").Plan} plan @param {number} top @returns {number} where they end */
export function drawStrips(parent, plan, top) {
  const left = plan.phone ? 0 : 140, wide = plan.width - left, each = wide / positions, ends = endsOf(plan), several = rows.length > 1;
  const tall = several ? Math.max(26, Math.min(44, 120 / rows.length)) : plan.phone ? 44 : 64;
  let y = top;
  const note = (/** @type {string} */ text, /** @type {number} */ at, /** @type {string} */ style, /** @type {number} */ size) => parent.append(svg("text", { class: style, x: 0, y: at, "font-size": size }, text));
  if (plan.phone) note("this loss alone (what is left, log scale), to scale", y - 5, "muted", 11.5);
  else { note("this loss alone", y + 13, "bold", several ? 12 : 13); if (!several) { note("what is left, log", y + 29, "muted", 12); note("a bar a step", y + 44, "muted", 12); } }
  rows.forEach((row, number) => {
    const { offset } = partOf(row.clock), x = left + offset * each, room = { x, width: row.timesteps * each, height: tall, base: y + tall, ...ends };
    if (several) { const name = shortenName(row.name, plan.phone ? 200 : 124, 11.5); if (plan.phone) { y += 13; room.base += 13; note(name, y - 3, "muted", 11.5); } else note(name, number ? y + tall / 2 + 4 : y + 29, "muted", 11.5); }
    drawBars(parent, room, row.timesteps, (t) => leftAt(plan, number, t) ?? NaN);
    const limit = ends.top >= EXPLODED ? EXPLODED : MARK, line = room.base - tall * ((limit - ends.low) / (ends.top - ends.low));
    if (limit >= ends.low) parent.append(svg("path", { class: "percent", d: `M${tenth(x)} ${tenth(line)}h${tenth(room.width)}` }));
    parent.append(svg("path", { class: "rule", d: `M${tenth(x)} ${room.base}h${tenth(room.width)}` }));
    if (!number && !plan.phone && limit >= ends.low) parent.append(svg("text", { class: "muted end", x: left - 5, y: line + 4, "font-size": 11 }, limit === MARK ? "1 %" : "×100"));
    y = room.base + (several ? 6 : 0);
  });
  y = drawSums(parent, plan, left, each, y + (plan.phone ? 20 : 10), note);
  for (const [x, text, anchor] of ticks(left, wide)) parent.append(svg("text", { class: `muted ${anchor}`, "font-size": 11, x: tenth(x), y: y + 16 }, text));
  return y + 22;
}

/** @param {any} parent @param {import("./place.js").Plan} plan @param {number} left @param {number} each @param {number} y
 * @param {(text: string, at: number, style: string, size: number) => void} note */
function drawSums(parent, plan, left, each, y, note) {
  if (!rows.some((row) => row.sum.length)) return y - 10;
  if (plan.phone) note(`sum over all losses (linear): says nothing of reach`, y - 5, "muted", 11.5);
  else note(lossCount > 1 ? "sum of all losses" : "its norm, linear", y + 12, "plain", 12);
  for (const part of axis) {
    const own = rows.filter((row) => row.clock === part.clock && row.sum.length), [row] = own;
    if (row) drawAmounts(parent, { x: left + part.offset * each, base: y + 14, width: row.timesteps * each, height: 14 }, row.sum);
  }
  return y + 14;
}

/** Marks of time that do not run into each other. @param {number} left @param {number} wide @returns {[number, string, string][]} */
function ticks(left, wide) {
  const each = wide / positions, found = /** @type {[number, string, string][]} */ ([]);
  for (const part of axis) {
    const every = niceStep(70 / each), stop = part.offset + part.timesteps;
    for (let t = 0; t < part.timesteps; t += every) {
      if (t && (t === part.timesteps - 1 || (part.timesteps - 0.5 - t) * each < 62)) break;
      const x = left + (part.offset + t + (t ? 0.5 : 0)) * each, before = found[found.length - 1];
      if (!before || x - before[0] > 32) found.push([x, `t=${t}`, t ? "middle" : "start"]); // a part may be narrower than its mark
    }
    const last = part === axis[axis.length - 1];
    if (last && part.timesteps > 1 && part.timesteps * each > 90) found.push([left + stop * each, `t=${part.timesteps - 1}`, "end"]);
  }
  return found;
}

/** @param {number} least */
export function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((part) => part * power).find((step) => step >= least) ?? 1;
}
