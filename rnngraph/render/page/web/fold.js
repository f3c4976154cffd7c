// @ts-check
// Which steps of the picture have a column of their own, and which are folded between them.
import { data } from "./data.js";
import { oneLine, wide } from "./elements.js";
import { EXPLODED, MARK } from "./scale.js";
import { axis, firstAbove, lastAbove, partOf, positions, rows, severalClocks, stepAt } from "./walks.js";

/** @typedef {{first: number, last: number, x: number, width: number, clock: number, offset: number}} Segment a column or a fold */

export const WORD = 10.5; // the size of a word that has little room

/** The room that the word of a step needs, as far as it is not too long. @param {number} position @param {number} most */
function needed(position, most) {
  const word = severalClocks ? null : data.labels[position];
  return word ? Math.min(most, wide(oneLine(word.slice(0, 40)), WORD) + 3) : 0;
}

/** The place where a row's credit ends, grows or reaches the first step; the initial state is none.
 * @param {import("./walks.js").Walk} walk
 * @returns {{kind: "dies" | "grows" | "starts" | "cut" | "lost" | "none", place: number}} */
export function endOf(walk) {
  const final = walk.steps.length - 1, grown = firstAbove(walk, EXPLODED), above = Math.min(final, lastAbove(walk, MARK));
  if (grown >= 0 && grown <= final) return { kind: "grows", place: grown };
  if (above < 0) return { kind: "none", place: -1 };
  if (above < final) return { kind: Number.isNaN(walk.decades[above + 1]) ? "lost" : "dies", place: above };
  return { kind: walk.cut ? "cut" : "starts", place: final };
}

/** Positions in the order of how much they matter: the loss, where credit ends, the start, then outwards from the loss.
 * @param {import("./walks.js").Seen} seen @param {boolean} phone */
function wanted(seen, phone) {
  const must = [seen.position], ends = [];
  seen.walks.forEach((walk, number) => {
    if (!walk) return;
    const row = rows[number], { offset } = partOf(row.clock), end = endOf(walk);
    if (end.kind === "dies" || end.kind === "lost" || end.kind === "grows") {
      const around = end.kind !== "grows" ? [end.place, end.place + 1] : [end.place - 1, end.place];
      ends.push(around.filter((place) => place >= 0).map((place) => walk.steps[place] + offset));
    }
  });
  ends.sort((a, b) => Math.abs(a[0] - seen.position) - Math.abs(b[0] - seen.position));
  if (ends.length) must.push(...ends[ends.length - 1], ...(phone ? [] : ends[0]));
  for (const part of axis) must.push(part.offset, part.offset + part.timesteps - 1);
  const far = axis.length > 1 ? [] : [positions - 1].filter((end) => end !== seen.position && !reaches(seen, end));
  const rest = [];
  const wings = seen.walks.some((walk, number) => walk && rows[number].reverse) ? [-1, 1] : [-1];
  for (let away = 1; away <= 14; away += 1) for (const sign of wings) rest.push(seen.position + sign * away);
  return { must: must.filter((one) => !far.includes(one)), rest };
}

/** @param {boolean} phone */
const leastFold = (phone) => (phone ? 42 : 62);

/** @param {import("./walks.js").Seen} seen @param {number} position */
function reaches(seen, position) {
  const [part, t] = stepAt(position);
  return seen.walks.some((walk, number) => walk && rows[number].clock === part.clock && walk.place[t] >= 0);
}

/** Lay the columns and folds of a picture side by side.
 * @param {import("./walks.js").Seen} seen @param {number} left @param {number} width @param {boolean} phone
 * @returns {{segments: Segment[], column: number}} */
export function layOut(seen, left, width, phone) {
  const room = width - left, usual = phone ? 52 : 66, worded = phone && needed(seen.position, 1) > 0, least = worded ? 54 : phone ? 44 : 52;
  const { must, rest } = wanted(seen, phone);
  /** @type {Set<number>} */
  let kept = new Set();
  const take = (/** @type {number} */ position, /** @type {number} */ each) => {
    if (position < 0 || position >= positions || kept.has(position)) return;
    const more = new Set(kept).add(position);
    const found = segmentsOf(more), folds = found.filter((one) => one.last > one.first).length;
    if ((found.length - folds) * each + folds * leastFold(phone) <= room) kept = more;
  };
  for (const position of must) take(position, least);
  const most = phone ? 5 : Math.max(6, Math.floor((room * 0.8) / usual)); // of columns of their own, so that folds show their bars
  for (const position of rest) if (kept.size < most) take(position, usual);
  if (positions <= 14) for (let position = 0; position < positions; position += 1) take(position, least);
  return placed(segmentsOf(kept), left, room, usual, leastFold(phone));
}

/** @param {Set<number>} kept @returns {Segment[]} */
function segmentsOf(kept) {
  const found = [];
  const sorted = [...kept].sort((a, b) => a - b);
  for (const part of axis) {
    const { clock, offset } = part, stop = offset + part.timesteps;
    let from = offset;
    const add = (/** @type {number} */ first, /** @type {number} */ last) => { if (last >= first) found.push({ first, last, x: 0, width: 0, clock, offset }); };
    for (const position of sorted) {
      if (position < offset || position >= stop) continue;
      add(from, position - 1); // a gap of one step is shown as it is
      add(position, position);
      from = position + 1;
    }
    add(from, stop - 1);
  }
  return found;
}

/** @param {Segment[]} segments @param {number} left @param {number} room @param {number} usual @param {number} narrow the least width of a fold */
function placed(segments, left, room, usual, narrow) {
  const folds = segments.filter((one) => one.last > one.first), full = segments.length - folds.length;
  const roots = folds.map((one) => Math.sqrt(one.last - one.first + 1)), sum = roots.reduce((a, b) => a + b, 0);
  const column = Math.min(folds.length ? usual : Math.min(110, room / Math.max(1, full)), (room - folds.length * narrow) / Math.max(1, full));
  let x = left, fold = 0, spare = folds.length ? room - full * column - folds.length * narrow : 0;
  const wider = new Map(segments.filter((one) => one.first === one.last).map((one) => [one, needed(one.first, 1.5 * usual) - column]));
  for (const [one, more] of [...wider].sort((a, b) => a[1] - b[1])) if (more > 0 && more <= spare) spare -= more; else wider.delete(one);
  for (const one of segments) {
    one.x = x;
    one.width = one.last > one.first ? narrow + (spare * roots[fold++]) / sum : column + (wider.get(one) ?? 0);
    x += one.width;
  }
  return { segments, column };
}
