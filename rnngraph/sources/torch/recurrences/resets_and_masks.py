"""What becomes of samples between two steps: some start anew, some keep their state, as behind their last word.

In: a recurrence. Out: (N, T) booleans, or None: where every way from the step before leads through a product with zeros
or a choice, or the only one that does not through nothing but products with ones and choices; what is multiplied by is
data, as `1 - done`, and autograd keeps it. Where a way leads past the step before, from the state that it took, that
step kept the state and not this one starts anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.sources.anew import starts_anew
from rnngraph.sources.torch.autograd.edges import (
    Edge,
    at_and_below,
    oldest,
    shape_of,
    unviewed,
)
from rnngraph.sources.torch.inputs.entrance import saved
from rnngraph.sources.torch.recurrences.loop_states import changed_between
from rnngraph.sources.torch.recurrences.recurrence import (
    SEQUENCE,
    STEPS,
    Recurrence,
    is_cell,
    states_before,
)
from rnngraph.trace.magnitudes import Booleans, Integers

_SUMS = re.compile(r"(Add|Sub)Backward\d+")
_SAME = re.compile(r"(View|UnsafeView|ReshapeAlias|Clone|Alias|Squeeze|Unsqueeze)Backward\d+")  # they compute nothing
CLOSED, KEPT, OPEN = 0, 1, 2  # of the widest way that leads from a step to the next, by sample


def resets_and_masks(one: Recurrence, batch: int, tops: list[Any]) -> tuple[Booleans | None, Booleans | None]:
    """Look at every step; of a fused layer, at what lies between its calls. `tops` are what was walked back."""
    if one.how == SEQUENCE:
        return None, None
    ways, past = np.full((batch, one.steps + 1), OPEN), np.zeros((batch, one.steps), bool)
    for step in (*between(one), *_behind_last(one, tops)):
        ways[:, step.t] = CLOSED if step.t in one.anew else _widest(step.before, step.after, batch)
        if step.t not in one.anew and (shut := ways[:, step.t] == CLOSED).any():
            own = {node for node, _ in step.older}.union(on_the_way(step.older, step.taken))
            passing = [edge for edge in map(unviewed, step.taken) if edge[0] in own]
            over = shut & (_widest(passing, step.after, batch, otherwise=CLOSED) > CLOSED)
            ways[over, step.t] = OPEN
            past[over, step.last] = True
    ways = ways[:, :-1]
    anew, kept = ways == CLOSED, past | ((ways == KEPT) & (not _is_kernel(one)))
    return anew if anew.any() else None, kept if kept.any() else None


def on_the_way(before: Sequence[Edge], after: Sequence[Edge]) -> list[Any]:
    """List the nodes that lead from some edges to others, the first made first."""
    own, roots = {node for node, _ in before}, {node for node, _ in after}
    found = dict.fromkeys(own)
    for node in at_and_below(roots, oldest(own), own.__contains__) if own and roots else ():
        if any(below in found for below, _ in node.next_functions):
            found[node] = None
    return [node for node in found if node not in own]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step from which a way may lead back: to what the steps before, `last`, handed out, or what went into them."""

    t: int
    last: slice
    older: Sequence[Edge]  # what was handed out before those
    taken: Sequence[Edge]  # what they were given
    before: Sequence[Edge]
    after: Sequence[Edge]


def between(one: Recurrence) -> Iterator[_Step]:
    """Yield steps with what the step before handed out, and what this one took or made; no kernel is looked into."""
    if one.fused:
        handed = [[*layer.ports.values()] for layer in one.layers]
        given = [[edge for edge in layer.initial_edges if edge is not None] for layer in one.layers]
        for k, (last, start) in enumerate(pairwise(one.starts), 1):
            older = handed[k - 2] if k > 1 else []
            yield _Step(start, slice(last, start), older, given[k - 1], handed[k - 1], given[k])
        return
    yield from (
        _step(one, t, one.calls[t].taken_edges if _is_kernel(one) else after) for t, after in enumerate(one.states)
    )


def _behind_last(one: Recurrence, tops: list[Any]) -> Iterator[_Step]:
    """Yield what becomes of the last call's states: it stands where that of the call before did."""
    if one.how == STEPS and one.stride == 1 and one.steps > 1:
        yield _step(one, one.steps, changed_between(one.calls[-2:], tops, ())[-1])


def _step(one: Recurrence, t: int, after: Sequence[Edge]) -> _Step:
    last = t - one.stride if t == one.steps else one.before(t)
    if last is None:
        return _Step(t, slice(0), [], [], [], after)
    older, taken = list[Edge](), list[Edge]()
    if one.how == STEPS:  # of other loops all that crosses is a state
        older, taken = states_before(one, last), one.calls[last].taken_edges
    return _Step(t, slice(last, last + 1), older, taken, one.states[last], after)


def _is_kernel(one: Recurrence) -> bool:
    """Whether what a step does with the state it takes is hidden."""
    return one.fused or (one.how == STEPS and is_cell(one.module))


def _widest(before: Sequence[Edge], after: Sequence[Edge], batch: int, otherwise: int = OPEN) -> Integers:
    """Tell, by sample, how open the ways are that lead from some edges to others: each is as what lets most through.

    Where no way is seen, it is as is said.
    """
    ways: dict[Any, Integers] = {node: np.full(batch, KEPT) for node, _ in before}
    for node in on_the_way(before, after):
        ways[node] = _through(node, ways, batch)
    reached = [ways[node] for node, _ in after if node in ways]
    return np.maximum.reduce(reached) if reached else np.full(batch, otherwise)


def _through(node: Any, ways: dict[Any, Integers], batch: int) -> Integers:
    """Tell, by sample, how open a node is."""
    given = [(k, ways[below]) for k, (below, _) in enumerate(node.next_functions) if below in ways]
    found = [np.minimum(way, _lets(node, k, batch) * OPEN) for k, way in given]
    widest = np.maximum.reduce(found)
    if _SUMS.fullmatch(node.name()):  # what is added to a state that is kept must be nothing
        alone = len(given) == len(node.next_functions) and np.sum([one > CLOSED for one in found], axis=0) == 1
    elif len(given) == 1 or node.name() == "WhereBackward0":
        alone = _SAME.fullmatch(node.name()) is not None or np.all([_keeps(node, k, batch) for k, _ in given], axis=0)
    else:
        alone = False
    return np.where(alone, widest, np.where(widest > CLOSED, OPEN, CLOSED))


def _factor(node: Any, place: int) -> Any:
    """Give the data that an input of a node is multiplied with: zeros and ones where it is chosen; None of others."""
    name = node.name()
    if name == "MulBackward0" and node.next_functions[1 - place][0] is None:
        return saved(node, "self" if place else "other")
    if name == "WhereBackward0":
        condition = saved(node, "condition")
        return condition if place == 0 or condition is None else ~condition
    mask = saved(node, "mask") if name == "MaskedFillBackward0" else None
    return None if mask is None else ~mask


def _lets(node: Any, place: int, batch: int) -> Booleans:
    """Tell, by sample, whether a node lets anything through of an input."""
    return ~_nowhere(node, _factor(node, place), 0, batch)


def _keeps(node: Any, place: int, batch: int) -> Booleans:
    """Tell, by sample, whether a node hands on an input as it is, or nothing of it."""
    factor = _factor(node, place)
    return _nowhere(node, factor, 1, batch) | ~_lets(node, place, batch)


def _nowhere(node: Any, factor: Any, number: int, batch: int) -> Booleans:
    """Tell the samples in which a factor is nothing but a number."""
    shape = shape_of((node, 0))
    axis = next((axis for axis, size in enumerate(shape) if size == batch), None)
    if factor is None or not factor.dim() or axis is None:
        return np.zeros(batch, bool)
    return starts_anew((factor != number).cpu().numpy(), shape, axis, batch)
