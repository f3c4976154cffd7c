// @ts-check
// How much is left, by lag: this loss in every row, the middle of all losses as a band, and the mark.
import { byId } from "./data.js";
import { oneLine, shortenName, svg, tenth, wide } from "./elements.js";
import { titled, marksOf, saidOf } from "./flags.js";
import { endsOf } from "./graph.js";
import { isFaint, shareText, tickText, toneOf } from "./scale.js";
import { niceStep } from "./strips.js";
import { lastAbove, lossCount, rows, seenFrom } from "./walks.js";

const NAME = 120; // pixels for the name of a curve

/** @type {Map<number, [number, number][]>} */
const bands = new Map();

/** The 10th and 90th percentile of all losses, by lag, of one row. @param {number} row @returns {[number, number][]} */
function bandOf(row) {
  const known = bands.get(row);
  if (known) return known;
  const byLag = /** @type {number[][]} */ ([]);
  for (let number = 0; number < lossCount; number += 1) {
    const walk = seenFrom(number).walks[row];
    if (walk) walk.decades.forEach((value, place) => { if (!Number.isNaN(value)) (byLag[walk.lag + place] ??= []).push(value); });
  }
  const found = Array.from(byLag, (values) => {
    const ordered = (values ?? []).sort((a, b) => a - b), at = (/** @type {number} */ share) => ordered[Math.round((ordered.length - 1) * share)];
    return /** @type {[number, number]} */ (ordered.length > 2 ? [at(0.1), at(0.9)] : [NaN, NaN]);
  });
  bands.set(row, found);
  return found;
}

/** @param {import("./place.js").Plan} plan @param {number} width */
export function drawCurve(plan, width) {
  const { seen } = plan, high = 184, left = 46, walked = seen.walks.map((walk, row) => ({ walk, row })).filter((one) => one.walk !== null);
  const ends = endsOf(plan), top = Math.max(0, ends.top), low = ends.low;
  const longest = Math.max(1, ...walked.map(({ walk }) => (walk ? walk.lag + Math.min(lastAbove(walk, low) + 1, walk.decades.length - 1) : 1))); // as far as the curves go
  const few = walked.length < 5, named = few && walked.length > 1 ? walked.map(({ row }) => shortenName(rows[row].name, NAME, 11)) : []; // of more, names would hide the curves
  const right = width - 10 - (named.length ? Math.max(...named.map((name) => wide(name, 11))) + 10 : 0);
  const x = (/** @type {number} */ lag) => left + (lag / longest) * (right - left), y = (/** @type {number} */ value) => 24 + (high - 52) * ((top - Math.max(low, Math.min(top, value))) / (top - low));
  const drawing = svg("svg", { width, height: high, viewBox: `0 0 ${width} ${high}`, role: "img" });
  const levels = top > 1 ? [...new Set([0, 2, Math.floor(top)])] : [0, -2, -4, -6].filter((value) => value >= low);
  for (const value of levels) {
    drawing.append(svg("path", { class: Math.abs(value) === 2 ? "percent" : "rule", d: `M${left} ${tenth(y(value))}H${tenth(right + 2)}` }),
      svg("text", { class: `end ${Math.abs(value) === 2 ? "bold" : "muted"}`, "font-size": 11, x: left - 5, y: tenth(y(value)) + 4 }, tickText(value)));
  }
  if (lossCount > 2 && walked.length === 1) drawBand(drawing, bandOf(walked[0].row), x, y, longest);
  const dotted = walked.map(({ walk, row }) => ({ name: oneLine(rows[row].name), end: drawDots(drawing, /** @type {import("./walks.js").Walk} */ (walk), x, y, low, longest) }));
  if (named.length) nameCurves(drawing, dotted, right + 10);
  drawMark(drawing, [...marksOf(plan, false), ...marksOf(plan, true)], x, high, width);
  const every = niceStep((longest * 74) / (right - left));
  for (let lag = 0; lag <= longest; lag += every) {
    const near = lag + every > longest;
    drawing.append(svg("text", { class: `muted ${near && x(lag) > right - 30 ? "end" : "middle"}`, "font-size": 11, x: tenth(near ? Math.min(x(lag), right + 6) : x(lag)), y: high - 10 }, lag ? `lag ${lag}` : "0"));
  }
  const least = Math.min(...walked.map(({ walk }) => (walk ? Math.min(...Array.from(walk.decades).filter((value) => !Number.isNaN(value))) : 0)));
  byId("curve").replaceChildren(drawing);
  drawing.setAttribute("aria-label", titled(seen, "by lag", plan));
  byId("curve-note").textContent = `${least < low ? `Smaller than the scale shows: down to ${shareText(least)}. ` : ""}${lossCount > 2 && walked.length === 1 ? "Grey band: 10 % to 90 % of all losses." : ""}${few ? "" : `From the top down: ${dotted.sort((a, b) => a.end[1] - b.end[1] || b.end[0] - a.end[0]).map((one) => one.name).join(", ")}.`}`;
}

/** @param {any} drawing @param {[number, number][]} band @param {(lag: number) => number} x @param {(value: number) => number} y @param {number} longest */
function drawBand(drawing, band, x, y, longest) {
  const known = band.map((pair, lag) => ({ lag, pair })).filter(({ lag, pair }) => lag <= longest && !Number.isNaN(pair[0])), stride = Math.max(1, Math.ceil(known.length / 300));
  const some = known.filter((_, index) => index % stride === 0);
  if (some.length < 2) return;
  const line = (/** @type {number} */ side) => some.map(({ lag, pair }) => `${tenth(x(lag))} ${tenth(y(pair[side]))}`);
  drawing.append(svg("path", { class: "band", d: `M${line(1).join("L")}L${line(0).reverse().join("L")}Z` }));
}

/** @param {any} drawing @param {import("./walks.js").Walk} walk @param {(lag: number) => number} x @param {(value: number) => number} y @param {number} low
 * @param {number} longest @returns {[number, number]} where the last dot is */
function drawDots(drawing, walk, x, y, low, longest) {
  const stride = Math.max(1, Math.ceil(longest / 240)), size = longest > 120 ? 2.2 : 3.2;
  /** @type {Map<string, string>} */
  const paths = new Map();
  let end = /** @type {[number, number]} */ ([0, 0]);
  for (let place = 0; place < walk.decades.length; place += stride) {
    const value = walk.decades[place];
    if (Number.isNaN(value)) continue;
    if (value < low - 0.3) break;
    end = [x(walk.lag + place), y(value)];
    const tone = `${toneOf(value)}${isFaint(value) ? " faint-dot" : ""}`;
    paths.set(tone, `${paths.get(tone) ?? ""}M${tenth(end[0] - size)} ${tenth(end[1])}a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0Z`);
  }
  for (const [tone, d] of paths) drawing.append(svg("path", { class: tone, d }));
  return end;
}

/** Name the curves beside them, the upper one above. @param {any} drawing @param {{name: string, end: [number, number]}[]} ends @param {number} x */
function nameCurves(drawing, ends, x) {
  let free = 16;
  for (const { name, end } of [...ends].sort((a, b) => a.end[1] - b.end[1] || b.end[0] - a.end[0])) {
    free = Math.max(free + 13, Math.min(end[1] + 4, 160 - 13 * (ends.length - 1)));
    drawing.append(svg("text", { class: "muted", "font-size": 11, x: tenth(x), y: tenth(free) }, shortenName(name, NAME, 11)));
  }
}

/** @param {any} drawing @param {import("./flags.js").Mark[]} marks @param {(lag: number) => number} x @param {number} high @param {number} width */
function drawMark(drawing, marks, x, high, width) {
  const some = marks.filter((mark) => mark.kind === "dies" || mark.kind === "grows");
  if (!some.length) return;
  const lags = [...new Set(some.map((mark) => mark.lag))];
  for (const lag of lags) drawing.append(svg("path", { class: "end-mark", d: `M${tenth(x(lag + 0.5))} 17V${high - 26}` }));
  const all = lags.sort((a, b) => a - b).join(", "), several = some.every((mark) => mark.kind === "dies") ? `under 1 % beyond lag ${all}` : `ends or ×100 at lag ${all}`;
  const text = lags.length > 1 ? several : saidOf(some, true), at = Math.min(x(lags[0] + 0.5), width - 2 - wide(text, 12, true));
  drawing.append(svg("text", { class: "bold", "font-size": 12, x: tenth(Math.max(0, at)), y: 12 }, text)); // never over an edge
}
