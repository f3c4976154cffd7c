"""Say where a gradient is wrong: by which mistake, in which step, across which steps, and in which gate.

In: a subject, its rows and the right gradients. Out: sentences. A mistake is named where it makes what was
claimed; where none does, the loss is limited to one timestep after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.node import Node
from rnngraph.gradcheck.changes import MOST, between_steps, changes, changes_of
from rnngraph.gradcheck.look import Look, Pair
from rnngraph.gradcheck.mistakes import explains, gate_blocks, mistakes
from rnngraph.gradcheck.replayed import Change, Replay
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.subject import Subject

OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."
Candidate: TypeAlias = tuple[str, Mapping[int, Any]]  # a mistake, and what it makes of some gradients, by place


def locate(subject: Subject, rows: Sequence[CheckRow], known: Sequence[int], right: Replay | None) -> Iterator[str]:
    """Say where the gradients that did not pass are wrong, of those that are `known`; without the right ones, which."""

    def listed(places: Iterable[int]) -> str:
        return ", ".join(subject.names[place] for place in sorted(places))

    failed = [(places, row) for (_, places), row in zip(subject.rows(), rows, strict=True) if not row.passed]
    if not failed:
        return
    look = None if right is None else Look(subject, right)
    off = {k for places, _ in failed for k in places if look is not None and look.is_wrong(look.whole, k)}
    wrong = off | {places[0] for places, row in failed if row.wrong and len(places) == 1}
    fine = set(known) - wrong
    if wrong and fine:
        yield f"wrong: {listed(wrong)}; right: {listed(fine)}."
    if look is None:
        return
    left, found = off, dict[str, set[int]]()
    timed = {place for place in left if look.time_of(place) is not None}
    _explain(found, look.whole, _alone(look, left, look.whole, known), left)
    _explain(found, look.whole, _shared(look, left), left)
    _explain(found, look.whole, _used(look, timed), timed)
    if timed <= set[int]().union(*found.values()):  # else what is wrong within a step shows in the weights too
        _explain(found, look.whole, _used(look, left - timed), left - timed)
    while some := max([places & left for places in found.values()], key=len, default=set()):
        words = next(words for words, places in found.items() if places & left == some)
        yield f"{listed(some)}: {words}{'' if words.endswith('?') else '.'}"
        left -= some
    timed &= left
    for place in sorted(timed or left):
        yield from _over_time(look, place, sorted(left)) if timed else _by_loss(look, place)


def _explain(found: dict[str, set[int]], pair: Pair, candidates: Iterable[Candidate], sought: set[int]) -> None:
    """Add the gradients that each mistake explains to what was found, until one explains all that are sought."""
    rest = sought.difference(*found.values())
    for words, made in candidates if rest else ():
        places = {place for place, one in made.items() if explains(one, pair[0][place], pair[1][place])}
        if places:
            found[words] = found.get(words, set()) | places
            if found[words] >= rest:
                break


def _alone(look: Look, places: Collection[int], pair: Pair, known: Sequence[int] = ()) -> Iterator[Candidate]:
    """Give the mistakes that are told from one gradient alone."""
    for place in places:
        claimed, right = pair[0][place], pair[1][place]
        for words, made in mistakes(claimed, right, look.units, look.time_of(place), lambda one: look.hint(one, known)):
            yield words, {place: made}
        for other in known:
            if other != place and pair[1][other].shape == right.shape:
                yield f"it is the gradient of {look.subject.names[other]}", {place: pair[1][other]}


def _shared(look: Look, wrong: Collection[int]) -> Iterator[Candidate]:
    """Give the mistakes that show in several gradients."""
    upstream = look.subject.upstream
    for k, one in enumerate(upstream if len(upstream) > 1 else ()):
        unused = [*upstream[:k], np.zeros_like(one), *upstream[k + 1 :]]
        yield f"the gradient that comes in at output {k} of the forward is not used", _made(look, wrong, unused)
    for words, change in changes(look.right):
        yield words, _made(look, wrong, upstream, change)
    edges = [one.edge for one in between_steps(look.right) if isinstance(one.edge[0], Node)]
    carried = {(entry.id, entry.inputs[k]) for entry, k in edges}
    for count, found in enumerate(islice(look.right.by_steps(upstream, carried), MOST)):
        yield f"it goes {count} step{'s' * (count != 1)} back from a loss and no further", {k: found[k] for k in wrong}


def _used(look: Look, wrong: Collection[int]) -> Iterator[Candidate]:
    """Give the mistakes in the uses of one argument."""
    for place in sorted(wrong):
        for words, change in changes_of(look.right, place):
            yield words, _made(look, [place], look.subject.upstream, change)


def _made(look: Look, places: Iterable[int], upstream: Sequence[Any], change: Change | None = None) -> dict[int, Any]:
    found = look.right.gradients(look.subject.points, upstream, change)
    return {place: found[place] for place in places}


def _over_time(look: Look, place: int, wrong: Sequence[int]) -> Iterator[str]:
    """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
    name, time, cells, still = look.subject.names[place], len(look.losses), look.table(place), look.still()
    same, apart = sorted(t for t, k in cells if t == k), sorted(cells, key=lambda cell: (abs(cell[0] - cell[1]), cell))
    if same:
        which = "every single step" if len(same) == time else f"step {', '.join(map(str, same))}"
        hint = "." if len(same) > 1 else ": is another step's cache used there?"
        yield f"{name}: wrong within {which} (a loss at a step, {name} at that step){hint}"
        beside = still or look
        for other in wrong if len(same) > 1 else ():
            yield from _in_gates(beside, other, beside.losses[same[0]])
        weights = [k for k in wrong if look.time_of(k) is None and look.subject.points[k].shape not in look.states]
        bad = [look.subject.names[k] for k in weights if look.is_wrong(look.losses[same[0]], k)]
        if 0 < len(bad) < len(weights):
            yield f"{', '.join(bad)}: wrong for a loss at step {same[0]} alone, where the other weights are right."
        return
    ways = "" if still is None else look.ways[not still.table(place)]
    if not apart:
        yield f"{name}: {OVERWRITTEN}"
    elif cells >= {(t, t - 1) for t in range(1, time)}:
        yield (
            f"{name}: right within a step, wrong over every step back: "
            f"what is carried from step t+1 to t{ways} is wrong."
        )
    else:
        last, first = apart[0]
        yield f"{name}: right within a step, wrong once the gradient passes from step {last} to {first}{ways}."


def _by_loss(look: Look, place: int) -> Iterator[str]:
    """Say for a loss at which steps the gradient of a weight or an initial state is wrong, and in which gates."""
    losses, last = look.wrong_at(place), len(look.losses)
    said = (
        f"wrong for a loss at step {', '.join(map(str, losses))} alone: what is carried is wrong, the steps are not "
        "added up (+=), or a factor is another step's."
    )
    if not losses:
        said = OVERWRITTEN
    elif len(losses) == last:
        said = "wrong for a loss at any step, the first included: look at how one step forms it."
    if last > 1:
        yield f"{look.subject.names[place]}: {said}"
    yield from _in_gates(look, place, look.whole)


def _in_gates(look: Look, place: int, pair: Pair) -> Iterator[str]:
    """Say which gate blocks are wrong, where some are right, or which mistake is made there."""
    shape = look.subject.points[place].shape
    if len(shape) > 2 or look.time_of(place) is not None or not look.is_wrong(pair, place):
        return
    known = dict[str, set[int]]()
    _explain(known, pair, _alone(look, [place], pair), {place})
    for blocks in gate_blocks(shape, look.units):
        bad = [label for label, part in blocks.items() if look.is_wrong(pair, place, part)]
        if 0 < len(bad) < len(blocks):
            right = [label for label, part in blocks.items() if label not in bad and pair[1][place][part].any()]
            others = "the others" if len(bad) + len(right) == len(blocks) else ", ".join(right)  # zero says nothing
            words = f"gate block{'s' * (len(bad) > 1)} {', '.join(bad)} wrong" + f", {others} right" * bool(right)
            yield f"{look.subject.names[place]}: {next(iter(known), words)}."
