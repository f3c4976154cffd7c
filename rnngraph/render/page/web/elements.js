// @ts-check
// Elements of the page and of its drawings. Text reaches them as text content only.

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

/** Cut a text to the room that there is, between letters as a reader sees them.
 * @param {string} text @param {number} room pixels @param {number} size */
export function shorten(text, room, size) {
  const most = Math.max(3, Math.floor(room / (size * 0.56))), start = text.slice(0, most * 12);
  const found = letters ? Array.from(letters.segment(start), (one) => one.segment) : [...start];
  return found.length > most ? `${found.slice(0, most - 1).join("")}…` : start === text ? text : `${start}…`;
}

/** @param {number} value */
export const tenth = (value) => Math.round(value * 10) / 10;
