// @ts-check
// Where everything of the picture stands: x of every position, y of every row.
import { firstOf } from "./data.js";
import { oneLine, wide } from "./elements.js";
import { endOf, layOut } from "./fold.js";
import { partOf, rows } from "./walks.js";

/** @typedef {{left: number, right: number, middle: number, folded: boolean}} Span */

/** @typedef {{width: number, height: number, phone: boolean, gutter: number, segments: import("./fold.js").Segment[], column: number,
 *   box: number, high: number, loss: number, rowAt: (row: number) => number, foot: number, ends: boolean[],
 *   spanOf: (position: number) => Span, seen: import("./walks.js").Seen, visible: number}} Plan */

/** @param {import("./walks.js").Seen} seen @param {number} width @param {number} visible lags that are shown @returns {Plan} */
export function planOf(seen, width, visible) {
  const phone = width < 560, high = phone ? 30 : 34, named = Math.max(...rows.map((row) => Math.max(wide(oneLine(row.name), 14, true), wide(oneLine(row.note), 12))));
  const start = (/** @type {boolean} */ reverse) => !phone && seen.walks.some((walk, row) => walk && walk.initial && rows[row].reverse === reverse && startsAt(row));
  const ends = [start(false), start(true)];
  const gutter = (phone ? 0 : Math.ceil(Math.min(Math.max(140, width * 0.18), Math.max(40, named))) + 8) + (ends[0] ? 34 : 0);
  const { segments, column } = layOut(seen, gutter, width - (ends[1] ? 34 : 0), phone);
  const pitch = phone ? 92 : 84, top = phone ? 120 : 112, loss = 44;
  const rowAt = (/** @type {number} */ row) => top + row * pitch;
  const foot = rowAt(rows.length - 1) + high / 2 + 58;
  const spanOf = (/** @type {number} */ position) => {
    const one = segments[firstOf(segments.length - 1, (index) => segments[index].last >= position)], count = one.last - one.first + 1;
    if (count === 1) return { left: one.x, right: one.x + one.width, middle: one.x + one.width / 2, folded: false };
    const each = (one.width - 10) / count, left = one.x + 5 + each * (position - one.first);
    return { left, right: left + each, middle: left + each / 2, folded: true };
  };
  return { width, height: foot + 42, phone, gutter, segments, column, box: Math.min(56, Math.max(column - 14, Math.min(column - 6, 46))), high, loss, rowAt, foot, ends, spanOf, seen, visible };
}

/** Whether a row begins at the side of the picture, and not where another row hands over. @param {number} row */
export function startsAt(row) {
  return rows[row].reverse ? rows[row].clock === Math.max(...rows.map((one) => one.clock)) : partOf(rows[row].clock).offset === 0;
}

/** Where a row's mark stands, null where it has none. @param {Plan} plan @param {number} number
 * @returns {{x: number, kind: string, lag: number, left: number, beyond: number, row: number} | null} */
export function markOf(plan, number) {
  const walk = plan.seen.walks[number], row = rows[number];
  if (!walk) return null;
  const end = endOf(walk), { offset } = partOf(row.clock);
  if (end.kind === "none") return null;
  const span = plan.spanOf(walk.steps[end.place] + offset);
  const ahead = end.kind === "grows" ? span.right : span.left, behind = end.kind === "grows" ? span.left : span.right;
  return { x: row.reverse ? behind : ahead, kind: end.kind, lag: walk.lag + end.place, left: walk.decades[end.place], beyond: walk.decades[end.place + 1] ?? NaN, row: number };
}
