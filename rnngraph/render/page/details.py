"""The scenes of a trace at every detail that it has, with the recorded nodes behind their boxes.

In come a trace, its groups and its atoms, out goes a dictionary from a scene's name to the scene.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.graph.recorded import Recorded
from rnngraph.render.page.formulas import PARTS, STATES
from rnngraph.render.page.groups import Groups
from rnngraph.render.page.nodes import describe
from rnngraph.render.page.prototype import rolled, unrolled
from rnngraph.render.page.scene import scene
from rnngraph.render.page.series import Atoms, magnitude, magnitudes
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace


def scenes(trace: Trace, groups: Groups, atoms: Atoms) -> dict[str, Any]:
    """Return "step" and "op" (where it differs), both also "rolled", and "layer"."""
    found = {
        "step": scene(trace, unrolled(trace, "step", groups)),
        "step rolled": scene(trace, rolled(trace, "step")),
        "layer": scene(trace, rolled(trace, "layer")),
    }
    fine = scene(trace, unrolled(trace, "op", groups))
    if _shape_of(fine) != _shape_of(found["step"]):
        found |= {"op": fine, "op rolled": scene(trace, rolled(trace, "op"))}
    recorded = Recorded(trace.graph, np.empty(0, dtype=np.int64))
    for one in found.values():
        _Nodes(trace, groups, atoms, recorded, one).fill()
    return found


def _shape_of(one: dict[str, Any]) -> list[Any]:
    return [[vertex["key"] for vertex in column["vertices"]] for column in one["columns"].values()]


class _Nodes:
    """Replaces the node ids of one scene by what the page shows of them: descriptions, and ids and norms by step."""

    def __init__(self, trace: Trace, groups: Groups, atoms: Atoms, recorded: Recorded, one: dict[str, Any]) -> None:
        self.trace, self.groups, self.atoms, self.recorded, self.scene = trace, groups, atoms, recorded, one
        self.table: list[dict[str, Any]] = []
        self.ids: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}

    def fill(self) -> None:
        for kind, column in self.scene["columns"].items():
            for vertex in column["vertices"]:
                vertex["formula"] = self._formula(vertex)
                nodes, vertex["nodes"] = vertex["nodes"], []
                for place, node in enumerate(nodes):
                    vertex["nodes"].append(self._describe(node))
                    if kind.isdigit():
                        self._collect(f"{vertex['key']} {place}", int(kind), column["step"], node)
        self.scene["nodes"] = self.table
        self.scene["ids"] = {name: _progression(ids, self.atoms) for name, ids in self.ids.items()}
        self.scene["norms"] = {name: found for name, ids in self.ids.items() if (found := self._norms(ids)) is not None}

    def _formula(self, vertex: dict[str, Any]) -> str:
        if vertex["state"] >= 0:
            state = self.trace.states[vertex["state"]]
            return "" if vertex["kind"] == "initial" else STATES.get(f"{state.cell}.{state.kind}", "")
        # Keys are made safe for ids; the label of a part tells which it is.
        by_label = {name: text for name, text in PARTS.items() if name in vertex["label"].split(" + ")[0].split()}
        named = PARTS.get(vertex["label"].removesuffix(" + b").replace(" ", ""))
        return named or (next(iter(by_label.values()), "") if vertex["kind"] in {"gate", "part"} else "")

    def _describe(self, node: int) -> int:
        found = describe(self.recorded, node)
        if found not in self.table:
            self.table.append(found)
        return self.table.index(found)

    def _collect(self, name: str, group: int, step: int, node: int) -> None:
        steps = np.flatnonzero(self.groups.of == group)
        ids = self.ids.setdefault(name, np.full(self.trace.timesteps, -1, dtype=np.int64))
        rank = self.groups.rank(step, node)
        ids[steps] = node if rank < 0 else self.groups.nodes(steps, rank)

    def _norms(self, ids: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
        grad = self.trace.graph.grad
        known = (ids >= 0) & (ids < len(grad.value))
        if not known.any():
            return None
        if (ids == ids[0]).all():  # one node for the whole sequence
            return {"whole": magnitude(grad[int(ids[0])])}
        by_step = Magnitudes.unobserved(ids.shape)
        by_step.value[known], by_step.status[known] = grad.value[ids[known]], grad.status[ids[known]]
        return magnitudes(by_step, self.atoms)


def _progression(ids: np.ndarray[Any, np.dtype[np.int64]], atoms: Atoms) -> dict[str, Any]:
    """Write ids that grow evenly as their first and their step, others as a list an atom."""
    steps = np.array([start if stop - start == 1 else -1 for start, stop in atoms])
    chosen = np.where(steps >= 0, ids[steps], -1)
    known = np.flatnonzero(ids >= 0)
    by = int(ids[known[1]] - ids[known[0]]) // int(known[1] - known[0]) if len(known) > 1 else 0
    first = int(ids[known[0]]) - by * int(known[0])
    if (ids[known] == first + by * known).all():
        return {"first": first, "by": by}
    return {"list": chosen.tolist()}
