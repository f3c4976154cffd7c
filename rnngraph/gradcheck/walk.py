"""Many ways back over one tape at once: a row a question, and what is handed back on some edges may be another.

In: a tape of nodes, cotangents with an axis of rows in front, and edits. Out: what reaches the leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.contribution import Array, Contribution
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
        for place, (source, one) in enumerate(zip(node.inputs, node.op.vjp(g, node), strict=False)):
            edge, shape = (node.id, place), (rows, *tape.entry(source).value.shape)
            if one is None or not tape.entry(source).requires:
                continue
            if isinstance(one, np.ndarray) or edge in edits:
                one = unbroadcast(dense([one], shape), shape, node=node, source=source, lead=1)
            if edge in edits:
                one = np.array(one)
                for row, edit in edits[edge]:
                    one[row] = unbroadcast(edit(g[row], one[row]), one[row].shape, node=node, source=source)
            pending.setdefault(targets.get(edge, source), []).append(one)
    return found


def dense(some: Sequence[Contribution], shape: tuple[int, ...]) -> Array:
    """Sum contributions with an axis of rows in front."""
    if len(some) == 1 and isinstance(some[0], np.ndarray):
        return some[0]
    total = np.zeros(shape)
    for one in some:
        if isinstance(one, np.ndarray):
            total += one
        else:
            one.add_to(total, 1)
    return total
