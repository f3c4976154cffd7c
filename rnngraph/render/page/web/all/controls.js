// @ts-check
// What is shown: the range of steps, the detail, colors, arrows, weights, the theme, and the legend that goes with them.
import { view } from "./camera.js";
import { buildColumns, columnAfter, columnAt, columnName, columns, ui, wordOf } from "./columns.js";
import { go } from "./go.js";
import { centreOn } from "./minimap.js";
import { showNothing, showVertex } from "./panel.js";
import { current } from "./selected.js";
import { atoms, foldedSteps, measureOf, merged, ownRuns, parseSteps, writeSteps } from "./series.js";
import { NONFINITE, UNDERFLOW, UNOBSERVED, ZERO, colourOf, inkOver, scaleEnds, shortNumber, textOf } from "./text.js";
import { begin, fit, keepView, redraw, undoZoom, zoomBy } from "./view.js";
import { byId, data } from "../data.js";
import { html } from "../elements.js";
import { chosen } from "../loss.js";
import { inkOn } from "../scale.js";
import { setTheme } from "../theme.js";

export function rebuild({ keep = true } = {}) {
  const middle = keep && columns.length ? columnAfter((view.width / 2 - view.x) / view.scale) : 0;
  const step = columns[middle]?.first ?? 0;
  buildColumns();
  redraw();
  if (keep && columnAt(Math.max(0, step))?.kind !== "loop") centreOn(Math.max(0, step)); else begin();
  drawLegend();
  summarise();
  markControls();
  const found = current();
  if (found && ui.opened) showVertex(found.column, found.vertex); else if (!ui.opened) showNothing();
}

export function showRanges(ranges) {
  ui.ranges = ranges;
  byId("steps").value = writeSteps(ranges);
  byId("wrong").textContent = "";
  rebuild();
}

export function unfold(column) {
  showRanges(merged([...ui.ranges, [column.first, column.last + 1]]));
  centreOn(column.first);
  byId("view").focus();
}

function markControls() {
  byId("rolled").disabled = ui.detail === "layer";
  byId("rolled").checked = ui.rolled || ui.detail === "layer";
  const count = columns.filter((column) => column.kind === "step").length;
  byId("view").setAttribute("aria-label", `${data.title}: ${data.timesteps} timesteps, ${count} of them drawn one by one`);
}

export function startControls() {
  const on = (id, type, action) => byId(id).addEventListener(type, action);
  byId("detail").append(...["layer", "step", "op"].filter((name) => data.scenes[name]).map((name) => html("option", { value: name }, name)));
  if (!data.scenes[ui.detail]) ui.detail = "step";
  byId("detail").value = ui.detail;
  const colours = [...(data.losses ? [["loss", "this loss"]] : []), ["grad", "gradient of all losses"], ["gain", "gain"], ["saturation", "saturation"], ["activation", "activation"]];
  byId("color").append(...colours.map(([value, text]) => html("option", { value }, text)));
  byId("color").value = ui.color;
  byId("backward").checked = ui.backward;
  byId("steps").value = writeSteps(ui.ranges);
  on("range", "submit", (event) => {
    event.preventDefault();
    try { showRanges(parseSteps(byId("steps").value)); } catch (error) { byId("wrong").textContent = error instanceof Error ? error.message : String(error); }
  });
  on("folded", "click", () => { showRanges(foldedSteps()); begin(); });
  on("every", "click", () => showRanges([[0, data.timesteps]]));
  on("detail", "change", (event) => { ui.detail = event.target.value; rebuild({ keep: false }); });
  on("rolled", "change", (event) => { ui.rolled = event.target.checked; rebuild({ keep: false }); });
  on("color", "change", (event) => { ui.color = event.target.value; redraw(); drawLegend(); });
  on("backward", "change", (event) => { ui.backward = event.target.checked; redraw(); drawLegend(); });
  on("weight-rows", "change", (event) => { ui.weights = event.target.checked; redraw(); drawLegend(); });
  on("in", "click", () => zoomBy(1.25));
  on("out", "click", () => zoomBy(0.8));
  on("fit", "click", () => { keepView(); fit(); });
  on("undo", "click", undoZoom);
  on("theme", "change", (event) => setTheme(event.target.value));
  go.unfold = unfold;
}

function lossLegend() {
  const steps = [["k12", "100 %"], ["k10", "10 %"], ["k8", "1 %"], ["k4", "1e-4"], ["k0", "1e-6 or less"]];
  return [html("span", { class: "scale" }, html("span", {}, `left of the loss at t=${chosen().t}`), ...steps.map(([tone, text]) => {
    const swatch = html("span", { class: `swatch ink-${inkOn(tone)}` }, text);
    swatch.style.background = `var(--${tone})`;
    return swatch;
  })), html("span", {}, "dotted: under 1 %"), html("span", {}, "grey: the sum over all losses")];
}

function scaleLegend(scale, title, powers) {
  const ends = scaleEnds(scale), swatches = [], steps = powers ? Math.max(1, Math.ceil((ends[1] - ends[0]) / 5)) : (ends[1] - ends[0]) / 6;
  for (let value = ends[1]; value >= ends[0] - 1e-9; value -= steps) {
    const swatch = html("span", { class: "swatch" }, powers ? `1e${value}` : scale === "gain" ? `×${shortNumber(10 ** value)}` : shortNumber(Number(value.toPrecision(3))));
    swatch.style.background = colourOf(scale, value);
    swatch.style.color = inkOver(scale, value);
    swatches.unshift(swatch);
  }
  return html("span", {}, html("span", { class: "scale" }, html("span", {}, title), ...swatches));
}

export function drawLegend() {
  const scales = [];
  if (ui.color === "loss") scales.push(...lossLegend());
  else if (ui.backward) scales.push(ui.color === "gain" ? scaleLegend("gain", "gain of one step back", false) : scaleLegend("arrows", "‖∂L/∂state‖ carried back", true));
  if (ui.color === "saturation") scales.push(scaleLegend("saturation", "share of saturated units", false));
  if (ui.color === "activation") scales.push(scaleLegend("activation", "root mean square of the state", false));
  byId("legend").replaceChildren(...scales, ...marks());
}

// A mark for everything that this trace really has.
function marks() {
  const whole = [[0, atoms.length]], all = data.states.flatMap((state) => [state.grad, state.carried].map((series) => measureOf(series, ownRuns(state, whole))));
  const has = (status) => all.some((measure) => measure.counts[status]);
  const found = [[has(ZERO), "is-zero", "exactly zero"], [has(UNDERFLOW), "is-underflow", "underflow"], [has(NONFINITE), "is-nonfinite", "not finite"],
    [has(UNOBSERVED), "is-unobserved", "not observed"], [data.states.some((state) => state.cuts.length), "is-cut", "cut"],
    ...[...new Set(data.recurrences.map((one) => one.mark[1]))].map((word) => [data.states.some((state) => isMarked(state, whole, word)), "is-marked", word]),
    [data.nonfinite.length, "is-first", "first non-finite value"]];
  return found.filter(([present]) => present).map(([, name, text]) => html("span", { class: `mark ${name}` }, text));
}

function isMarked(state, runs, wanted) {
  const [limit, word] = data.recurrences[state.track].mark;
  return word === wanted && measureOf(state.saturated, runs).high >= limit;
}

// What the picture shows, as a table for those who cannot see it.
function summarise() {
  const shown = columns.filter((column) => column.count), kept = shown.length > 200 ? [...shown.slice(0, 100), ...shown.slice(-100)] : shown;
  byId("table").replaceChildren(
    html("caption", {}, `${data.title}. Gradient norms by step${kept.length < shown.length ? `, the first and last 100 of ${shown.length} columns` : ""}.`),
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "step"), ...data.states.map((state) => html("th", { scope: "col" }, state.name)))),
    html("tbody", {}, ...kept.map((column) => html("tr", {}, html("th", { scope: "row" }, [columnName(column), wordOf(column)].filter(Boolean).join(" ")),
      ...data.states.map((state) => html("td", {}, textOf(measureOf(state.grad, column.runs))))))));
}
