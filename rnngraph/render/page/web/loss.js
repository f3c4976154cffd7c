// @ts-check
// The one thing that is chosen on this page: from which loss everything is seen. It is kept in the address.
import { data } from "./data.js";
import { axis, lossCount, seenFrom } from "./walks.js";

const entries = data.losses ? data.losses.seen : [], first = data.losses ? data.losses.start : 0;
/** @type {((number: number) => void)[]} */
const listeners = [];
let lookedFrom = first;

export const chosen = () => seenFrom(lookedFrom);

/** Call a function now and whenever another loss is looked from. @param {(number: number) => void} listener */
export function whenSeen(listener) { listeners.push(listener); }

/** @param {number} wanted */
export function look(wanted) {
  const next = Math.max(0, Math.min(lossCount - 1, wanted));
  if (next === lookedFrom) return;
  lookedFrom = next;
  keep();
  tell();
}

function tell() { for (const listener of listeners) listener(lookedFrom); }

/** The measured loss nearest to a timestep of a clock. @param {number} t @param {number} [clock] */
export function nearest(t, clock = chosen().clock) {
  let best = -1;
  entries.forEach((/** @type {any} */ one, /** @type {number} */ index) => {
    if (one.clock === clock && (best < 0 || Math.abs(one.t - t) < Math.abs(entries[best].t - t))) best = index;
  });
  return best;
}

/** The measured loss at a timestep of a clock, -1 for none. @param {number} t @param {number} clock */
export function lossAt(t, clock) {
  const found = nearest(t, clock);
  return found >= 0 && entries[found].t === t ? found : -1;
}

/** What the address calls a loss: its timestep, and its recurrences' clock where it is not the usual one. @param {number} index */
export const keyOf = (index) => (entries[index].clock === entries[first].clock ? `${entries[index].t}` : `${entries[index].t},${entries[index].clock}`);

function keep() {
  try { history.replaceState(null, "", lookedFrom === first ? "#" : `#loss=${keyOf(lookedFrom)}`); } catch { /* a frame without an address of its own */ }
}

/** Look from where the address says. */
export function fromAddress() {
  const match = /(?:^|[#&])loss=(\d+)(?:,(\d+))?/.exec(location.hash);
  if (!match || !lossCount) return;
  const clock = match[2] === undefined ? entries[first].clock : Number(match[2]);
  if (!axis.some((part) => part.clock === clock)) return;
  const found = nearest(Number(match[1]), clock);
  if (found >= 0 && found !== lookedFrom) { lookedFrom = found; tell(); }
}
