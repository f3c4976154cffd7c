// @ts-check
// Elements of the page and of its drawings. Text reaches them as text content only.
import { firstOf } from "./data.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, any>} [attributes] @param {string} [text] @returns {any} */
export function svg(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

/** @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children @returns {any} */
export function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value); else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Make what breaks a line visible, as the other formats do. @param {string} text */
export const oneLine = (text) => text.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "�");

const letters = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));

/** How wide a text is, in the font of the pictures. @param {string} text @param {number} size @param {boolean} [bold] */
export function wide(text, size, bold = false) {
  const font = `${bold ? 700 : 400} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`;
  if (pen.font !== font) pen.font = font;
  return pen.measureText(text).width;
}

/** Cut a text to the room that there is, between letters as a reader sees them.
 * @param {string} text @param {number} room pixels @param {number} size @param {boolean} [bold] @param {boolean} [ending] keep the end and not the beginning */
export function shorten(text, room, size, bold = false, ending = false) {
  const most = 40 + 12 * room / size, part = ending ? text.slice(-most) : text.slice(0, most);
  if (part === text && (text.length * size <= room || wide(text, size, bold) <= room)) return text;
  const found = letters ? Array.from(letters.segment(part), (one) => one.segment) : [...part];
  const cut = (/** @type {number} */ count) => (ending ? `…${found.slice(-count).join("")}` : `${found.slice(0, count).join("")}…`);
  return cut(Math.max(1, firstOf(found.length + 1, (count) => wide(cut(count), size, bold) > room) - 1));
}

/** Cut the beginning of a dotted name: its end tells it from its neighbours.
 * @param {string} name @param {number} room pixels @param {number} size @param {boolean} [bold] */
export const shortenName = (name, room, size, bold = false) => shorten(oneLine(name), room, size, bold, true);

/** @param {number} value */
export const tenth = (value) => Math.round(value * 10) / 10;
