// @ts-check
// The mark: an ink line where credit ends, through all rows, and a flag that says so.
import { svg, tenth, wide } from "./elements.js";
import { markOf } from "./place.js";
import { shareText } from "./scale.js";
import { rows } from "./walks.js";

/** @typedef {NonNullable<ReturnType<typeof markOf>>} Mark */

/** @param {any} parent @param {import("./place.js").Plan} plan */
export function drawFlags(parent, plan) {
  const both = rows.some((row) => row.reverse);
  const shown = (both ? [false, true] : [false]).map((reverse) => ({ reverse, marks: marksOf(plan, reverse) }))
    .filter(({ marks }) => marks.length && marks.every((mark) => mark.lag <= plan.visible));
  const placed = (/** @type {boolean} */ brief) => shown.map(({ marks, reverse }) => placedFlag(plan, marks, reverse, both, brief));
  const meet = (/** @type {ReturnType<typeof placed>} */ [one, two]) => one && two && one.x < two.x + two.long + 4 && two.x < one.x + one.long + 4;
  const flags = meet(placed(false)) ? placed(true) : placed(false);
  if (meet(flags)) { // as far apart as there is room
    const [left, right] = flags.sort((one, two) => one.x + one.long / 2 - two.x - two.long / 2);
    right.x = Math.min(plan.width - right.long, left.x + left.long + 4);
    left.x = Math.max(0, right.x - left.long - 4);
  }
  for (const flag of flags) drawFlag(parent, plan, flag);
}

/** The marks of the rows that run one way; one that hands its credit on to an earlier recurrence has none.
 * @param {import("./place.js").Plan} plan @param {boolean} reverse @returns {Mark[]} */
export function marksOf(plan, reverse) {
  const found = rows.map((row, number) => (row.reverse === reverse ? markOf(plan, number) : null)).filter((mark) => mark !== null);
  const clocks = found.map((mark) => rows[mark.row].clock), earliest = Math.min(...clocks);
  return found.filter((mark) => mark.kind === "dies" || mark.kind === "lost" || mark.kind === "grows" || rows[mark.row].clock === earliest);
}

/** What a flag says, in the words of the pictures. @param {Mark[]} marks @param {boolean} [short] where there is little room */
export function saidOf(marks, short = false) {
  const of = (/** @type {string} */ kind) => marks.filter((mark) => mark.kind === kind), left = shareText(Math.max(...marks.map((mark) => mark.left)));
  const last = Math.max(...marks.map((mark) => mark.lag)), growing = of("grows"), first = Math.min(...growing.map((mark) => mark.lag));
  if (growing.length) return short ? `this loss: ×100 from lag ${first} on` : `this loss's gradient passes ×100 at lag ${first}`;
  if (of("cut").length) return short ? `this loss: cut after lag ${last}` : `this loss's credit is cut after lag ${last}, where ${left} is left`;
  if (of("lost").length) return short ? `this loss: followed to lag ${last}` : `this loss was followed to lag ${last} only, where ${left} is left`;
  if (of("dies").length < marks.length) return `this loss${short ? "" : "'s credit"} reaches the ${rows[marks[0].row].reverse ? "end" : "start"}: ${left} left`;
  return ending(marks, short);
}

/** What a screen reader says of a picture: which it is, and its marks. @param {import("./walks.js").Seen} seen @param {string} over
 * @param {import("./place.js").Plan} plan */
export function titled(seen, over, plan) {
  const said = [false, true].map((reverse) => marksOf(plan, reverse)).filter((marks) => marks.length).map((marks) => saidOf(marks));
  return [`What is left of the loss at t=${seen.t} ${over}`, ...new Set(said)].join(": ");
}

/** @param {Mark[]} marks @param {boolean} short */
function ending(marks, short) {
  const lags = marks.map((mark) => mark.lag), [top, bottom] = [lags[0], lags[lags.length - 1]], kinds = marks.map((mark) => rows[mark.row].kind);
  const beyond = marks.every((mark) => mark.beyond === -Infinity) ? "nothing" : "under 1 %";
  if (new Set(lags).size === 1) return short ? `this loss: ${beyond} beyond lag ${top}` : `this loss's credit ends at lag ${top}: ${beyond} beyond`;
  const whose = short ? "this loss" : "this loss's credit";
  if (new Set(kinds).size === 1) return `${whose} ends at lag ${top} on top, ${bottom > top ? "later" : "earlier"} below`;
  return `${whose} ends at ${marks.map((mark) => `lag ${mark.lag} in ${rows[mark.row].kind || rows[mark.row].name}`).slice(0, 2).join(", ")}`;
}

/** A flag's text and place. @param {import("./place.js").Plan} plan @param {Mark[]} marks @param {boolean} reverse @param {boolean} both
 * @param {boolean} brief where the flags of both directions would meet */
function placedFlag(plan, marks, reverse, both, brief) {
  const said = saidOf(marks, plan.phone || both), size = plan.phone ? 12 : 13, name = reverse ? "reverse" : "forward", all = (/** @type {string} */ kind) => marks.every((mark) => mark.kind === kind);
  const words = !both ? said : brief && all("dies") ? `${name} to lag ${Math.max(...marks.map((mark) => mark.lag))}`
    : brief && marks.every(({ kind }) => kind === "starts" || kind === "dies") ? `${name}: ${shareText(Math.max(...marks.map((mark) => mark.left)))} left` : `${name}: ${said.replace("this loss: ", "")}`;
  const pointing = !all("starts"), text = !pointing ? words : reverse ? `${words} ▸` : `◂ ${words}`;
  const long = wide(text, size, true) + 14, first = marks[0].x;
  return { marks, text, size, long, x: Math.max(0, Math.min(plan.width - long, reverse || !pointing ? first : first - long)) };
}

/** @param {any} parent @param {import("./place.js").Plan} plan @param {ReturnType<typeof placedFlag>} flag */
function drawFlag(parent, plan, { marks, text, size, long, x }) {
  let d = `M${tenth(marks[0].x)} 12`;
  marks.forEach((mark, index) => {
    const next = marks[index + 1], low = next ? plan.rowAt(mark.row) + plan.high / 2 + 23.5 : plan.rowAt(mark.row) + plan.high / 2 + 24; // over the factor
    d += `V${low}${next ? `H${tenth(next.x)}` : ""}`;
  });
  parent.append(svg("path", { class: "end-mark", d }));
  parent.append(svg("rect", { class: "flag", x: tenth(x), y: 0, width: tenth(long), height: 22, rx: 4 }),
    svg("text", { class: "flag-text middle", "font-size": size, x: tenth(x + long / 2), y: 15.5 }, text));
}
