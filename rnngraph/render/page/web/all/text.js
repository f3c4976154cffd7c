// @ts-check
// Numbers as text and as colours. A measure is {low, high, counts, status, log}: its ends are decimal logarithms
// where `log` is true, because norms below 1e-308 are still norms.
import { data } from "../data.js";
import { isDark } from "../theme.js";

export const OK = 0, ZERO = 1, UNDERFLOW = 2, NONFINITE = 3, UNOBSERVED = 4;
const STATUS_TEXT = ["ok", "0", "underflow", "not finite", "not observed"];
export const STATUS_CLASS = ["", "is-zero", "is-underflow", "is-nonfinite", "is-unobserved"];

export function shortNumber(value, digits = 2) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 0.01 && size < 1000) return String(Number(value.toPrecision(size >= 100 ? Math.max(3, digits) : digits)));
  return tidy(value.toExponential(digits - 1));
}

function numberFromLog(log, digits = 2) {
  if (log > -300 && log < 300) return shortNumber(10 ** log, digits);
  let exponent = Math.floor(log);
  let mantissa = (10 ** (log - exponent)).toFixed(digits - 1);
  if (Number(mantissa) >= 10) [mantissa, exponent] = ["1", exponent + 1];
  return tidy(`${mantissa}e${exponent}`);
}

function tidy(text) {
  const [mantissa, exponent] = text.split("e");
  return `${mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa}e${Number(exponent)}`;
}

export function textOf(measure, digits = 2) {
  if (!measure) return "";
  if (measure.status !== OK) return STATUS_TEXT[measure.status];
  const write = measure.log ? numberFromLog : shortNumber;
  const below = [ZERO, UNDERFLOW].find((status) => measure.counts[status]);  // a range must not hide where the gradient has died
  const low = below === undefined ? write(measure.low, digits) : STATUS_TEXT[below], high = write(measure.high, digits);
  return low === high ? high : `${low} … ${high}`;
}

// What else is hidden in a range of several steps, such as "3 zero".
export function restOf(measure) {
  const words = ["", "zero", "underflow", "not finite", "not observed"];
  return words.flatMap((word, status) => (word && status !== measure.status && measure.counts[status]
    ? [`${measure.counts[status]} ${word}`] : [])).join(", ");
}

export const percent = (measure) => (measure.status === OK
  ? [...new Set([measure.low, measure.high].map((share) => `${Math.round(share * 1000) / 10} %`))].join(" … ")
  : measure.status === ZERO ? "0 %" : STATUS_TEXT[measure.status]);

function mixed(stops, share) {
  const place = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  return [1, 3, 5].map((at) => {
    const one = parseInt(stops[index].slice(at, at + 2), 16), two = parseInt(stops[index + 1].slice(at, at + 2), 16);
    return Math.round(one + (two - one) * (place - index));
  });
}

export const shareOf = (ends, value) => Math.min(1, Math.max(0, (value - ends[0]) / (ends[1] - ends[0])));

function stopsFor(scale) {
  return data.scales.stops[(isDark() ? "dark" : "light") + (scale === "gain" ? "Balance" : "")];
}

// `scale` is one of arrows, bars, weights, gain, activation, saturation.
export function colourOf(scale, value) {
  const [red, green, blue] = mixed(stopsFor(scale), shareOf(scaleEnds(scale), value));
  return `rgb(${red},${green},${blue})`;
}

export function inkOver(scale, value) {
  const light = luminance(mixed(stopsFor(scale), shareOf(scaleEnds(scale), value)));
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#ffffff" : "#000000"; // whichever is told better from the colour
}

function luminance(colour) {
  const [red, green, blue] = colour.map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export const scaleEnds = (scale) => (scale === "saturation" ? [0, 1] : data.scales[scale]);
