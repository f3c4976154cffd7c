// @ts-check
// Where the graph of every step stands in its view, and how large it is seen.
import { GUTTER, bottom, width } from "./columns.js";

export const view = { x: 0, y: 0, scale: 1, width: 0, height: 0, drawn: new Map(), moved: false };

export const READABLE = 0.45; // the smallest scale: text in boxes can be read

export const total = () => ({ width: width + GUTTER + 40, height: bottom() + 40 });
