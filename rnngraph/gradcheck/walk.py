"""Many ways back over one tape at once: a row a question, and what is handed back on some edges may be another.

In: a tape, cotangents with an axis of rows in front, and edits. Out: what reaches the leaves. There is no recursion.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import pull
from rnngraph.autodiff.block.given import gather
from rnngraph.autodiff.contribution import Array, Contribution, StateSlice
from rnngraph.autodiff.tape import Entry, Tape

Edge: TypeAlias = tuple[int, int]  # the id of an entry, and the position of one of its inputs, or a step of a block
Edit: TypeAlias = Callable[[Array, Array], Any]  # of what comes to an entry, and of what its rule makes of that
Edits: TypeAlias = Mapping[Edge, Sequence[tuple[Any, Edit]]]  # with their rows; each edit of a block is a cut
NOTHING: Edits = MappingProxyType({})


def walk(
    tape: Tape,
    starts: Mapping[int, Array],
    edits: Edits = NOTHING,
    order: Iterable[Entry] | None = None,
    targets: Mapping[Edge, int] = MappingProxyType({}),
) -> dict[int, Array]:
    """Walk a tape back, in another order and to other targets where these are given; give what reaches the leaves."""
    rows, found = len(next(iter(starts.values()))), dict[int, Array]()
    pending: dict[int, list[Contribution]] = {i: [one] for i, one in starts.items()}
    for entry in order or reversed(tape.entries):
        reached = pending.pop(entry.id, None)
        if reached is None:
            continue
        if isinstance(entry, Block):
            for source, one in _through(tape, entry, reached, rows, edits):
                pending.setdefault(source, []).append(one)
            continue
        g = dense(reached, (rows, *entry.value.shape))
        if entry.op.vjp is None:
            found[entry.id] = g
            continue
        for place, (source, one) in enumerate(zip(entry.inputs, entry.op.vjp(g, entry), strict=False)):
            target, edge = tape.entry(source), (entry.id, place)
            if one is None or not target.requires:
                continue
            if isinstance(one, np.ndarray) or edge in edits:
                shape = (rows, *target.value.shape)
                whole = one if isinstance(one, np.ndarray) else dense([one], shape)
                one = unbroadcast(whole, shape, node=entry, source=source, lead=1)
            if edge in edits:
                one = np.array(one)
            for row, edit in edits.get(edge, ()):
                made = np.asarray(edit(g[row], one[row]))
                one[row] = unbroadcast(made, one[row].shape, node=entry, source=source)
            pending.setdefault(targets.get(edge, target.id), []).append(one)
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


def _through(
    tape: Tape, block: Block, reached: Sequence[Contribution], rows: int, edits: Edits
) -> Iterator[tuple[int, Array]]:
    """Walk a block back, row by row."""
    single = [one for one in reached if isinstance(one, StateSlice)]
    whole = dense([one for one in reached if not isinstance(one, StateSlice)], (rows, *block.value.shape))
    wanted = {name: one for name, i in block.sources.items() if (one := tape.entry(i)).requires}
    found = {name: np.zeros((rows, *one.value.shape)) for name, one in wanted.items()}
    for k in range(rows):
        again = copy.copy(block)
        again.cuts = block.cuts | {step for (i, step), some in edits.items() if i == block.id and (k in dict(some))}
        given = gather(again, [whole[k], *(StateSlice(one.kind, one.t, one.array[k]) for one in single)])
        for name, one in pull(again, given, wanted=wanted).items():
            found[name][k] += one if isinstance(one, np.ndarray) else dense([one], wanted[name].value.shape)
    for name, one in wanted.items():
        yield one.id, found[name]
