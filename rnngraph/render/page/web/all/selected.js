// @ts-check
// Which box is chosen. It is known by its key and its timestep, so that it stays chosen when columns fold.
import { columnAt, columns, ui } from "./columns.js";

export const vertexOf = (column, key) => column?.plan.vertices.find((vertex) => vertex.key === key);

export function current() {
  if (!ui.selected) return null;
  const { step, key, end } = ui.selected;
  const column = end ? columns.find((one) => one.type === end) : columnAt(step);
  const vertex = vertexOf(column, key) ?? (column?.kind === "fold" ? column.plan.vertices[0] : null);
  return vertex ? { column, vertex } : null;
}
