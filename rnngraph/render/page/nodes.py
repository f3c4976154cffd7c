"""What the panel says of the recorded nodes behind a box: op, formula, shape, scope, inputs, weights.

In come node ids of one step, out go plain dictionaries in which a node of another timestep is named relative to it.
"""

from __future__ import annotations

from typing import Any

from rnngraph.graph.recorded import Recorded
from rnngraph.render.page.formulas import FORMULAS

SHOWN_INPUTS = 8


def describe(recorded: Recorded, node: int) -> dict[str, Any]:
    """Return what is the same of a node at every timestep of its group."""
    graph = recorded.graph
    op = recorded.op(node)
    sources = recorded.inputs(node).tolist()
    return {
        "op": op,
        "label": recorded.label(node),
        "formula": FORMULAS.get(op, ""),
        "name": graph.names.get(str(node), ""),
        "scope": recorded.scope(node),
        "shape": graph.shapes[int(graph.shape[node])],
        "inputs": [_input(recorded, node, source) for source in sources[:SHOWN_INPUTS]]
        + ([f"and {len(sources) - SHOWN_INPUTS} more"] if len(sources) > SHOWN_INPUTS else []),
        "weights": [
            name
            for source in sources[:SHOWN_INPUTS]
            if recorded.op(source) == "parameter" and (name := graph.names.get(str(source), ""))
        ],
    }


def _input(recorded: Recorded, node: int, source: int) -> str:
    graph = recorded.graph
    name = graph.names.get(str(source)) or recorded.label(source)
    shape = graph.shapes[int(graph.shape[source])]
    there, here = int(graph.timestep[source]), int(graph.timestep[node])
    when = ""
    if there >= 0 and here >= 0:
        away = there - here
        when = " at t" if away == 0 else f" at t{'+' if away > 0 else '-'}{abs(away)}"
    return f"{name} {shape}{when}"
