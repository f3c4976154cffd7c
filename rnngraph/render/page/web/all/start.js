// @ts-check
// The graph of every step, which is put together once somebody asks for it.
import { view } from "./camera.js";
import { ui } from "./columns.js";
import { drawLegend, rebuild, startControls } from "./controls.js";
import { startFindings, startWeights } from "./findings.js";
import { listenToGraph } from "./focus.js";
import { drawMinimap, startMinimap } from "./minimap.js";
import { startSearch } from "./search.js";
import { begin, listenToPointer, measureView, place, redraw } from "./view.js";
import { byId } from "../data.js";
import { whenSeen } from "../loss.js";
import { whenThemed } from "../theme.js";

let started = false, fitted = "";
const sizeOf = () => `${view.width} ${view.height}`;

function putTogether() {
  started = true;
  startControls();
  measureView();
  rebuild({ keep: false });
  listenToPointer();
  listenToGraph();
  startSearch();
  startMinimap();
  drawMinimap();
  fitted = sizeOf();
  // A frame of a notebook gets its size late; until somebody moves the graph, it goes on fitting.
  new ResizeObserver(() => {
    measureView();
    if (sizeOf() === fitted || !view.width) return;
    fitted = sizeOf();
    if (view.moved) place(); else begin();
    drawMinimap();
  }).observe(byId("view"));
}

function repaint() {
  if (!started) return;
  redraw();
  drawLegend();
  drawMinimap();
}

export function startAll() {
  const details = byId("all"), open = () => { details.open = true; if (!started) putTogether(); details.scrollIntoView(); };
  const opened = () => { if (details.open && !started) putTogether(); };
  details.addEventListener("toggle", opened);
  whenSeen(() => { if (ui.color === "loss") repaint(); });
  whenThemed(repaint);
  startFindings(open);
  startWeights();
  opened();
}
