// @ts-check
// The first view: the slider, the sentence, the picture, the factors, the map and the curve, all seen from one loss.
import { drawCurve } from "./curve.js";
import { byId } from "./data.js";
import { svg } from "./elements.js";
import { titled } from "./flags.js";
import { drawGraph } from "./graph.js";
import { chosen, look, whenSeen } from "./loss.js";
import { markMap, paintMap, startMap } from "./map.js";
import { planOf } from "./place.js";
import { startPlay, visibleLags } from "./play.js";
import { say, sayMeta } from "./say.js";
import { drawStrips } from "./strips.js";
import { whenThemed } from "./theme.js";
import { lossCount } from "./walks.js";
import { drawWhy } from "./why.js";
import { drawWords, haveWords } from "./words.js";

const REST = 80; // milliseconds
let resting = 0;
let beside = false; // whether the map and the curve have been asked for: the picture is painted first

function drawWalk() {
  const seen = chosen(), width = Math.max(240, Math.floor(byId("picture").clientWidth)), plan = planOf(seen, width, visibleLags());
  const drawing = svg("svg", { width, role: "img", "aria-label": titled(seen, "at every step back", plan) });
  drawGraph(drawing, plan);
  const high = Math.ceil(drawStrips(drawing, plan, plan.foot + 58)) + 2;
  drawing.setAttribute("height", high);
  drawing.setAttribute("viewBox", `0 0 ${width} ${high}`);
  byId("picture").replaceChildren(drawing);
  say(plan);
  drawWords(visibleLags());
  return plan;
}

function drawRest() {
  if (!beside) return;
  const width = Math.max(240, Math.floor(byId("curve").clientWidth)), seen = chosen();
  drawWhy(Math.max(240, byId("factors").clientWidth), innerWidth < 600);
  if (lossCount > 1) { paintMap(Math.min(width, 420)); markMap(); }
  drawCurve(planOf(seen, width, Infinity), width);
}

function drawAll() {
  const seen = chosen(), slider = byId("slider");
  slider.setAttribute("aria-valuetext", `t = ${seen.t}`);
  byId("slider-text").textContent = `t = ${seen.t}`;
  sayMeta(seen);
  drawWalk();
  window.clearTimeout(resting);
  resting = window.setTimeout(drawRest, REST); // while the slider moves, the picture alone follows it
  if (beside && lossCount > 1) markMap();
}

let asked = false;
/** Draw once a frame, however fast the slider is moved. */
function drawSoon() {
  byId("slider").value = chosen().number; // at once: a key that it gets before the frame goes on from here
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; drawAll(); });
}

/** @returns {() => void} what the key for playing does */
export function startWalk() {
  byId("first").hidden = false;
  byId("words").hidden = !haveWords();
  byId("map-part").hidden = lossCount < 2;
  const slider = byId("slider");
  slider.max = lossCount - 1;
  slider.value = chosen().number;
  slider.disabled = lossCount < 2;
  slider.addEventListener("input", () => look(Number(slider.value)));
  if (lossCount > 1) startMap();
  const play = startPlay(drawWalk);
  whenSeen(drawSoon);
  whenThemed(drawRest);
  drawAll();
  requestAnimationFrame(() => window.setTimeout(() => { beside = true; drawRest(); }));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawSoon(); } });
  return play;
}
