// @ts-check
// The help: how to read the page, its words and its keys.
import { byId } from "./data.js";

export function startHelp() {
  const box = byId("help");
  byId("help-close").addEventListener("click", () => box.close());
  box.addEventListener("click", (/** @type {MouseEvent} */ event) => { if (event.target === box) box.close(); });
  const open = () => { if (!box.open) box.showModal(); };
  for (const id of ["help-open", "help-open-2"]) byId(id).addEventListener("click", open);
  return open;
}
