// @ts-check
// The walks back from every loss, read from the page's data once they are asked for.
import { data } from "./data.js";

const given = data.losses;

/** @typedef {{name: string, note: string, kind: string, clock: number, timesteps: number, reverse: boolean, layer: number, states: number[],
 *   squashed: string, keeps: string, gate: string, plain: boolean, gates: any[], weights: any[], activation: any[],
 *   saturated: any[], sum: any[], broken: number[]}} Row */

/** @typedef {{steps: Int32Array, lag: number, cut: boolean, initial: boolean, decades: Float64Array, place: Int32Array}} Walk
 *   `place` by timestep: the position in the walk, -1 where it does not pass. */

/** @typedef {{number: number, t: number, clock: number, samples: number, position: number, walks: (Walk | null)[]}} Seen */

/** @type {Row[]} */
export const rows = given ? given.rows : [];
/** @type {{clock: number, timesteps: number, offset: number, name: string}[]} */
export const axis = [];
for (const [clock, timesteps, name] of given ? given.axis : []) {
  axis.push({ clock, timesteps, name, offset: axis.length ? axis[axis.length - 1].offset + axis[axis.length - 1].timesteps : 0 });
}
export const positions = axis.reduce((sum, part) => sum + part.timesteps, 0);
export const lossCount = given ? given.seen.length : 0;
export const severalClocks = axis.length > 1;

/** @param {number} clock */
export const partOf = (clock) => axis[axis.findIndex((part) => part.clock === clock)];

/** The part of the axis and the timestep at a position. @param {number} position @returns {[{clock: number, timesteps: number, offset: number, name: string}, number]} */
export function stepAt(position) {
  let part = axis[0];
  for (const one of axis) if (position >= one.offset) part = one;
  return [part, position - part.offset];
}

/** @type {Map<number, Seen>} */
const read = new Map();

/** @param {number} number @returns {Seen} */
export function seenFrom(number) {
  const known = read.get(number);
  if (known) return known;
  const one = data.losses.seen[number];
  const walks = one.walks.map((/** @type {any} */ walk, /** @type {number} */ row) => (walk ? decoded(walk, rows[row]) : null));
  const result = { number, t: one.t, clock: one.clock, samples: one.samples, position: partOf(one.clock).offset + one.t, walks };
  read.set(number, result);
  return result;
}

/** @param {any} walk @param {Row} row @returns {Walk} */
function decoded(walk, row) {
  const steps = Array.isArray(walk.steps) ? counted(walk.steps, row.reverse) : Int32Array.from(walk.steps.each);
  const decades = new Float64Array(steps.length + (walk.initial ? 1 : 0));
  let sum = 0;
  for (let index = 0; index < decades.length; index += 1) {
    if (Array.isArray(walk.decades)) decades[index] = (sum += walk.decades[index]) / 1000;
    else decades[index] = valueOf(walk.decades.each[index]);
  }
  const place = new Int32Array(row.timesteps).fill(-1);
  steps.forEach((step, index) => { place[step] = index; });
  return { steps, lag: walk.lag, cut: walk.cut, initial: walk.initial, decades, place };
}

/** @param {number[]} steps @param {boolean} reverse */
const counted = ([first, count], reverse) => Int32Array.from({ length: count }, (_, index) => (reverse ? first + index : first - index));

/** @param {number | string | null} entry */
const valueOf = (entry) => (entry === null ? NaN : entry === "0" ? -Infinity : Number(entry) / 1000);

/** The place of a timestep in a walk, -1 where that does not pass. @param {Walk | null | undefined} walk @param {number} t */
export const placeAt = (walk, t) => (walk && t >= 0 && t < walk.place.length ? walk.place[t] : -1);

/** The last place of a walk where as much is left, -1 where it never is. @param {Walk} walk @param {number} decades */
export function lastAbove(walk, decades) {
  let index = walk.decades.length - 1;
  while (index >= 0 && !(walk.decades[index] >= decades)) index -= 1;
  return index;
}

/** The first place of a walk where as much is there, -1 where it never is. @param {Walk} walk @param {number} decades */
export const firstAbove = (walk, decades) => walk.decades.findIndex((value) => value >= decades);

/** Whether a place of a walk is the initial state. @param {Walk} walk @param {number} index */
export const isInitial = (walk, index) => index >= walk.steps.length;
