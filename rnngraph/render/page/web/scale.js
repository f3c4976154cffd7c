// @ts-check
// How what is left of a loss looks and reads: a class of the style sheet, a width, a text. As `graph/style/left.py` does.
import { data } from "./data.js";

export const FLOOR = data.scale.floor, MARK = data.scale.mark, GROWTH = data.scale.growth, EXPLODED = data.scale.exploded;

/** The class of a colour by decades, "" where nothing was measured. @param {number} decades */
export function toneOf(decades) {
  if (Number.isNaN(decades)) return "";
  if (decades <= FLOOR) return "k0";
  if (decades >= GROWTH) return `g${data.scale.ramp.findIndex((/** @type {number | null} */ most) => most === null || decades <= most)}`;
  const number = even(2 * (Math.min(decades, 0) + 6));
  return `k${decades >= MARK ? Math.max(number, 8) : Math.min(Math.max(number, 0), 7)}`;
}

/** Round halves to the even number, as Python does. @param {number} value */
function even(value) {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}

/** The class of a text on a colour. @param {string} tone */
export const inkOn = (tone) => (tone ? data.scale.inks[tone] : "muted");

/** @param {number} decades */
export function widthOf(decades) {
  if (!(decades >= MARK)) return 1.2;
  return decades <= 0 ? 7 + 2.5 * decades : 7 + 0.8 * Math.min(decades, 5);
}

/** Whether less than 1 % goes along an arrow. @param {number} decades */
export const isFaint = (decades) => !(decades >= MARK);

/** The height of a bar as a share of its room. @param {number} decades @param {{low: number, top: number}} ends in decades */
export const heightOf = (decades, ends) => Math.max(0, Math.min(1, (decades - ends.low) / (ends.top - ends.low)));

/** What is left, as a person writes it; never clipped. @param {number} decades */
export function shareText(decades) {
  if (Number.isNaN(decades)) return "?";
  if (decades === -Infinity) return "0";
  const share = 10 ** (decades + 2);
  if (share >= 105) return `×${plain(decades)}`;
  if (share >= 99.5) return "100 %";
  if (share >= 9.95) return `${share.toFixed(0)} %`;
  if (decades >= MARK) return `${share.toFixed(1)} %`;
  if (share >= 0.95) return `${Math.min(0.99, Number(share.toPrecision(2)))} %`; // under the mark is never written as 1 %
  return share >= 0.0095 ? `${Number(share.toPrecision(1))} %` : power(decades);
}

/** A mark of an axis. @param {number} decades a whole number */
export const tickText = (decades) => (decades < -2 ? `1e${decades}` : decades > 0 ? `×${plain(decades)}` : `${10 ** (decades + 2)} %`);

/** A factor of one step. @param {number} factor */
export function factorText(factor) {
  if (factor === 0) return "×0";
  if (factor >= 0.095 && factor < 999.5) return `×${factor.toFixed(factor < 9.95 ? 2 : 0)}`;
  return factor >= 1e-3 && factor < 0.095 ? `×${Number(factor.toPrecision(2))}` : `×${power(Math.log10(factor))}`;
}

/** @param {number} decades */
function plain(decades) {
  const factor = 10 ** decades;
  if (decades >= 3) return power(decades);
  return factor < 99.5 ? String(Number(factor.toPrecision(2))) : factor.toFixed(0);
}

/** @param {number} decades */
function power(decades) {
  const whole = Math.floor(decades + 1e-9), mantissa = Math.round(10 ** (decades - whole));
  return mantissa === 10 ? `1e${whole + 1}` : `${mantissa}e${whole}`;
}
