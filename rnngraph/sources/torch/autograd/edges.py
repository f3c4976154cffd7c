"""PyTorch's graph as we walk it: nodes, the edges between them, and the numbers that say when a node was made.

In: tensors. Out: edges (a node and which of its outputs), and walks against the arrows. A node made later has a larger
sequence number, so descending numbers are an order in which a gradient can walk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch.autograd.graph import get_gradient_edge

from rnngraph.sources.torch.autograd.tables import is_view, made_of, written_whole

Edge: TypeAlias = tuple[Any, int]

_WITHOUT_FLOAT64 = frozenset(["mps"])


def number_now() -> int:
    """Give the sequence number of the node that is made next."""
    return int(torch._C._autograd._get_sequence_nr())


def number_of(node: Any) -> int:
    """Give the sequence number of a node."""
    return int(node._sequence_nr())


def age(edge: tuple[Any, ...]) -> int:
    """Give the number of the node that an edge, or a link of a walk, begins with."""
    return number_of(edge[0])


def oldest(nodes: Iterable[Any]) -> int:
    """Give the smallest number of some nodes."""
    return min(map(number_of, nodes), default=0)


def in_backward() -> bool:
    """Tell whether autograd is at work, as when a checkpoint runs its part of the model again."""
    return bool(torch._C._current_graph_task_id() != -1)


def edge_of(tensor: Any) -> Edge:
    """Give the place of a tensor that was computed."""
    return tensor.grad_fn, tensor.output_nr


def edge_or_leaf(tensor: Any) -> Edge | None:
    """Give the place of a tensor that was computed, or of a leaf that needs a gradient; None of plain data."""
    if tensor.grad_fn is not None:
        return edge_of(tensor)
    if not tensor.requires_grad:
        return None
    node, place, *_ = get_gradient_edge(tensor)
    return node, place


def shape_of(edge: Edge) -> tuple[int, ...]:
    """Give the shape of what flows over an edge."""
    return tuple(int(size) for size in edge[0]._input_metadata[edge[1]].shape)


def bytes_of(edge: Edge) -> int:
    """Give the size in memory of what flows over an edge."""
    return math.prod(shape_of(edge)) * int(edge[0]._input_metadata[edge[1]].dtype.itemsize)


def full_at(edge: Edge, value: float) -> Any:
    """Make a tensor of the shape, type and device of an edge."""
    about = edge[0]._input_metadata[edge[1]]
    return torch.full(tuple(about.shape), value, dtype=about.dtype, device=about.device)


def cast_to(edge: Edge, tensor: Any) -> Any:
    """Bring a tensor to the type and the device of what flows over an edge."""
    about = edge[0]._input_metadata[edge[1]]
    return tensor.to(about.dtype).to(about.device)


def home_of_float64(device: torch.device) -> torch.device:
    """Give the device itself, or the CPU in the place of one that has no float64, as Apple's."""
    return torch.device("cpu") if device.type in _WITHOUT_FLOAT64 else device


def to_float64(tensor: Any) -> Any:
    """Give the numbers of a tensor in float64, complex ones in two of them."""
    kind = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().to(home_of_float64(tensor.device)).to(kind)


def as_reals(tensor: Any) -> Any:
    """Give the real and the imaginary parts of complex numbers along the last axis; real ones as they are."""
    return torch.view_as_real(tensor.resolve_conj()).flatten(-2) if tensor.is_complex() else tensor


def fixed_normal(shape: tuple[int, ...]) -> Any:
    """Draw normal numbers, the same ones every time, on the CPU whatever the default is."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, device="cpu")


def tensors_in(value: Any) -> Iterator[Any]:
    """Yield the tensors of floating and of complex numbers in a nest of tuples, lists and mappings, in order."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from tensors_in(one)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Give the same nest with other tensors; the batch sizes of a packed sequence stay."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return value._replace(data=change(value.data))
    if isinstance(value, Mapping):
        return {key: mapped(one, change) for key, one in value.items()}
    if isinstance(value, tuple | list):
        parts = [mapped(one, change) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def unviewed(edge: Edge) -> Edge:
    """Look through views of the same numbers, so that a state that is returned in two shapes is one state.

    And where a part is read of a table into which just that was written, it is what was written.
    """
    while is_view(edge[0]):
        below = edge[0].next_functions[0]
        if below[0] is None or not below[0].next_functions:
            break
        if math.prod(shape_of(below)) == math.prod(shape_of(edge)):
            edge = below
        elif (written := written_whole(edge[0])) is not None and shape_of(written) == shape_of(edge):
            edge = written
        else:
            break
    return edge


def walk_down(
    roots: Iterable[Any], least: int, stop: Callable[[Any], bool] | None = None, *, tables: bool = False
) -> Iterator[tuple[Any, Any, int]]:
    """Yield (consumer, node, which output) below `roots`, over nodes numbered `least` at least, not past `stop`.

    From a part of a table the way leads to what was written there; with `tables`, to the table, as autograd walks.
    """
    waiting = list(dict.fromkeys(roots))
    seen = set(waiting)
    while waiting:
        consumer = waiting.pop()
        for node, place in consumer.next_functions if tables else made_of(consumer):
            if node is None or not node.next_functions or node._sequence_nr() < least:
                continue
            yield consumer, node, place
            if node not in seen and not (stop is not None and stop(node)):
                seen.add(node)
                waiting.append(node)


def at_and_below(
    roots: Iterable[Any], least: int = 0, stop: Callable[[Any], bool] | None = None, *, tables: bool = False
) -> list[Any]:
    """List nodes and those below them, the oldest first; see `walk_down`."""
    nodes = list(roots)
    return sorted({*nodes, *(node for _, node, _ in walk_down(nodes, least, stop, tables=tables))}, key=number_of)


def all_below(roots: Iterable[Any]) -> Iterator[Any]:
    """Yield nodes and all below them, those included that the graph ends at: these have their tensor as `variable`."""
    waiting, seen = list(roots), set[Any]()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [below for below, _ in node.next_functions]


def holds_throughout(node: Any, holds: Callable[[Any], bool], known: dict[Any, bool]) -> bool:
    """Tell whether something holds for a node and all below it; what is `known` is not looked at again."""
    waiting = [] if node in known else [node]
    while waiting:
        one = waiting.pop()
        below = [other for other, _ in one.next_functions if other is not None]
        left = next((other for other in below if other not in known), None)
        if not holds(one) or any(known.get(other) is False for other in below):
            known[one] = False
        elif left is None:
            known[one] = True
        else:
            waiting += [one, left]
    return known[node]


def is_parameter(node: Any) -> bool:
    """Tell whether the graph ends at a node, at a parameter."""
    return isinstance(getattr(node, "variable", None), torch.nn.Parameter)
