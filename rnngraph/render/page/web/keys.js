// @ts-check
// The keys of the whole page; what has the focus, such as the slider or the graph of all steps, comes first.
import { data } from "./data.js";
import { chosen, look } from "./loss.js";
import { exportPng, exportSvg } from "./share.js";

/** @param {() => void} play @param {() => void} help */
export function startKeys(play, help) {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target), name = target.tagName;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(name)) return;
    if (target.closest("#all[open] .explorer, dialog")) return;
    if (event.key === "?") { help(); return; }
    if (!data.losses) return;
    const pressed = /^(BUTTON|SUMMARY|A)$/.test(name);
    if (event.key === "ArrowLeft") look(chosen().number - 1);
    else if (event.key === "ArrowRight") look(chosen().number + 1);
    else if (event.key === " " && !pressed) play();
    else if (event.key === "e" || event.key === "E") exportSvg();
    else if (event.key === "p" || event.key === "P") exportPng();
    else return;
    event.preventDefault();
  });
}
