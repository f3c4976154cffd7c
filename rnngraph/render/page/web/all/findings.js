// @ts-check
// The findings of a diagnosis: each leads to its place in the graph of every step.
import { columns } from "./columns.js";
import { showBand } from "./panel.js";
import { goTo } from "./search.js";
import { measureEntry } from "./series.js";
import { shortNumber, textOf } from "./text.js";
import { byId, data, last } from "../data.js";
import { html, oneLine } from "../elements.js";

export function startFindings(open) {
  const diagnosis = data.diagnosis;
  if (!diagnosis) return;
  byId("findings").hidden = !diagnosis.findings.length;
  byId("horizon").textContent = `Verdict at a horizon of ${diagnosis.horizon} steps: ${diagnosis.verdict.replaceAll("_", " ")}.`;
  byId("findings").querySelector("ol").append(...diagnosis.findings.map((finding) => html("li", { class: finding.severity },
    html("button", { type: "button", onclick: () => { open(); goToFinding(finding.where); } }, html("strong", {}, finding.rule.replaceAll("_", " ")), ` ${oneLine(finding.text)}`),
    finding.advice ? html("p", { class: "note" }, oneLine(finding.advice)) : "")));
}

function goToFinding(where) {
  const state = data.states.findIndex((one) => one.name === where.state
    || (where.state === undefined && one.layer === where.layer && (where.direction ?? one.direction) === one.direction));
  if (typeof where.timestep === "number" && where.timestep >= 0 && where.timestep <= last) return goTo(where.timestep, state);
  if (where.parameter) return showBand(where.parameter, columns.find((column) => column.count));
  const found = data.states[state] ?? data.states[0];
  // The far end of the walk back is where a vanished or exploded gradient shows.
  goTo(found.direction === "reverse" ? last : 0, Math.max(0, state));
}

export function startWeights() {
  byId("weights").hidden = !data.parameters.length;
  byId("weights").querySelector("tbody").append(...data.parameters.map((one) => html("tr", {}, html("th", { scope: "row" }, oneLine(one.name)), html("td", {}, one.shape),
    html("td", {}, textOf(measureEntry(one.grad, true), 3)), html("td", {}, one.radius === null ? "–" : shortNumber(one.radius, 3)), html("td", {}, one.singular === null ? "–" : shortNumber(one.singular, 3)))));
}
