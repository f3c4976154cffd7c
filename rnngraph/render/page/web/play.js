// @ts-check
// Walking back: step by step until two steps past the mark. Where motion is not wanted, each press is one step.
import { byId } from "./data.js";
import { chosen, whenSeen } from "./loss.js";
import { endStep } from "./words.js";

const TICK = 420, TICKS = 30;
let shownLags = Infinity, timer = 0;

export const visibleLags = () => shownLags;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** @param {() => void} draw */
export function startPlay(draw) {
  const button = byId("play");
  const end = () => { window.clearInterval(timer); timer = 0; shownLags = Infinity; label(); };
  const step = () => {
    const until = endStep(chosen()) + 2, each = still.matches ? 1 : Math.max(1, Math.ceil(until / TICKS));
    if (shownLags >= until) end(); else shownLags = Math.min(until, shownLags + each);
    draw();
  };
  const press = () => {
    if (timer) { end(); draw(); return; }
    if (still.matches && Number.isFinite(shownLags)) { step(); return; }
    shownLags = 0;
    if (!still.matches) timer = window.setInterval(step, TICK);
    label();
    draw();
  };
  const label = () => { button.textContent = timer ? "■ Stop" : still.matches ? (Number.isFinite(shownLags) ? "◂ Next step back" : "◂ Walk back, step by step") : "▶ Walk back"; };
  button.addEventListener("click", press);
  still.addEventListener("change", () => { end(); draw(); });
  whenSeen(() => { if (timer || Number.isFinite(shownLags)) end(); });
  label();
  return press;
}
