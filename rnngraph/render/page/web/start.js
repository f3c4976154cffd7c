// @ts-check
// Put the page together.
import { startAll } from "./all/start.js";
import { byId, data } from "./data.js";
import { html, oneLine } from "./elements.js";
import { startHelp } from "./help.js";
import { startKeys } from "./keys.js";
import { fromAddress } from "./loss.js";
import { sayMeta } from "./say.js";
import { copyLink, exportPng, exportSvg } from "./share.js";
import { startTheme } from "./theme.js";
import { startWalk } from "./walk.js";

function headline() {
  const [title, why, attempt] = data.headline;
  const whole = (/** @type {string} */ text) => oneLine(text).replace(/(\d) %/g, "$1\u00a0%");
  byId("title").textContent = whole(title);
  const parts = [["Why:", why], ["Try:", attempt]].filter(([, text]) => text).flatMap(([word, text]) => [html("b", {}, word), ` ${whole(text)} `]);
  byId("why").hidden = !parts.length;
  byId("why").append(...parts);
}

headline();
startTheme(data.start.theme);
byId("theme").value = data.start.theme;
fromAddress();
const openHelp = startHelp();
if (data.notes.length) {
  byId("notes").hidden = false;
  byId("notes").querySelector("ul").append(...data.notes.map((/** @type {string} */ note) => html("li", {}, oneLine(note))));
}
for (const [name, action] of /** @type {[string, () => void][]} */ ([["link", copyLink], ["svg", exportSvg], ["png", exportPng]])) {
  for (const id of [name, `${name}-2`]) {
    if (!data.losses || location.protocol === "about:") byId(id).hidden = true; // a notebook's frame may save nothing
    byId(id).addEventListener("click", action);
  }
}
if (data.losses) {
  const play = startWalk();
  startKeys(play, openHelp);
  addEventListener("hashchange", fromAddress);
} else {
  byId(data.total ? "whole" : "without").hidden = false;
  sayMeta(null);
  startKeys(() => {}, openHelp);
  byId("all").open = true;
}
startAll();
