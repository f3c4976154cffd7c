// @ts-check
// The mark: an ink line where credit ends, through all rows, and a flag that says so.
import { svg, tenth } from "./elements.js";
import { markOf } from "./place.js";
import { shareText } from "./scale.js";
import { rows } from "./walks.js";

/** @typedef {NonNullable<ReturnType<typeof markOf>>} Mark */

/** @param {any} parent @param {import("./place.js").Plan} plan */
export function drawFlags(parent, plan) {
  const both = rows.some((row) => row.reverse);
  for (const reverse of both ? [false, true] : [false]) {
    const marks = marksOf(plan, reverse);
    if (marks.length && marks.every((mark) => mark.lag <= plan.visible)) drawFlag(parent, plan, marks, reverse, both);
  }
}

/** The marks of the rows that run one way; one that hands its credit on to an earlier recurrence has none.
 * @param {import("./place.js").Plan} plan @param {boolean} reverse @returns {Mark[]} */
export function marksOf(plan, reverse) {
  const found = rows.map((row, number) => (row.reverse === reverse ? markOf(plan, number) : null)).filter((mark) => mark !== null);
  const clocks = found.map((mark) => rows[mark.row].clock), earliest = Math.min(...clocks);
  return found.filter((mark) => mark.kind === "dies" || mark.kind === "lost" || mark.kind === "grows" || rows[mark.row].clock === earliest);
}

/** @param {Mark[]} marks @param {boolean} [short] */
export function saidOf(marks, short = false) {
  const dying = marks.filter((mark) => mark.kind === "dies"), growing = marks.filter((mark) => mark.kind === "grows"), cut = marks.filter((mark) => mark.kind === "cut"), lost = marks.filter((mark) => mark.kind === "lost");
  const span = (/** @type {Mark[]} */ some) => {
    const lags = some.map((mark) => mark.lag), [least, most] = [Math.min(...lags), Math.max(...lags)];
    return least === most ? `lag ${least}` : `lags ${least} to ${most}`;
  };
  if (growing.length) return `from here on more than ×100: ${span(growing)}`;
  const left = Math.max(...marks.map((mark) => mark.left));
  if (cut.length) return `cut at ${span(cut)}: ${shareText(left)} left`;
  if (dying.length === marks.length) return `this loss${short ? "" : "'s credit"} ends at ${span(dying)}`;
  if (lost.length === marks.length) return `followed to ${span(lost)} only`;
  return `reaches the start: ${shareText(left)} left`;
}

/** @param {any} parent @param {import("./place.js").Plan} plan @param {Mark[]} marks @param {boolean} reverse @param {boolean} both */
function drawFlag(parent, plan, marks, reverse, both) {
  const said = saidOf(marks, plan.phone), size = plan.phone ? 12 : 13, ends = marks.every((mark) => mark.kind === "dies");
  const name = both && !plan.phone ? (reverse ? "reverse: " : "forward: ") : "";
  const beyond = !ends || plan.phone ? "" : marks.every((mark) => mark.beyond === -Infinity) ? ": nothing beyond" : ": under 1 % beyond";
  const text = reverse ? `${name}${said}${beyond} ▸` : `◂ ${name}${said}${beyond}`;
  const wide = text.length * size * 0.56 + 14, first = marks[0].x;
  const x = Math.max(0, Math.min(plan.width - wide, reverse ? first : first - wide));
  let d = `M${tenth(first)} 12`;
  marks.forEach((mark, index) => {
    const next = marks[index + 1], low = next ? plan.rowAt(mark.row) + plan.high / 2 + 23.5 : plan.rowAt(mark.row) + plan.high / 2 + 44;
    d += `V${low}${next ? `H${tenth(next.x)}` : ""}`;
  });
  parent.append(svg("path", { class: "end-mark", d }));
  parent.append(svg("rect", { class: "flag", x: tenth(x), y: 0, width: tenth(wide), height: 22, rx: 4 }),
    svg("text", { class: "flag-text middle", "font-size": size, x: tenth(x + wide / 2), y: 15.5 }, text));
}
