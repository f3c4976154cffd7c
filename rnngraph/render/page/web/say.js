// @ts-check
// The sentence about the loss that is looked from, and the grey line under the headline.
import { byId, data } from "./data.js";
import { html, oneLine } from "./elements.js";
import { endOf } from "./fold.js";
import { leftAt } from "./graph.js";
import { EXPLODED, MARK, shareText } from "./scale.js";
import { firstAbove, isInitial, lastAbove, partOf, rows, severalClocks } from "./walks.js";

const HALF = Math.log10(0.5);

/** The row in which the loss reaches furthest: its number. @param {import("./walks.js").Seen} seen */
export function furthestRow(seen) {
  let best = -1, most = -2;
  seen.walks.forEach((walk, row) => {
    const last = walk ? lastAbove(walk, MARK) : -2, reach = walk && last >= 0 ? walk.lag + last : last; // an encoder that gets less has no reach
    if (reach > most) [best, most] = [row, reach];
  });
  return best;
}

/** @param {import("./walks.js").Seen} seen @returns {(string | HTMLElement)[]} */
function sentence(seen) {
  const number = furthestRow(seen), walk = seen.walks[number];
  const from = ["From the loss at ", html("b", {}, `t=${seen.t}`)];
  if (!walk) return [...from, ": nothing of it is left anywhere."];
  const row = rows.length > 1 ? `${rows[number].name}: ` : "", end = endOf(walk), final = walk.decades.length - 1, value = walk.decades[final];
  if (final === 0) return [...from, `: ${row}nothing comes before it.`];
  const place = isInitial(walk, final) ? "in the initial state" : walk.cut ? `at t=${walk.steps[final]}, where the recurrence is cut` : `at t=${walk.steps[final]}`;
  const close = [html("span", { class: "whole" }, shareText(value)), ` ${place}.`], half = walk.lag + lastAbove(walk, HALF);
  if (end.kind === "grows") {
    return [...from, `: ${row}it has grown to ×100 `, html("b", {}, `at lag ${walk.lag + firstAbove(walk, EXPLODED)}`), "; ", ...close];
  }
  if (end.kind === "lost") return [...from, `: ${row}it was followed to lag ${walk.lag + end.place} only, where `, html("b", {}, shareText(walk.decades[end.place])), " is left."];
  if (end.kind !== "dies") return [...from, `: ${row}it reaches the end of its way, with `, html("b", {}, shareText(value)), ` left ${place}.`];
  const below = walk.lag + end.place + 1;
  return [...from, `: ${row}${half > 0 ? `half is left as far as lag ${half}, ` : "less than half is left a step back, "}`, html("b", {}, `under 1 % from lag ${below} on`), ", ", ...close];
}

/** @param {import("./place.js").Plan} plan */
export function say(plan) {
  const { seen, visible } = plan;
  if (!Number.isFinite(visible)) return byId("say").replaceChildren(...sentence(seen));
  const number = furthestRow(seen), walk = seen.walks[number];
  if (!walk) return;
  const place = Math.max(0, Math.min(visible - walk.lag, walk.steps.length - 1)), t = walk.steps[place], word = rows.length === 1 ? data.labels[t] : null;
  byId("say").replaceChildren(`Walking back from t=${seen.t}: at t=${t}${word ? ` (${oneLine(word).slice(0, 40)})` : ""} `, html("b", {}, shareText(leftAt(plan, number, t) ?? NaN)), " is left.");
}

/** The grey line: which loss and samples are shown, and of what network. @param {import("./walks.js").Seen | null} seen */
export function sayMeta(seen) {
  const steps = `${data.timesteps.toLocaleString("en")} timestep${data.timesteps === 1 ? "" : "s"}`;
  const whose = seen && severalClocks ? ` of ${partOf(seen.clock).name}` : "";
  byId("meta").textContent = oneLine(seen ? `Seen from the loss at t=${seen.t}${whose}; ${seen.samples > 1 ? `median of ${seen.samples} samples` : "1 sample"}. ${data.losses.of}`
    : [data.title, steps, "all losses together", data.dtype].join(" · "));
}
