"""The recorded nodes behind the boxes of a scene: what each says, and its ids and norms by step.

In comes a scene whose boxes hold the node ids of their own step, out goes the same scene with tables in their stead. A
node of another timestep is named relative to the one that takes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.graph.build.recorded import Recorded
from rnngraph.render.page.number_lists import Atoms, magnitude, magnitudes
from rnngraph.render.page.prototype import Groups
from rnngraph.trace.magnitudes import Integers, Magnitudes
from rnngraph.trace.model import Trace

SHOWN_INPUTS = 8


def fill_nodes(trace: Trace, groups: Groups, atoms: Atoms, scene: dict[str, Any]) -> None:
    """Replace the node ids of a scene by what the page shows of them."""
    recorded = Recorded(trace.graph, np.empty(0, dtype=np.int64))
    described: list[dict[str, Any]] = []
    ids: dict[str, Integers] = {}
    for kind, column in scene["columns"].items():
        for vertex in column["vertices"]:
            nodes, vertex["nodes"] = vertex["nodes"], []
            for number, node in enumerate(nodes):
                vertex["nodes"].append(_numbered(described, _describe(recorded, node)))
                if kind.isdigit():
                    own = ids.setdefault(f"{vertex['key']} {number}", np.full(trace.timesteps, -1, dtype=np.int64))
                    _collect(own, groups, int(kind), column["step"], node)
    scene["nodes"] = described
    scene["ids"] = {name: _progression(found, atoms) for name, found in ids.items()}
    norms = {name: _norms(trace.graph.grad, found, atoms) for name, found in ids.items()}
    scene["norms"] = {name: found for name, found in norms.items() if found is not None}


def _numbered(table: list[dict[str, Any]], entry: dict[str, Any]) -> int:
    if entry not in table:
        table.append(entry)
    return table.index(entry)


def _collect(ids: Integers, groups: Groups, group: int, step: int, node: int) -> None:
    """Write the counterparts of a node at all steps of a group into `ids`, (T,)."""
    steps = np.flatnonzero(groups.of == group)
    rank = groups.rank(step, node)
    ids[steps] = node if rank < 0 else groups.nodes(steps, rank)


def _norms(grad: Magnitudes, ids: Integers, atoms: Atoms) -> Any:
    known = (ids >= 0) & (ids < len(grad.value))
    if not known.any():
        return None
    if (ids == ids[0]).all():  # one node for the whole sequence
        return {"whole": magnitude(grad[int(ids[0])])}
    by_step = Magnitudes.unobserved(ids.shape)
    by_step.value[known], by_step.status[known] = grad.value[ids[known]], grad.status[ids[known]]
    return magnitudes(by_step, atoms)


def _progression(ids: Integers, atoms: Atoms) -> dict[str, Any]:
    """Write ids that grow evenly as their first and their step, others as a list an atom."""
    steps = np.array([start if stop - start == 1 else -1 for start, stop in atoms])
    known = np.flatnonzero(ids >= 0)
    by = int(ids[known[1]] - ids[known[0]]) // int(known[1] - known[0]) if len(known) > 1 else 0
    first = int(ids[known[0]]) - by * int(known[0])
    if (ids[known] == first + by * known).all():
        return {"first": first, "by": by}
    return {"list": np.where(steps >= 0, ids[steps], -1).tolist()}


def _describe(recorded: Recorded, node: int) -> dict[str, Any]:
    """Return what is the same of a node at every timestep of its group."""
    sources = recorded.inputs(node).tolist()
    more, sources = len(sources) - SHOWN_INPUTS, sources[:SHOWN_INPUTS]
    return {
        "op": recorded.op(node),
        "label": recorded.label(node),
        "formula": recorded.formula(node),
        "name": recorded.name(node),
        "scope": recorded.scope(node),
        "shape": _shape(recorded, node),
        "inputs": [
            *(_input(recorded, node, source) for source in sources),
            *([f"and {more} more"] if more > 0 else []),
        ],
        "weights": [name for one in sources if recorded.role(one) == "parameter" and (name := recorded.name(one))],
    }


def _shape(recorded: Recorded, node: int) -> str:
    return recorded.graph.shapes[int(recorded.graph.shape[node])]


def _input(recorded: Recorded, node: int, source: int) -> str:
    there, here = (int(recorded.graph.timestep[one]) for one in (source, node))
    away = there - here
    when = "" if there < 0 or here < 0 else " at t" if not away else f" at t{'+' if away > 0 else '-'}{abs(away)}"
    return f"{recorded.name(source) or recorded.label(source)} {_shape(recorded, source)}{when}"
