"""Where something enters a step from outside: an edge of the graph, or an operation that took plain data.

Data needs no gradient, so that no edge leads to it. What reaches it follows from what reaches the operation that took
it: a product with a weight, a convolution, or a part of what was joined. In: nodes. Out: `Entrance`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from rnngraph.sources.torch.edges import Edge, shape_of

Back = Callable[[Any], Any]
_PRODUCTS = {"AddmmBackward0": (1, "mat1"), "MmBackward0": (0, "self")}  # the slot of the data, and its name
_TURNS = frozenset({"TBackward0", "TransposeBackward0", "PermuteBackward0"})
MOVES = frozenset({"SelectBackward0", "SliceBackward0", "IndexBackward0", "SqueezeBackward1", "UnbindBackward0"})


@dataclass(frozen=True, slots=True)
class Entrance:
    """An edge, and what of a gradient there, with rows in front, is the input's."""

    edge: Edge
    back: Back
    sign: tuple[Any, ...]  # alike at every step
    key: Any  # of the tensor that enters
    value: Any = None  # the data, where it is known
    width: int = 0  # of data that was joined with something, along the axis of it


def given(edge: Edge, sign: tuple[Any, ...] = ()) -> Entrance:
    """Let an edge be an entrance as it is."""
    return Entrance(edge, lambda rows: rows, sign or (edge[0].name(), edge[1]), edge)


def entrances(nodes: Iterable[Any]) -> list[Entrance]:
    """Find the operations that took data, among the nodes that a step made."""
    return [found for node in nodes if (found := _entrance(node)) is not None]


def _entrance(node: Any) -> Entrance | None:
    name, below = node.name(), node.next_functions
    if name in _PRODUCTS:
        slot, kept = _PRODUCTS[name]
        weight = _value(below[slot + 1]) if below[slot][0] is None else None
        value = None if weight is None else _saved(node, kept)
        if weight is None or value is None or weight.shape[0] != value.shape[-1]:
            return None
        sign = ("product", _source(below[slot + 1]))
        return Entrance((node, 0), lambda rows: rows @ weight.T, sign, _key(value), value)
    if name == "ConvolutionBackward0" and below[0][0] is None and below[1][0] is not None:
        value = _saved(node, "input")
        sign = ("product", _source(below[1]))
        return None if value is None else Entrance((node, 0), _through_convolution(node), sign, _key(value), value)
    if name == "CatBackward0":
        return _joined(node)
    return None


def _saved(node: Any, name: str) -> Any:
    """Give what a node keeps for the way back; None where that was freed, or changed since."""
    try:
        return getattr(node, f"_saved_{name}")
    except RuntimeError:
        return None


def _joined(node: Any) -> Entrance | None:
    """Find the one part of a join that is data."""
    parts = node.next_functions
    data = [k for k, (one, _) in enumerate(parts) if one is None]
    if len(data) != 1:
        return None
    shape = shape_of((node, 0))
    axis = int(node._saved_dim)
    axis = (axis - (1 << 64) if axis >> 63 else axis) % len(shape)
    sizes = [shape_of(part)[axis] for part in parts if part[0] is not None]
    first, width = sum(sizes[: data[0]]), shape[axis] - sum(sizes)
    return Entrance((node, 0), _part(axis, first, width), ("joined", axis, first, width), (node, 0), width=width)


def _part(axis: int, first: int, width: int) -> Back:
    return lambda rows: rows.narrow(axis + 1, first, width)


def narrowed(one: Entrance, like: Entrance) -> Entrance:
    """Take the part of a product's data that is joined from an input and a state at other steps."""
    _, axis, first, width = like.sign
    value = None if one.value is None else one.value.narrow(axis, first, width)
    back = _part(axis, first, width)
    return Entrance(one.edge, lambda rows: back(one.back(rows)), like.sign, one.key, value, width)


def _key(value: Any) -> Any:
    return value.data_ptr(), tuple(value.shape)


def _through_convolution(node: Any) -> Back:
    def back(rows: Any) -> Any:
        data = node._saved_input
        flat = data.expand(len(rows), *data.shape).flatten(0, 1)
        found = torch.ops.aten.convolution_backward(
            rows.flatten(0, 1), flat, node._saved_weight, None, node._saved_stride, node._saved_padding,
            node._saved_dilation, node._saved_transposed, node._saved_output_padding, node._saved_groups,
            [True, False, False],
        )[0]  # fmt: skip
        return found.unflatten(0, (len(rows), len(data)))

    return back


def _source(edge: Edge) -> Any:
    """Give the leaf behind views of a weight, to know it again."""
    node = edge[0]
    while node is not None and node.next_functions:
        node = node.next_functions[0][0]
    return None if node is None else id(node.variable)


def _value(edge: Edge) -> Any:
    """Give the value of a weight, or of one that is turned or brought to another type; None of what was computed."""
    node = edge[0]
    if node is None:
        return None
    if hasattr(node, "variable"):
        return node.variable.detach()
    turned, copied = node.name() in _TURNS, node.name() == "ToCopyBackward0"
    below = _value(node.next_functions[0]) if turned or copied else None
    if below is None or below.dim() != 2:
        return None
    return below.T if turned else below.to(node._input_metadata[0].dtype)
