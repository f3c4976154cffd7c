// @ts-check
// Why: what one step back keeps, and what the recurrent weight, the activation or a gate make of it.
import { byId } from "./data.js";
import { html, shortenName, svg, tenth, wide } from "./elements.js";
import { chosen } from "./loss.js";
import { niceStep } from "./strips.js";
import { rows } from "./walks.js";

const COLOURED = "this loss";

/** @typedef {{name: string, style: string, values: (number | null)[], average: number}} Line */

/** The factors of a row: of this loss, and those that are known for all losses together. @param {number} number @returns {Line[]} */
function linesOf(number) {
  const row = rows[number], walk = chosen().walks[number];
  const own = Array.from({ length: row.timesteps }, () => /** @type {number | null} */ (null));
  if (walk) for (let place = 0; place + 1 < walk.decades.length; place += 1) {
    const factor = 10 ** (walk.decades[place + 1] - walk.decades[place]);
    if (Number.isFinite(factor)) own[walk.steps[place]] = factor;
  }
  return [{ name: COLOURED, style: "line-loss", values: own, average: averageOf(own) }, ...othersOf(number)];
}

/** @type {Map<number, Line[]>} */
const others = new Map();

/** The factors that do not depend on the loss. @param {number} number @returns {Line[]} */
function othersOf(number) {
  const known = others.get(number), row = rows[number], found = /** @type {Line[]} */ ([]);
  if (known) return known;
  const add = (/** @type {string} */ name, /** @type {string} */ style, /** @type {(number | null)[]} */ values) => found.push({ name, style, values, average: averageOf(values) });
  if (row.gates.length) add(row.keeps, "line-ink", row.gates);
  if (row.weights.length) { add("recurrent weight", "line-ink", row.weights); add(row.squashed, "line-grey", row.activation); }
  others.set(number, found);
  return found;
}

/** @param {(number | null)[]} values */
function averageOf(values) {
  const logs = values.filter((value) => value !== null && value > 0).map((value) => Math.log(/** @type {number} */ (value)));
  if (!logs.length && values.includes(0)) return 0;
  return logs.length ? Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length) : NaN;
}

/** One chart for each recurrence that this loss walks. @param {number} width @param {boolean} phone */
export function drawWhy(width, phone) {
  const shown = rows.map((_, number) => number).filter((number) => chosen().walks[number] && !rows[number].plain).slice(0, 4);
  byId("factors").replaceChildren(...shown.map((number) => chart(number, width, phone, shown.length > 1)));
  const kinds = new Set(shown.flatMap((number) => linesOf(number).map((line) => line.style)));
  byId("why-note").textContent = `Blue: this loss, step by step.${kinds.has("line-grey") ? " Black: the recurrent weight, grey: the slope of the activation; their product is what a step keeps of all losses together." : ""}${
    shown.some((number) => rows[number].gates.length) ? " Black: the gate that keeps the state." : ""} ×1 would carry the gradient for ever.`;
}

/** @param {number} number @param {number} width @param {boolean} phone @param {boolean} named */
function chart(number, width, phone, named) {
  const row = rows[number], left = phone ? 42 : 140, high = phone ? 146 : 150, above = phone ? 41 : 26, lines = linesOf(number), each = (width - left) / row.timesteps;
  const some = Math.max(1, Math.floor(row.timesteps / 400)); // the ends of the scale need not look at each of many steps
  const known = lines.flatMap((line) => line.values.filter((value, t) => t % some === 0 && value !== null && Number.isFinite(value))).map(Number).sort((a, b) => a - b);
  const most = Math.max(1, known[Math.floor((known.length - 1) * 0.98)] ?? 1), top = [1, 1.5, 2, 3, 5, 10, 20, 50, 100].find((one) => one >= most) ?? 10 ** Math.ceil(Math.log10(most));
  const y = (/** @type {number} */ value) => above + (high - above - 24) * (1 - Math.min(value, top * 1.04) / top);
  const averages = lines.map((line) => `${line.name}${Number.isNaN(line.average) ? "" : ` ×${Number(line.average.toPrecision(2))}`}`);
  const drawing = svg("svg", { width, height: high, viewBox: `0 0 ${width} ${high}`, role: "img", "aria-label": `${row.name}: factor of a step back, on average ${averages.join(", ")}` });
  for (const value of [0, top / 2, top, ...(top > 1 && top !== 2 ? [1] : [])]) {
    drawing.append(svg("path", { class: value === 1 ? "percent" : "rule", d: `M${left} ${tenth(y(value))}H${width}` }),
      svg("text", { class: "muted end", "font-size": 11.5, x: left - 6, y: tenth(y(value)) + 4 }, `×${Number(value.toFixed(2))}`));
  }
  for (const line of [...lines].reverse()) drawing.append(svg("path", { class: line.style, d: pathOver(line.values, left, each, y) }));
  nameLines(drawing, lines, averages, left, width);
  if (named && !phone) drawing.append(svg("text", { class: "bold", "font-size": 13, x: 0, y: 12 }, shortenName(row.name, left - 8, 13, true)));
  const every = niceStep(80 / each);
  for (let t = 0; t < row.timesteps; t += every) if (!t || (t < row.timesteps - 1 && (row.timesteps - 0.5 - t) * each > 62)) drawing.append(svg("text", { class: `muted ${t ? "middle" : "start"}`, "font-size": 11, x: tenth(left + (t + (t ? 0.5 : 0)) * each), y: high - 4 }, `t=${t}`));
  if (row.timesteps > 1) drawing.append(svg("text", { class: "muted end", "font-size": 11, x: width, y: high - 4 }, `t=${row.timesteps - 1}`));
  const parts = [drawing];
  if (named && phone) parts.unshift(html("h3", {}, row.name));
  return html("div", { class: "factor" }, ...parts);
}

/** At most two points a pixel, which is all that a line can show. @param {(number | null)[]} values @param {number} left @param {number} each @param {(value: number) => number} y */
function pathOver(values, left, each, y) {
  const stride = Math.max(1, Math.ceil(0.5 / each));
  let d = "", drawing = false;
  for (let t = 0; t < values.length; t += stride) {
    const value = values[t];
    if (value === null || value === undefined || !Number.isFinite(value)) { drawing = false; continue; }
    d += `${drawing ? "L" : "M"}${(left + (t + 0.5) * each).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!drawing && !Number.isFinite(values[t + stride] ?? NaN)) d += "h1";
    drawing = true;
  }
  return d;
}

/** A line of names over the chart; the factor that takes most is said to be why. @param {any} drawing @param {Line[]} lines @param {string[]} averages
 * @param {number} left @param {number} width */
function nameLines(drawing, lines, averages, left, width) {
  const others = lines.map((line) => (line.style === "line-loss" ? Infinity : line.average)), least = Math.min(...others);
  let x = width < 560 ? 0 : left, y = 12;
  lines.forEach((line, index) => {
    const text = `${averages[index]}${others[index] === least && least < 0.9 && lines[0].average < 0.9 && width >= 560 ? ": this is why" : ""}`, style = { "line-ink": "bold", "line-loss": "blue" }[line.style] ?? "muted";
    const long = 18 + wide(text, 12, true);
    if (x + long > width + 20) [x, y] = [0, y + 15];
    drawing.append(svg("path", { class: line.style, d: `M${x} ${y - 4}h14` }), svg("text", { class: style, "font-size": 12, x: x + 18, y }, text));
    x += long + 14;
  });
}
