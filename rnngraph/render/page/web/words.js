// @ts-check
// Where steps have texts: the words in a line, as dark as what the loss leaves of itself at each. A word is a way to look.
import { byId, data } from "./data.js";
import { html, oneLine, shorten } from "./elements.js";
import { endOf } from "./fold.js";
import { chosen, keyOf, look, lossAt, nearest } from "./loss.js";
import { MARK, inkOn, shareText, toneOf } from "./scale.js";
import { furthestRow } from "./say.js";
import { placeAt, rows, severalClocks } from "./walks.js";

const BEFORE = 20, AFTER = 6;

export const haveWords = () => Boolean(data.losses) && !severalClocks && typeof data.atoms === "number" && data.labels.some((/** @type {string | null} */ word) => word !== null);

/** @param {number} visible */
export function drawWords(visible) {
  if (!haveWords()) return;
  const seen = chosen(), both = rows.some((row) => row.reverse), [first, stop] = [Math.max(0, seen.t - BEFORE), Math.min(data.timesteps, seen.t + (both ? BEFORE : AFTER) + 1)];
  const list = byId("word-list"), had = list.contains(document.activeElement);
  const shares = Array.from({ length: stop - first }, (_, index) => shareAt(first + index, visible));
  list.replaceChildren(...shares.map((value, index) => button(first + index, value)));
  const here = list.querySelector("[aria-pressed=true]");
  if (had) here?.focus({ preventScroll: true });
  if (here) list.scrollLeft = here.offsetLeft - list.clientWidth + here.offsetWidth + 60;
  const taught = shares.map((value, index) => ({ value, t: first + index })).filter(({ value, t }) => t !== seen.t && value >= MARK);
  const word = data.labels[seen.t];
  const quoted = taught.slice(-12).map(({ t }) => `“${shorten(oneLine(data.labels[t] ?? ""), 160, 11)}”`).join(", ");
  byId("word-note").textContent = `The loss at ${word === null ? `t=${seen.t}` : `“${shorten(oneLine(word), 160, 11)}”`} ${taught.length ? `still teaches ${taught.length > 12 ? "…, " : ""}${quoted}` : "teaches no other word"}: 1 % or more is left there.`;
}

/** What is left at a timestep, in the row where most is. @param {number} t @param {number} visible */
function shareAt(t, visible) {
  let most = NaN;
  for (const walk of chosen().walks) {
    const place = placeAt(walk, t);
    if (walk && place >= 0 && walk.lag + place <= visible && !(most >= walk.decades[place])) most = walk.decades[place];
  }
  return most;
}

/** @param {number} t @param {number} value */
function button(t, value) {
  const exact = lossAt(t, chosen().clock), tone = toneOf(value), word = data.labels[t], here = t === chosen().t;
  const said = Number.isNaN(value) ? "not reached" : `${shareText(value)} is left`;
  const one = html("button", { type: "button", class: `word ${tone ? `on-${tone}` : ""} ink-${inkOn(tone)}`, "aria-pressed": String(here), title: `t=${t}: ${said}${exact < 0 ? `; the nearest measured loss is at t=${keyOf(nearest(t))}` : ""}` },
    html("bdi", {}, word === null || word === "" ? "·" : shorten(oneLine(word), 180, 14)));
  one.addEventListener("click", () => look(nearest(t)));
  return one;
}

/** @param {import("./walks.js").Seen} seen */
export const endStep = (seen) => {
  const walk = seen.walks[furthestRow(seen)];
  return walk ? walk.lag + Math.max(0, endOf(walk).place) : 0;
};
