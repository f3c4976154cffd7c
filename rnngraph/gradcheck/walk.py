"""Many ways back over one tape at once: a row a question, and what is handed back on some edges may be another.

In: a tape of nodes, cotangents with an axis of rows in front, and edits. Out: what reaches the leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.contribution import Array, Contribution, Outer
from rnngraph.autodiff.tape import Tape

Edge: TypeAlias = tuple[int, int]  # the id of an entry, and the position of one of its inputs, or a step of a block
Edit: TypeAlias = Callable[[Array, Array], Any]  # of what comes to an entry, and of what its rule makes of that
Edits: TypeAlias = Mapping[Edge, Sequence[tuple[Any, Edit]]]  # with the rows that they change
NONE: Mapping[Any, Any] = MappingProxyType({})


def walk(
    tape: Tape, starts: Mapping[int, Array], edits: Edits, order: Iterable[Any] = (), targets: Mapping[Edge, int] = NONE
) -> dict[int, Array]:
    """Walk a tape back, in another order and to other targets where these are given; give what reaches the leaves."""
    rows, found = len(next(iter(starts.values()))), dict[int, Array]()
    pending: dict[int, list[Contribution]] = {i: [one] for i, one in starts.items()}
    for node in order or reversed(tape.entries):
        reached = pending.pop(node.id, None)
        if reached is None:
            continue
        g = dense(reached, (rows, *node.value.shape))
        if node.op.vjp is None:
            found[node.id] = g
            continue
        for place, (source, one) in enumerate(zip(node.inputs, _handed_back(tape, node, g), strict=False)):
            if one is None:
                continue
            edge = node.id, place
            if some := edits.get(edge, ()):
                one = own = np.array(dense([one], (rows, *tape.entry(source).value.shape)))  # others may hold it too
                for row, edit in some:
                    own[row] = unbroadcast(edit(g[row], own[row]), own[row].shape, node=node, source=source)
            pending.setdefault(targets.get(edge, source), []).append(one)
    return found


def _handed_back(tape: Tape, node: Any, g: Array) -> list[Contribution | None]:
    """Pull all rows through a rule at once; one by one where it holds for one alone, as a rule of one's own may."""

    def shaped(one: Any, source: int, lead: int) -> Any:
        entry = tape.entry(source)
        if one is None or not entry.requires:
            return None
        shape = (*g.shape[:lead], *entry.value.shape)
        if not isinstance(one, np.ndarray):
            return one if lead else dense([one], shape, lead)
        return one if one.shape == shape else unbroadcast(one, shape, node=node, source=source, lead=lead)

    try:
        return [shaped(one, source, 1) for source, one in zip(node.inputs, node.op.vjp(g, node), strict=False)]
    except Exception:
        every = [node.op.vjp(row, node) for row in g]
    each = [[shaped(one, source, 0) for source, one in zip(node.inputs, some, strict=False)] for some in every]
    return [None if some[0] is None else np.stack(some) for some in zip(*each, strict=True)]


def dense(some: Sequence[Contribution], shape: tuple[int, ...], lead: int = 1) -> Array:
    """Sum contributions with an axis of rows in front; products of alike sides are made as one."""
    if len(some) == 1 and isinstance(some[0], np.ndarray):
        return some[0]
    total, sides = np.zeros(shape), defaultdict[Any, list[Outer]](list)
    for one in some:
        if isinstance(one, np.ndarray):
            total += one
        elif isinstance(one, Outer):
            sides[one.left.shape[:-2], one.right.shape[:-2]].append(one)
        else:
            one.add_to(total, lead)
    for alike in sides.values():
        left, right = (
            np.concatenate(side, axis=-2) for side in zip(*[(one.left, one.right) for one in alike], strict=True)
        )
        Outer(left, right).add_to(total, lead)
    return total
