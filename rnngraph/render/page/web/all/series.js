// @ts-check
// The page's data, and how to summarise a series of them over the steps that a column stands for.
// An atom is a run of steps that is shown or hidden as a whole: one step, unless the sequence is very long.
import { NONFINITE, OK, UNDERFLOW, UNOBSERVED, ZERO } from "./text.js";
import { data, firstOf, last } from "../data.js";

export const atoms = typeof data.atoms === "number" ? Array.from({ length: data.atoms }, (_, t) => [t, t + 1]) : data.atoms;
export const groups = data.groups.flatMap(([group, count]) => Array(count).fill(group));

export const entryOf = (series, atom) => (series.length === 1 ? series[0] : series[atom]);

// Return the number of the atom that holds a timestep.
export const atomAt = (step) => firstOf(atoms.length - 1, (atom) => atoms[atom][1] > step);

// The atoms that a state's recurrence has, and what of several runs lies in them.
export const ownAtoms = (state) => atomAt(state.timesteps - 1) + 1;
export const ownRuns = (state, runs) => runs.map(([first, stop]) => [first, Math.min(stop, ownAtoms(state))]).filter(([first, stop]) => first < stop);

export const isStep = (atom) => atoms[atom][1] - atoms[atom][0] === 1;

export function measureEntry(entry, log) {
  const counts = [0, 0, 0, 0, 0];
  let low = NaN, high = NaN;
  if (Array.isArray(entry)) {
    [low, high] = [entry[0] ?? NaN, entry[1] ?? NaN];
    entry.slice(2).forEach((count, status) => { counts[status] = count; });
  } else if (typeof entry === "number") {
    if (!log && entry === 0) counts[ZERO] = 1;
    else [low, high, counts[OK]] = [entry, entry, 1];
  } else {
    counts[entry === null ? UNOBSERVED : entry === "0" ? ZERO : entry === "u" ? UNDERFLOW : NONFINITE] = 1;
  }
  return { low, high, counts, log, status: statusOf(counts) };
}

const statusOf = (counts) => [NONFINITE, OK, UNDERFLOW, ZERO].find((status) => counts[status]) ?? UNOBSERVED;

// Summarise {log: […]} or {plain: […]} over runs of atoms [[first, stop], …].
export function measureOf(series, runs) {
  const log = "log" in series, entries = series.log ?? series.plain;
  const total = { low: Infinity, high: -Infinity, counts: [0, 0, 0, 0, 0], log };
  for (const [first, stop] of runs) {
    for (let atom = first; atom < stop; atom += 1) {
      const one = measureEntry(entryOf(entries, atom), log);
      if (one.low < total.low) total.low = one.low;
      if (one.high > total.high) total.high = one.high;
      one.counts.forEach((count, status) => { total.counts[status] += count; });
    }
  }
  if (total.low === Infinity) total.low = total.high = NaN;
  total.status = statusOf(total.counts);
  return total;
}

export const measureAt = (series, step) => measureOf(series, [[atomAt(step), atomAt(step) + 1]]);

export function lossOf(runs) {
  let sum = null;
  for (const [first, stop] of runs) {
    for (let atom = first; atom < stop; atom += 1) {
      const part = data.loss[atom];
      if (part === "n") return "n";
      if (part !== null) sum = (sum ?? 0) + part;
    }
  }
  return sum;
}

// Return the id of the recorded node behind place `place` of a vertex at an atom, -1 where there is none.
export function nodeId(scene, key, place, atom) {
  const ids = scene.ids[`${key} ${place}`];
  if (!ids) return -1;
  return ids.list ? ids.list[atom] : ids.first + ids.by * atoms[atom][0];
}

// The text of --steps: 10:20, 0:3,97:100, 7, all. Returns half-open ranges or throws with a sentence.
export function parseSteps(text) {
  if (text.trim().toLowerCase() === "all") return [[0, data.timesteps]];
  const fromEnd = (step) => (step < 0 ? step + data.timesteps : step);
  const ranges = text.split(",").map((part) => {
    const match = /^\s*(?:(-?\d+)|(-?\d+)?\s*:\s*(-?\d+)?)\s*$/.exec(part);
    if (!match || !part.trim()) throw new Error(`Steps "${text}" is not a range; write 10:20, 0:3,97:100, 7 or all.`);
    const start = fromEnd(Number(match[1] ?? match[2] ?? 0));
    const stop = match[1] !== undefined ? start + 1 : match[3] !== undefined ? fromEnd(Number(match[3])) : data.timesteps;
    if (start < 0 || stop > data.timesteps) throw new Error(`Steps ${part.trim()} reach outside 0 … ${last}.`);
    if (start >= stop) throw new Error(`Steps ${part.trim()} are empty; the second number must be larger.`);
    return [start, stop];
  });
  return merged(ranges);
}

export function merged(ranges) {
  const result = [];
  for (const [start, stop] of ranges.map((range) => [...range]).sort((a, b) => a[0] - b[0])) {
    const before = result.at(-1);
    if (before && start <= before[1]) before[1] = Math.max(before[1], stop);
    else result.push([start, stop]);
  }
  return result;
}

export const writeSteps = (ranges) => (ranges.length === 1 && ranges[0][0] === 0 && ranges[0][1] === data.timesteps
  ? "all" : ranges.map(([start, stop]) => (stop - start === 1 ? `${start}` : `${start}:${stop}`)).join(","));

export const foldedSteps = () => (data.timesteps <= 12 ? [[0, data.timesteps]] : [[0, 5], [data.timesteps - 5, data.timesteps]]);
