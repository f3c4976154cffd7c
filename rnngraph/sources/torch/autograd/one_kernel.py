"""A step of PyTorch's LSTM and GRU cells that is one node, as it is on a GPU: what the node hides.

In: edges of the graph. Out: the part of a gradient that takes a way inside the node, and the gates that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge

_LSTM, _GRU = "ThnnFusedLstmCellBackward", "ThnnFusedGruCellBackward"


def above(edge: Edge) -> Edge | None:
    """Give the h that is made from a cell state in its own node; None of every other edge.

    Both come out of the node side by side, so that autograd hands c only what reaches it past this h.
    """
    node, place = edge
    return (node, 0) if place == 1 and node.name().startswith(_LSTM) else None


def all_above(edges: Iterable[Edge]) -> list[Edge]:
    """List what is above some edges."""
    return [one for edge in edges if (one := above(edge)) is not None]


def through(edge: Edge, gradient: Any) -> Any:
    """Give what a cell state gets of a gradient (..., N, H) at the h above it: h = o tanh(c), so o (1 - tanh² c)."""
    squashed = gate(edge[0], "c")
    return gradient * (gate(edge[0], "o") * (1 - squashed * squashed))


def whole_at(edge: Edge, found: Mapping[Edge, Any]) -> Any:
    """Give the gradient at an edge with the part that takes the way inside its node; None where nothing arrives."""
    own, upper = found.get(edge), above(edge)
    if upper is None or upper not in found:
        return own
    part = through(edge, found[upper])
    return part if own is None else own + part


def gates_of(node: Any) -> str:
    """Name what a node squashes, in PyTorch's order, with the cell state last; nothing of another node."""
    return "ifgoc" if node.name().startswith(_LSTM) else "rzn" if node.name().startswith(_GRU) else ""


def gate(node: Any, name: str) -> Any:
    """Give one of the `gates_of` a node, (N, H).

    Raises:
        RuntimeError: what the node kept was freed.
    """
    if name == "c":
        return node._saved_result1.detach().tanh()
    order = gates_of(node)
    kept, count = (node._saved_result2, 4) if "c" in order else (node._saved_result1, 5)  # of a GRU two parts of n too
    return kept.detach().chunk(count, dim=-1)[order.index(name)]
