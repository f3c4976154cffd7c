// @ts-check
// What is left of the loss that is looked from, for the boxes and arrows of the graph of every step.
import { chosen } from "../loss.js";
import { shareText } from "../scale.js";
import { placeAt, rows } from "../walks.js";

const rowOfState = new Map();
rows.forEach((row, number) => row.states.forEach((state) => rowOfState.set(state, number)));

// Decades at a timestep of a state, NaN where the loss does not come; step -1 is the initial state.
export function decadesAt(state, step) {
  const number = rowOfState.get(state), walk = number === undefined ? null : chosen().walks[number];
  if (!walk) return NaN;
  if (step < 0) return walk.initial ? walk.decades[walk.decades.length - 1] : NaN;
  return walk.decades[placeAt(walk, step)] ?? NaN;
}

// The smallest and the largest that is left over the steps of a column, null where the loss does not come.
export function leftOver(state, column) {
  if (column.kind === "initial") { const value = decadesAt(state, -1); return Number.isNaN(value) ? null : [value, value]; }
  let low = NaN, high = NaN;
  for (let step = column.first; step <= column.last; step += 1) {
    const value = decadesAt(state, step);
    if (Number.isNaN(value)) continue;
    if (!(value >= low)) low = value;
    if (!(value <= high)) high = value;
  }
  return Number.isNaN(low) ? null : [low, high];
}

export function leftText(state, column) {
  const found = leftOver(state, column);
  if (!found) return "";
  const [low, high] = found.map(shareText);
  return low === high ? low : `${low} … ${high}`;
}
