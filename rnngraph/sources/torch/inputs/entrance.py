"""Where something enters a step from outside: an edge of the graph, or an operation that took plain data.

Data needs no gradient, so that no edge leads to it. What reaches it follows from what reaches the operation that took
it: a product with a weight, a convolution, or a part of what was joined. In: nodes. Out: `Entrance`s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from rnngraph.sources.torch.autograd.edges import Edge, shape_of

Back = Callable[[Any], Any]
PRODUCTS = {"AddmmBackward0": (1, "mat1"), "MmBackward0": (0, "self")}  # the slot of the data, and its name
WEIGHING = frozenset({*PRODUCTS, "ConvolutionBackward0"})
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
    node: Any = None  # of the step, by which it enters
    by_row: bool = False  # whether `back` treats every row of the data, a sample, by itself
    factor: Any = None  # what it is multiplied by, where that takes it as it is

    @property
    def weight(self) -> float:
        """Frobenius norm of its factor; NaN of none."""
        return math.nan if self.factor is None else float(self.factor.norm())


def given(edge: Edge, sign: tuple[Any, ...] = ()) -> Entrance:
    """Let an edge be an entrance as it is."""
    return Entrance(edge, lambda rows: rows, sign or (edge[0].name(), edge[1]), edge)


def entrances(nodes: Iterable[Any]) -> list[Entrance]:
    """Find the operations that took data, among the nodes that a step made."""
    some = list(nodes)
    wholes = {}  # what was joined, as the operation that took it keeps it
    for node in some:
        slot, kept = PRODUCTS.get(node.name(), (0, "input"))
        if node.name() in WEIGHING:
            wholes[node.next_functions[slot][0]] = saved(node, kept)
    return [found for node in some if (found := _entrance(node, wholes.get(node))) is not None]


def _entrance(node: Any, whole: Any) -> Entrance | None:
    name, below = node.name(), node.next_functions
    if name in PRODUCTS:
        slot, kept = PRODUCTS[name]
        weight = _weight(below[slot + 1]) if below[slot][0] is None else None
        value = None if weight is None else saved(node, kept)
        if weight is None or value is None or weight.shape[0] != value.shape[-1]:
            return None
        sign = ("product", _source(below[slot + 1]))
        return Entrance((node, 0), lambda rows: rows @ weight.T, sign, _key(value), value, node, True, weight)
    if name == "ConvolutionBackward0" and below[0][0] is None and below[1][0] is not None:
        value = saved(node, "input")
        sign = ("product", _source(below[1]))
        return (
            None if value is None else Entrance((node, 0), _through_convolution(node), sign, _key(value), value, node)
        )
    if name == "CatBackward0":
        return _joined(node, whole)
    return None


def is_data(node: Any, slot: int) -> bool:
    """Whether a slot of an operation is that in which a product takes data."""
    return node.name() in PRODUCTS and PRODUCTS[node.name()][0] == slot


def weight_at(node: Any, slot: int) -> Any:
    """Give the weight by which an operation multiplies what stands in a slot; None of any other."""
    return _weight(node.next_functions[slot + 1]) if is_data(node, slot) else None


def saved(node: Any, name: str) -> Any:
    """Give what a node keeps for the way back; None where that was freed, or changed since."""
    try:
        return getattr(node, f"_saved_{name}")
    except RuntimeError:
        return None


def _joined(node: Any, whole: Any) -> Entrance | None:
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
    value = None if whole is None else whole.narrow(axis, first, width)
    return Entrance((node, 0), _part(axis, first, width), ("joined", axis, first, width), (node, 0), value, node)


def _part(axis: int, first: int, width: int) -> Back:
    return lambda rows: rows.narrow(axis + 1, first, width)


def narrowed(one: Entrance, like: Entrance) -> Entrance:
    """Take the part of a product's data that is joined from an input and a state at other steps."""
    _, axis, first, width = like.sign
    value = None if one.value is None else one.value.narrow(axis, first, width)
    back = _part(axis, first, width)
    return Entrance(one.edge, lambda rows: back(one.back(rows)), like.sign, one.key, value, one.node)


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


def leaf_of(edge: Edge) -> tuple[Any, bool] | None:
    """Give the weight that an edge comes from, and whether it was turned; None of what was computed."""
    node, turned = edge[0], False
    while node is not None and not hasattr(node, "variable"):
        if node.name() not in _TURNS and node.name() != "ToCopyBackward0":
            return None
        turned ^= node.name() in _TURNS
        node = node.next_functions[0][0]
    return None if node is None or node.variable.dim() != 2 else (node.variable, turned)


def _weight(edge: Edge) -> Any:
    """Give the value of a weight as a product takes it."""
    leaf = leaf_of(edge)
    if leaf is None:
        return None
    value = leaf[0].detach().to(edge[0]._input_metadata[0].dtype if edge[0].next_functions else leaf[0].dtype)
    return value.T if leaf[1] else value


def _source(edge: Edge) -> Any:
    """Know a weight again, also that of a convolution."""
    leaf = leaf_of(edge)
    return edge if leaf is None else id(leaf[0])
