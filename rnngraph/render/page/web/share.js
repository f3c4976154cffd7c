// @ts-check
// What can be taken away: a link to this loss, and what is seen as SVG and PNG.
import { byId, data } from "./data.js";
import { oneLine, shorten, svg, tenth, wide } from "./elements.js";
import { chosen } from "./loss.js";
import { paintOn } from "./paint.js";

const MARGIN = 20;
let hiding = 0;

/** @param {string} text */
function toast(text) {
  const box = byId("toast");
  box.textContent = text;
  box.classList.add("on");
  window.clearTimeout(hiding);
  hiding = window.setTimeout(() => box.classList.remove("on"), 2200);
}

export async function copyLink() {
  const address = location.href.split("#")[0] + (location.hash || `#loss=${chosen().t}`);
  try {
    await navigator.clipboard.writeText(address);
    toast("Link copied: it opens on this loss.");
  } catch {
    toast(address); // no clipboard here; the address can be copied by hand
  }
}

/** @param {string} text @param {number} room pixels @param {number} size @param {boolean} bold @returns {string[]} */
function wrapped(text, room, size, bold) {
  const lines = /** @type {string[]} */ ([]);
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length && wide(longer, size, bold) <= room) lines[lines.length - 1] = longer; else lines.push(shorten(word, room, size, bold));
  }
  return lines;
}

/** The picture as it is seen, under its sentences. */
function composed() {
  const shown = byId("picture").querySelector("svg"), width = Number(shown.getAttribute("width")), whole = width + 2 * MARGIN;
  const [title, why, attempt] = data.headline, lines = /** @type {[string, string, number][]} */ ([]);
  const add = (/** @type {string} */ text, /** @type {string} */ style, /** @type {number} */ size) => { for (const line of text ? wrapped(oneLine(text), width, size, style === "bold") : []) lines.push([line, style, size]); };
  add(title, "bold", 20);
  add(why && `Why: ${why}`, "plain", 13.5);
  add(attempt && `Try: ${attempt}`, "plain", 13.5);
  add(byId("meta").textContent, "muted", 12);
  const drawing = svg("svg", { xmlns: "http://www.w3.org/2000/svg", role: "img", class: "exported" }), paper = svg("rect", { class: "paper", x: 0, y: 0, width: whole, height: 0 });
  drawing.append(svg("title", {}, title), svg("desc", {}, `${why} ${byId("say").textContent}`), paper);
  let y = MARGIN;
  for (const [line, style, size] of lines) {
    y += size * 1.35;
    drawing.append(svg("text", { class: style, "font-size": size, x: MARGIN, y: tenth(y) }, line));
  }
  const high = y + 16 + Number(shown.getAttribute("height")) + MARGIN;
  const group = svg("g", { transform: `translate(${MARGIN} ${tenth(y + 16)})` });
  for (const child of shown.childNodes) group.append(child.cloneNode(true));
  for (const target of group.querySelectorAll(".target")) target.remove();
  drawing.append(group);
  paper.setAttribute("height", tenth(high));
  for (const [name, value] of Object.entries({ width: whole, height: Math.ceil(high), viewBox: `0 0 ${whole} ${Math.ceil(high)}` })) drawing.setAttribute(name, value);
  return { drawing, group, whole, high: Math.ceil(high), above: y + 16 };
}

const fileName = (/** @type {string} */ suffix) => `${data.losses ? `credit-from-t${chosen().t}` : "gradient"}.${suffix}`;

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  toast(`Saved ${name}.`);
}

export function exportSvg() {
  const { drawing } = composed(), rules = svg("style");
  rules.textContent = exportedStyle();
  drawing.prepend(rules);
  save(new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" }), fileName("svg"));
}

/** The style of the drawing for a file of its own: in the theme that is seen, on its paper. */
function exportedStyle() {
  const text = byId("drawn").textContent, dark = document.documentElement.dataset.theme === "dark";
  const themes = /:root\{([^}]*)\}\s*:root\[data-theme="dark"\]\{([^}]*)\}/.exec(text);
  return themes ? text.replace(themes[0], `:root{${themes[dark ? 2 : 1]}}`) : text;
}

export function exportPng() {
  const { drawing, whole, high, above, group } = composed(), scale = 2, canvas = document.createElement("canvas");
  Object.assign(canvas, { width: whole * scale, height: high * scale });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  byId("away").replaceChildren(drawing); // its styles are known only in the page
  context.scale(scale, scale);
  group.remove();
  paintOn(drawing, context);
  context.translate(MARGIN, above);
  drawing.append(group);
  paintOn(group, context);
  byId("away").replaceChildren();
  canvas.toBlob((blob) => { if (blob) save(blob, fileName("png")); }, "image/png");
}
