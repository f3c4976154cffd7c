"""What was written where a part is read of a table: a tensor whose parts are written over one by one.

In: nodes. Out: edges. Autograd has a table for every write, made of the one before and of what was written, so that
a part of it seems to be made of all that was ever written; a gradient goes from there to what stood there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

Box: TypeAlias = list[tuple[int, int]]  # by axis of a table, from where to where

WRITTEN = "torch::autograd::CopySlices"
_VIEWS = frozenset(
    f"{name}Backward0"
    for name in ("View", "Select", "Slice", "Squeeze", "Unsqueeze", "Alias", "ReshapeAlias", "UnsafeView")
)
_TURNS = frozenset(("TransposeBackward0", "PermuteBackward0"))
_KNOWN = "rnngraph"  # in a node's own metadata: numbers, and no nodes, which would hold each other
_DIGIT = 256  # up to which every type of numbers has all whole ones


def is_view(node: Any) -> bool:
    """Whether a node shows the numbers of another, or some of them, with samples along the same axis."""
    name = node.name()
    return name in _VIEWS or (name in _TURNS and _turns_others(node, name))


def _turns_others(node: Any, name: str) -> bool:
    """Whether a node turns axes behind the first, that of samples."""
    if name == "TransposeBackward0":
        count = len(node._input_metadata[0].shape)
        return 0 not in {dim % count for dim in _signed(node._saved_dim0, node._saved_dim1)}
    return _signed(node._saved_dims[0])[0] == 0


def _signed(*dims: int) -> list[int]:
    return [dim - 2**64 if dim >= 2**63 else dim for dim in dims]


def made_of(node: Any) -> Sequence[tuple[Any, int]]:
    """Give what a node was made of: of a part of a table what was written there, or all that stood there before."""
    found = _stood_at(node) if is_view(node) else None
    return node.next_functions if found is None else [found[0]]


def written_whole(part: Any) -> tuple[Any, int] | None:
    """Give what was written into a table, where a view of the table is just that."""
    found = _stood_at(part)
    return found[0] if found is not None and found[1] and found[0][0] is not None else None


def _stood_at(part: Any) -> tuple[tuple[Any, int], bool] | None:
    """Give what stood where a view reads, and whether that is all of it; None where it is several, or no table."""
    views, table = [part], part.next_functions[0][0]
    while table is not None and is_view(table):
        views.append(table)
        table = table.next_functions[0][0]
    if table is None or table.name() != WRITTEN:
        return None
    if _KNOWN not in part.metadata:
        part.metadata[_KNOWN] = _way(views, table)
    if part.metadata[_KNOWN] is None:
        return None
    depth, slot, whole = part.metadata[_KNOWN]
    for _ in range(depth):
        table = table.next_functions[0][0]
    return table.next_functions[slot], whole


def _way(views: Sequence[Any], table: Any) -> tuple[int, int, bool] | None:
    """Say how many writes back what is read stands: in what was written, 1, or below, 0; and if it is that whole."""
    own = _read(views)
    for depth in itertools.count() if own else ():
        if _KNOWN not in table.metadata:
            table.metadata[_KNOWN] = _written(table)
        box = table.metadata[_KNOWN]
        if not box:
            break
        if all(low <= first and last <= high for (low, high), (first, last) in zip(box, own, strict=True)):
            return depth, 1, box == own
        if all(low < last and first < high for (low, high), (first, last) in zip(box, own, strict=True)):
            break
        below = table.next_functions[0][0]
        if below is None or below.name() != WRITTEN:
            return depth, 0, False
        table = below
    return None


def _read(views: Sequence[Any]) -> Box:
    """Give the part of a table that views show; nothing where it is no box."""
    about = views[0]._input_metadata[0]
    gradient = torch.ones(tuple(about.shape), dtype=about.dtype, device=about.device)
    for node in views:
        gradient = node(gradient)
    places = gradient.nonzero().cpu()
    return _box(places) if len(places) else []


def _written(table: Any) -> Box:
    """Give the part of a table that was written over, by a gradient that is the place; nothing where it is no box."""
    about = table._input_metadata[0]
    shape = tuple(about.shape)
    rest, arrived = table(torch.ones(shape, dtype=about.dtype, device=about.device))
    count = math.prod(shape) - arrived.numel()
    if not arrived.numel() or (arrived != 1).any() or (rest is not None and rest.count_nonzero() != count):
        return []
    places = []
    for axis, size in enumerate(shape):
        place = torch.arange(size, device=about.device).view(-1, *[1] * (len(shape) - axis - 1))
        digits = [  # which numbers of eight bits can tell
            table((place // _DIGIT**k % _DIGIT).to(about.dtype).expand(shape))[1].abs().double() * _DIGIT**k
            for k in range(math.ceil(math.log(size + 1, _DIGIT)))
        ]
        places.append(sum(digits).flatten().cpu())
    return _box(torch.stack(places, dim=1))


def _box(places: Any) -> Box:
    """Give the smallest box around places (count, axes), each another; nothing where it holds more."""
    low, high = places.amin(dim=0).long().tolist(), (places.amax(dim=0).long() + 1).tolist()
    box = list(zip(low, high, strict=True))
    return box if math.prod(b - a for a, b in box) == len(places) else []
