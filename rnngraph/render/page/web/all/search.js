// @ts-check
// Search for operations, layers, states, weights, words and steps: what is found leads to its place.
import { view } from "./camera.js";
import { columnAfter, columnAt, columns, scene, ui } from "./columns.js";
import { showRanges } from "./controls.js";
import { select } from "./focus.js";
import { nodesOf, showBand } from "./panel.js";
import { vertexOf } from "./selected.js";
import { atomAt, atoms, isStep, merged } from "./series.js";
import { byId, data, last } from "../data.js";
import { html, oneLine } from "../elements.js";

const FOUND = 40;
let results = [], marked = -1;

function searchFor(text) {
  const wanted = text.trim().toLowerCase(), found = [];
  const number = /^(?:t\s*=\s*)?(\d+)$/.exec(wanted);
  if (number && Number(number[1]) <= last) found.push({ text: `step t=${Number(number[1])}`, go: () => goTo(Number(number[1])) });
  if (!wanted) return [];
  const add = (name, more, go) => { if (`${name} ${more}`.toLowerCase().includes(wanted)) found.push({ text: more ? `${name} — ${more}` : name, go }); };
  const seen = new Set();
  for (const column of Object.values(scene.columns)) {
    for (const vertex of column.vertices) {
      if (seen.has(vertex.key) || vertex.kind === "fold" || vertex.kind === "initial") continue;
      seen.add(vertex.key);
      const row = scene.rows[vertex.row], ops = nodesOf(vertex).map((node) => `${node.op} ${node.name}`).join(" ");
      const label = vertex.kind === "loss" ? "loss" : vertex.label.replace("{n}", data.timesteps).replaceAll("\n", " ");
      add(label, oneLine([row?.name, row?.direction, data.states[vertex.state]?.name, ops].filter(Boolean).join(" ")), () => goToKey(vertex.key));
    }
  }
  for (const parameter of data.parameters) add(oneLine(parameter.name), `weight ${parameter.shape}`, () => showBand(parameter.name, columns.find((column) => column.count)));
  for (let atom = 0; atom < atoms.length && found.length < FOUND; atom += 1) {
    const word = data.labels[atom];
    if (word !== null && word.toLowerCase().includes(wanted)) found.push({ text: `“${oneLine(word)}” — t=${atoms[atom][0]}`, go: () => goTo(atoms[atom][0]) });
  }
  return found.slice(0, FOUND);
}

// Show a timestep, unfolded with its neighbours, and choose a state's box there.
export function goTo(step, state = -1) {
  if ((columnAt(step)?.kind === "fold") && isStep(atomAt(step))) showRanges(merged([...ui.ranges, [Math.max(0, step - 2), Math.min(data.timesteps, step + 3)]]));
  const column = columnAt(step), own = column.plan.vertices;
  select(column, (own.find((one) => one.state === state && state >= 0) ?? own.find((one) => one.state >= 0) ?? own[0]).key, { focus: true });
}

function goToKey(key) {
  const middle = columnAfter((view.width / 2 - view.x) / view.scale), near = [...columns].sort((a, b) => Math.abs(a.index - middle) - Math.abs(b.index - middle));
  const column = near.find((one) => vertexOf(one, key));
  if (column) select(column, key, { focus: true });
}

export function startSearch() {
  const field = byId("search"), list = byId("found");
  const close = () => { list.hidden = true; field.setAttribute("aria-expanded", false); field.removeAttribute("aria-activedescendant"); };
  const take = (index) => { const result = results[index]; if (result) { close(); result.go(); } };
  const mark = (index) => {
    marked = index;
    [...list.children].forEach((item, at) => item.setAttribute("aria-selected", at === index));
    if (index >= 0) { field.setAttribute("aria-activedescendant", `found${index}`); list.children[index].scrollIntoView({ block: "nearest" }); }
  };
  field.addEventListener("input", () => {
    results = searchFor(field.value);
    list.replaceChildren(...(results.length ? results : field.value.trim() ? [{ text: "nothing found" }] : []).map((result, index) => {
      const item = html("li", { id: `found${index}`, role: "option" }, result.text);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(index); });
      return item;
    }));
    list.hidden = !list.children.length;
    field.setAttribute("aria-expanded", !list.hidden);
    mark(results.length ? 0 : -1);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (results.length) mark((marked + (event.key === "ArrowDown" ? 1 : -1) + results.length) % results.length);
    } else if (event.key === "Enter") take(marked);
    else if (event.key === "Escape") { close(); field.value = ""; byId("view").focus(); }
    else return;
    event.preventDefault();
  });
  field.addEventListener("blur", close);
}
