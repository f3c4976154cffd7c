"""Nodes of the graph in which more happens than they show: cells in one kernel, and batch norm.

A step of PyTorch's LSTM and GRU cells is one node on a GPU, which hides a part of a gradient and keeps the gates.
Through the statistics that batch norm takes over samples and time at once every step reaches every other. That is no
memory: at another batch they would say something else, and in evaluation nothing. In: edges, and where recurrences hand
out what they compute. Out: what is hidden, and hooks that let statistics stand still while losses are walked back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, oldest, walk_down
from rnngraph.sources.torch.capture.backward_pass import BackwardPass

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


_NORMS = frozenset({"NativeBatchNormBackward0", "CudnnBatchNormBackward0"})
_STEPWISE = 3  # uses of one norm, each of which takes the statistics of a step

NOTE = (
    "batch norm in training takes statistics over all timesteps: what reaches a step through them is in its gradient, "
    "but is no memory, and is left out of the lags"
)


def batch_norms(nodes: Iterable[Any]) -> list[Any]:
    """List those that take statistics."""
    return [node for node in nodes if node.name() in _NORMS and getattr(node, "_saved_training", True)]


def statistics_between(run: BackwardPass, handed_out: Collection[Edge], *, above: bool = False) -> list[Any]:
    """Find the norms of whole sequences, and not of single steps, between edges at which recurrences hand out.

    And those `above` the last of these, where asked for.
    """
    least = oldest(node for node, _ in handed_out)
    some = batch_norms(run.nodes(least))
    if some and not above:
        below = {*at_and_below((node for node, _ in handed_out), least)}
        some = [node for node in some if node in below]
    uses = Counter(_weight(node) for node in some)
    return [
        node
        for node in some
        if uses[_weight(node)] < _STEPWISE and any((below, k) in handed_out for _, below, k in walk_down([node], least))
    ]


def _weight(node: Any) -> Any:
    return node.next_functions[1][0] or node


def frozen_statistics(nodes: Sequence[Any]) -> Iterator[Any]:
    """Put hooks on that hold mean and std constant, as in evaluation: y = (x - mean) · w / std."""
    return (node.register_hook(_holder(node)) for node in nodes)


def _holder(node: Any) -> Any:
    def hold(grad_inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        gradient, weight, scale = grad_outputs[0], node._saved_weight, node._saved_result2
        scale = scale if weight is None else scale * weight
        shape = [1, -1] + [1] * (node._saved_input.dim() - 2)
        if gradient is not None:
            gradient = (gradient * scale.detach().reshape(shape)).to(gradient.dtype)  # which may be narrower
        return gradient, *grad_inputs[1:]

    return hold
