// @ts-check
// The picture: the network unrolled, and what is left of one loss at every step.
import { bow, headAt, thin, way } from "./arrows.js";
import { drawBars } from "./bars.js";
import { data } from "./data.js";
import { oneLine, shorten, shortenName, svg, tenth, wide } from "./elements.js";
import { drawFlags } from "./flags.js";
import { look, lossAt } from "./loss.js";
import { WORD } from "./fold.js";
import { startsAt } from "./place.js";
import { FLOOR, factorText, inkOn, isFaint, shareText, toneOf } from "./scale.js";
import { partOf, placeAt, rows, severalClocks, stepAt } from "./walks.js";

/** @typedef {import("./place.js").Plan} Plan */

const bears = new Set(data.losses ? data.losses.bears : []);

/** @param {any} parent @param {Plan} plan */
export function drawGraph(parent, plan) {
  const over = plan.segments.filter((one) => one.last > one.first).map((one) => drawFold(parent, plan, one));
  over.push(...rows.flatMap((_, number) => drawRow(parent, plan, number)));
  if (severalClocks) drawHandover(parent, plan);
  for (const one of plan.segments) if (one.first === one.last) drawStep(parent, plan, one);
  drawLoss(parent, plan);
  if (!plan.phone) parent.append(svg("text", { class: "muted", x: 0, y: plan.loss + 5, "font-size": 13 }, "loss"));
  drawFlags(parent, plan);
  parent.append(...over); // over the mark, which would cross them out
}

/** What is left at a step of a row: null where the walk does not pass or has not yet come. @param {Plan} plan @param {number} number @param {number} t */
export function leftAt(plan, number, t) {
  const walk = plan.seen.walks[number], place = placeAt(walk, t);
  return walk && place >= 0 && walk.lag + place <= plan.visible ? walk.decades[place] : null;
}

/** @type {WeakMap<object, {top: number, low: number}>} */
const knownEnds = new WeakMap();

/** The ends of the scale of bars: down to the floor, or only as far as there is something where it grows. @param {Plan} plan */
export function endsOf(plan) {
  const known = knownEnds.get(plan.seen);
  if (known) return known;
  let top = 0, low = 0;
  for (const walk of plan.seen.walks) for (const value of walk ? walk.decades : []) if (Number.isFinite(value)) { top = Math.max(top, value); low = Math.min(low, value); }
  const ends = { top, low: top > 1 ? Math.max(FLOOR, Math.min(low, 0) - 1) : FLOOR };
  knownEnds.set(plan.seen, ends);
  return ends;
}

/** A fold; how many steps it holds is given back. @param {any} parent @param {Plan} plan @param {import("./fold.js").Segment} one */
function drawFold(parent, plan, one) {
  const count = one.last - one.first + 1, middle = one.x + one.width / 2, ends = endsOf(plan), size = plan.phone ? 11 : 11.5;
  const room = one.width - 4, top = plan.loss - 20, said = `${count} steps`, from = one.first - one.offset, to = one.last - one.offset;
  const hidden = [...new Set(rows.filter((row) => row.clock === one.clock).flatMap((row) => row.broken.filter((t) => t >= from && t <= to)))];
  parent.append(svg("rect", { class: hidden.length ? "fold broken" : "fold", rx: 6, x: tenth(one.x + 2), y: top, width: tenth(room), height: plan.foot + 4 - top }));
  const write = (/** @type {string} */ style, /** @type {number} */ y, /** @type {string[]} */ ...texts) => {
    const text = texts.find((text) => wide(text, size) < room);
    if (text) parent.append(svg("text", { class: `${style} middle`, "font-size": size, x: tenth(middle), y }, text));
  };
  if (hidden.length) write("broken", plan.loss + 11, `NaN/inf ${hidden.map((t) => `t=${t}`).join(", ")}`, "NaN/inf", "NaN");
  rows.forEach((row, number) => {
    if (row.clock !== one.clock) return;
    const tall = plan.high + 14, base = plan.rowAt(number) + plan.high / 2 + 4;
    const at = (/** @type {number} */ index) => leftAt(plan, number, from + index) ?? NaN;
    const near = [at(0), at(count - 1)];
    if (near.every(Number.isNaN) && !anyIn(plan, number, from, count)) return;
    const line = base - tall * ((data.scale.mark - ends.low) / (ends.top - ends.low));
    drawBars(parent, { x: one.x + 5, base, width: one.width - 10, height: tall, ...ends }, count, at);
    parent.append(svg("path", { class: "rule", d: `M${tenth(one.x + 5)} ${base}h${tenth(one.width - 10)}` }));
    if (ends.low < data.scale.mark) parent.append(svg("path", { class: "percent", d: `M${tenth(one.x + 5)} ${tenth(line)}h${tenth(one.width - 10)}` }));
    const ways = `${shareText(near[0])} ${row.reverse ? "→" : "←"} ${shareText(near[1])}`;
    if (!near.some(Number.isNaN) && wide(ways, size) < room - 28) write("muted", base + 16, ways); // between the arrows at both sides
  });
  write("muted", plan.foot + 19, `t=${from} … ${to}`, `${from}…${to}`);
  return svg("text", { class: "muted halo middle", "font-size": size, x: tenth(middle), y: plan.loss - 5 }, wide(said, size) < room ? said : `${count}×`);
}

/** @param {Plan} plan @param {number} number @param {number} from @param {number} count */
function anyIn(plan, number, from, count) {
  for (let t = from; t < from + count; t += 1) if (leftAt(plan, number, t) !== null) return true;
  return false;
}

/** A row's name, and the arrows between its boxes; their factors, and a name over them, are given back. @param {any} parent @param {Plan} plan @param {number} number */
function drawRow(parent, plan, number) {
  const row = rows[number], y = plan.rowAt(number), own = plan.segments.filter((one) => one.clock === row.clock), half = plan.box / 2;
  const factors = plan.phone ? nameOver(plan, number) : [];
  if (!plan.phone) drawName(parent, plan, number);
  for (let index = 0; index + 1 < own.length; index += 1) {
    const [a, b] = [own[index], own[index + 1]], single = [a, b].map((one) => one.first === one.last);
    if (b.first - b.offset >= row.timesteps) continue;
    const xa = single[0] ? a.x + a.width / 2 + half : a.x + a.width - 2, xb = single[1] ? b.x + b.width / 2 - half : b.x + 2;
    if (row.reverse) thin(parent, xb, y, xa, y); else thin(parent, xa, y, xb, y);
    const [ta, tb] = [a.last - a.offset, b.first - b.offset], [from, to] = row.reverse ? [ta, tb] : [tb, ta];
    const here = leftAt(plan, number, from), there = leftAt(plan, number, to);
    if (here === null || there === null || there === -Infinity || Number.isNaN(there)) continue;
    const outer = single[0] ? a.x + a.width / 2 + 8 : xa - 6, inner = single[1] ? b.x + b.width / 2 - 8 : xb + 6;
    const [x0, x1] = row.reverse ? [outer, inner] : [inner, outer], under = y + plan.high / 2;
    bow(parent, x0, x1, under, there);
    if (!single[0] || !single[1]) continue;
    const gate = row.gate ? row.gates[from] : null, factor = 10 ** (there - here);
    const text = row.plain ? "" : gate !== null && gate !== undefined ? `${row.gate} ${gate.toFixed(2)}` : factorText(factor);
    if (text) factors.push(svg("text", { class: `halo middle ${isFaint(there) ? "muted" : "bold"}`, "font-size": 11.5, x: tenth((x0 + x1) / 2), y: under + 36 }, text));
  }
  drawStart(parent, plan, number);
  return factors;
}

/** A name over its row's part of the axis, beside the way down from the loss. @param {Plan} plan @param {number} number */
function nameOver(plan, number) {
  if (rows.length < 2) return [];
  const name = oneLine(rows[number].name), down = plan.spanOf(plan.seen.position).middle, long = wide(name, 12, true), left = down - 14 - (number ? plan.box / 2 : 0);
  const start = plan.spanOf(partOf(rows[number].clock).offset).left + 5, crossed = rows[number].clock === plan.seen.clock && start + long > left, x = crossed ? down + 14 : start;
  return [svg("text", { class: "bold halo", "font-size": 12, x: tenth(x), y: plan.rowAt(number) - plan.high / 2 - 8 }, shortenName(name, plan.width - x, 12, true))];
}

/** A name beside its row. @param {any} parent @param {Plan} plan @param {number} number */
function drawName(parent, plan, number) {
  const row = rows[number], y = plan.rowAt(number), room = plan.gutter - (plan.ends[0] ? 40 : 6);
  parent.append(svg("text", { class: "bold", "font-size": 14, x: 0, y: y + 1 }, shortenName(row.name, room, 14, true)));
  parent.append(svg("text", { class: "muted", "font-size": 12, x: 0, y: y + 16 }, shorten(oneLine(row.note), room, 12)));
}

/** The initial state at the side of a row, with the arrow that reaches it. @param {any} parent @param {Plan} plan @param {number} number */
function drawStart(parent, plan, number) {
  const row = rows[number], walk = plan.seen.walks[number];
  if (!walk || !walk.initial || !plan.ends[Number(row.reverse)] || !startsAt(number)) return;
  const place = walk.steps.length, value = walk.decades[place], y = plan.rowAt(number), t = row.reverse ? row.timesteps - 1 : 0;
  const span = plan.spanOf(partOf(row.clock).offset + t), sign = row.reverse ? 1 : -1, x = row.reverse ? span.right + 18 : span.left - 18;
  const shown = walk.lag + place <= plan.visible && !Number.isNaN(value), tone = shown ? toneOf(value) : "";
  const edge = span.folded ? (row.reverse ? span.right : span.left) : span.middle + sign * plan.box / 2;
  thin(parent, x - sign * 14, y, edge, y);
  if (shown && value !== -Infinity) bow(parent, edge - sign * 8, x, y + plan.high / 2 - 4, value);
  const ring = svg("circle", { class: `state ${tone || "empty"}`, cx: tenth(x), cy: y, r: 13 });
  ring.append(svg("title", {}, `initial state: ${shown ? `${shareText(value)} is left` : "not reached"}`));
  parent.append(ring, svg("text", { class: `middle ink-${shown ? inkOn(tone) : "muted"}`, "font-size": 11, x: tenth(x), y: y + 4 }, `${row.kind || "h"}0`));
}

/** The arrow from one recurrence into the one before it. @param {any} parent @param {Plan} plan */
function drawHandover(parent, plan) {
  let said = "handover"; // of several it is said once
  for (const [from, number] of data.losses.handovers) {
    const row = rows[number], value = leftAt(plan, number, row.timesteps - 1);
    if (row.reverse || value === null || Number.isNaN(value) || leftAt(plan, from, 0) === null) continue;
    const start = plan.spanOf(partOf(rows[from].clock).offset), end = plan.spanOf(partOf(row.clock).offset + row.timesteps - 1);
    const beside = number !== from + 1; // past the rows that stand between
    const y0 = plan.rowAt(from) + (beside ? 0 : plan.high / 2), y1 = plan.rowAt(number) - (beside ? 0 : plan.high / 2 + 1);
    const x0 = start.middle - (beside ? plan.box / 2 : 8), x1 = end.middle + (beside ? plan.box / 2 + 1 : 6), x = (x0 + x1) / 2;
    const leave = beside ? `${tenth(x)} ${y0} ${tenth(x)} ${y1}` : `${tenth(x0)} ${y0 + 28} ${tenth(x1)} ${y1 - 34}`;
    way(parent, `M${tenth(x0)} ${y0}C${leave}`, [x1, y1], beside ? [x1 - x, 0] : [0, 34], value);
    parent.append(svg("text", { class: "halo bold end", "font-size": 11.5, x: tenth(x1 - 8), y: tenth((y0 + y1) / 2 + 4) }, said));
    said = "";
  }
}

/** @param {any} parent @param {Plan} plan @param {import("./fold.js").Segment} one */
function drawStep(parent, plan, one) {
  const x = one.x + one.width / 2, [part, t] = stepAt(one.first), own = rows.map((_, number) => number).filter((number) => rows[number].clock === part.clock && t < rows[number].timesteps);
  if (!own.length) return;
  drawCircle(parent, plan, one, x, t, own[0]);
  for (const number of own) drawBox(parent, plan, number, x, t);
  const low = Math.max(...own.map((number) => plan.rowAt(number))) + plan.high / 2;
  thin(parent, x, plan.foot - 11, x, low + 2);
  const word = severalClocks ? null : data.labels[data.losses ? one.first : 0], line = word === null || word === undefined ? "x" : oneLine(word);
  const large = line.length < 99 && wide(line, 12, true) <= one.width - 3;
  const label = svg("text", { class: `middle ${!word ? "muted" : large ? "bold" : ""}`, "font-size": large ? 12 : WORD, x: tenth(x), y: plan.foot + 3 }, large ? line : shorten(line, one.width - 2, WORD));
  if (word) label.append(svg("title", {}, oneLine(word).slice(0, 2000)));
  const lag = Math.min(...own.map((number) => { const walk = plan.seen.walks[number], place = placeAt(walk, t); return walk && place >= 0 ? walk.lag + place : Infinity; }));
  parent.append(label,
    svg("text", { class: `middle ${word ? "muted" : "bold"}`, "font-size": 12, x: tenth(x), y: plan.foot + 19 }, `t=${t}`),
    svg("text", { class: "muted middle", "font-size": 11.5, x: tenth(x), y: plan.foot + 34 }, Number.isFinite(lag) ? `lag ${lag}` : "–"));
}

/** The circle of another loss: empty, and a way to look from there. @param {any} parent @param {Plan} plan @param {import("./fold.js").Segment} one
 * @param {number} x @param {number} t @param {number} row */
function drawCircle(parent, plan, one, x, t, row) {
  if (one.first === plan.seen.position) return;
  const loss = lossAt(t, one.clock);
  if (loss < 0 && !(bears.has(one.first))) return;
  thin(parent, x, plan.rowAt(row) - plan.high / 2, x, plan.loss + 12);
  const group = svg("g", { class: loss < 0 ? "other unmeasured" : "other" });
  group.append(svg("rect", { class: "target", x: tenth(x - 22), y: plan.loss - 22, width: 44, height: 44 }), svg("circle", { cx: tenth(x), cy: plan.loss, r: 10 }),
    svg("title", {}, loss < 0 ? `the loss at t=${t} was not measured` : `see it from the loss at t=${t}`));
  if (loss >= 0) { group.setAttribute("data-loss", loss); group.addEventListener("click", () => look(loss)); }
  parent.append(group);
}

/** @param {any} parent @param {Plan} plan @param {number} number @param {number} x @param {number} t */
function drawBox(parent, plan, number, x, t) {
  const y = plan.rowAt(number), value = leftAt(plan, number, t), tone = value === null ? "" : toneOf(value), walk = plan.seen.walks[number];
  const broken = rows[number].broken.includes(t);
  const rect = svg("rect", { class: `state ${tone || "empty"}${broken ? " broken" : ""}`, x: tenth(x - plan.box / 2), y: y - plan.high / 2, width: tenth(plan.box), height: plan.high, rx: 7, "data-row": number, "data-t": t });
  const place = placeAt(walk, t);
  const said = place < 0 || !walk ? ": nothing of this loss comes here" : `, lag ${walk.lag + place}: ${shareText(walk.decades[place])} of the loss at t=${plan.seen.t} is left`;
  rect.append(svg("title", {}, `${rows[number].name} at t=${t}${said}${broken ? "; NaN or infinity first comes up at this step" : ""}`));
  parent.append(rect);
  const flat = rows[number].saturated[t] ?? 0;
  if (flat > 0.25) parent.append(svg("rect", { class: "meter", x: tenth(x - plan.box / 2), y: y - plan.high / 2 - 7, width: tenth(plan.box), height: 4 }),
    svg("rect", { class: "meter full", x: tenth(x - plan.box / 2), y: y - plan.high / 2 - 7, width: tenth(plan.box * flat), height: 4 }));
  if (value === null) return;
  const text = shareText(value), size = Math.min(12.5, (12.5 * (plan.box - 2)) / wide(text, 12.5, !isFaint(value)));
  parent.append(svg("text", { class: `middle ink-${inkOn(tone)}${isFaint(value) ? "" : " bold"}`, "font-size": tenth(Math.max(10.5, size)), x: tenth(x), y: y + 4.5 }, text));
}

/** The loss that is looked from, and the way on into lower layers. @param {any} parent @param {Plan} plan */
function drawLoss(parent, plan) {
  const { seen } = plan, { middle: x } = plan.spanOf(seen.position), first = rows.findIndex((row, number) => row.clock === seen.clock && seen.walks[number]);
  if (first < 0) return;
  const top = plan.rowAt(first) - plan.high / 2;
  parent.append(svg("path", { class: "way k12", "stroke-width": 7, d: `M${tenth(x)} ${plan.loss + 12}V${top - 13}` }), svg("path", { class: "k12", d: headAt(x, top - 1, 0, 1, 15) }),
    svg("circle", { class: "k12", cx: tenth(x), cy: plan.loss, r: 15 }), svg("text", { class: "paper bold middle", "font-size": 13, x: tenth(x), y: plan.loss + 4.5 }, "L"));
  rows.forEach((row, number) => {
    const above = number - 1;
    if (above < first || rows[above].clock !== row.clock || rows[above].layer !== row.layer + 1 || leftAt(plan, number, seen.t) === null) return;
    const side = x + (rows[above].reverse ? -1 : 1) * (plan.box / 2 - 9); // where nothing goes back in time
    way(parent, `M${tenth(side)} ${plan.rowAt(above) + plan.high / 2}L`, [side, plan.rowAt(number) - plan.high / 2], [0, 1], 0);
  });
}
