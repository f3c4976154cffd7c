// @ts-check
// Where the graph of every step stands in its view, and how far away it is seen from.
import { GUTTER, bottom, columns, width } from "./columns.js";

export const view = { x: 0, y: 0, scale: 1, width: 0, height: 0, drawn: new Map(), moved: false };

const READABLE = 0.45; // the smallest scale at which boxes are elements with text
export const NEAR = 44, LEAST = 9; // pixels a step: below the first without forward arrows, below the second not at all

export const total = () => ({ width: width + GUTTER + 40, height: bottom() + 40 });
export const isFar = () => view.scale < READABLE;
export const tall = () => (isFar() ? Math.max(view.scale, Math.min(0.62, (view.height - 30) / total().height)) : view.scale);

export function pitchOf() {
  const steps = columns.filter((column) => column.kind === "step");
  return steps.length > 1 ? steps[0].plan.width + 52 : 160;
}
