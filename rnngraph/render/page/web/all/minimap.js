// @ts-check
// The whole sequence at a glance: the norm of every state's gradient, and which part is in view. Drag to move there.
import { view } from "./camera.js";
import { GUTTER, columnAfter, columnAt, columns, ui } from "./columns.js";
import { go } from "./go.js";
import { atoms, measureOf } from "./series.js";
import { NONFINITE, OK, colourOf, shareOf } from "./text.js";
import { bound, soon } from "./view.js";
import { byId, data, last } from "../data.js";
import { html } from "../elements.js";
import { isDark, themed } from "../theme.js";

export function drawMinimap() {
  const canvas = byId("minimap"), ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth;
  if (!wide) return;
  Object.assign(canvas, { width: Math.round(wide * ratio), height: Math.round(44 * ratio) });
  minimapImage = html("canvas", { width: canvas.width, height: canvas.height });
  const context = minimapImage.getContext("2d");
  context.scale(ratio, ratio);
  const high = 40, ends = data.scales.bars, x = (step) => (step / data.timesteps) * wide;
  data.states.forEach((state, index) => {
    const each = Math.max(1, Math.floor(atoms.length / (wide * 1.5)));
    for (let atom = 0; atom < atoms.length; atom += each) {
      const stop = Math.min(atoms.length, atom + each), found = measureOf(state.grad, [[atom, stop]]);
      const from = x(atoms[atom][0]), size = Math.max(1, x(atoms[stop - 1][1]) - from), band = high / data.states.length, top = index * band + 2;
      if (found.status === OK) {
        const share = Math.max(0.06, shareOf(ends, found.high));
        context.fillStyle = ui.color === "loss" ? themed("amount") : colourOf("bars", found.high);
        context.fillRect(from, top + band * (1 - share), size > 3 ? size - 1 : size, band * share - (band > 8 ? 1 : 0));
      } else if (found.status === NONFINITE) {
        context.fillStyle = "#c62828";
        context.fillRect(from, top, size, band);
      }
    }
  });
  markMinimap();
}

/** @type {any} */
let minimapImage = null;

// The steps in view, as timesteps.
function inView() {
  const scale = view.scale, left = columnAfter((GUTTER * scale - view.x) / scale), right = columnAfter((view.width - view.x) / scale);
  const known = columns.slice(left, right + 1).filter((column) => column.count);
  return known.length ? [known[0].first, known.at(-1).last + 1] : [0, data.timesteps];
}

function markMinimap() {
  const canvas = byId("minimap");
  if (!minimapImage || minimapImage.width !== canvas.width) return;
  const context = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth, [first, stop] = inView();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(minimapImage, 0, 0);
  context.scale(ratio, ratio);
  const from = (first / data.timesteps) * wide, size = Math.max(4, ((stop - first) / data.timesteps) * wide);
  context.strokeStyle = isDark() ? "#f9fafb" : "#111827";
  context.lineWidth = 2;
  context.strokeRect(from + 1, 1, size - 2, 42);
  context.fillStyle = isDark() ? "rgba(255,255,255,0.09)" : "rgba(17,24,39,0.07)";
  context.fillRect(from + 1, 1, size - 2, 42);
  canvas.setAttribute("aria-valuemin", 0);
  canvas.setAttribute("aria-valuemax", last);
  canvas.setAttribute("aria-valuenow", first);
  canvas.setAttribute("aria-valuetext", `steps ${first} to ${stop - 1} of ${data.timesteps}`);
}

export function centreOn(step) {
  const column = columnAt(Math.min(last, Math.max(0, step)));
  const within = column.count > 1 ? (step - column.first) / column.count : 0.5;
  view.x = (view.width + GUTTER * view.scale) / 2 - (column.x + column.plan.width * within) * view.scale;
  bound();
  soon();
}

export function startMinimap() {
  go.placed.push(markMinimap);
  const canvas = byId("minimap");
  const follow = (event) => {
    const box = canvas.getBoundingClientRect();
    centreOn(Math.floor(((event.clientX - box.left) / box.width) * data.timesteps));
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); follow(event); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  canvas.addEventListener("keydown", (event) => {
    const [first, stop] = inView(), page = Math.max(1, stop - first - 1), middle = (first + stop - 1) / 2;
    const goal = { ArrowLeft: middle - 1, ArrowRight: middle + 1, PageUp: middle - page, PageDown: middle + page, Home: 0, End: last }[event.key];
    if (goal === undefined) return;
    centreOn(Math.round(goal));
    event.preventDefault();
  });
}
