"""Say where a gradient is wrong: by which mistake, in which step, across which steps, and in which gate.

In: a subject, its rows and the right gradients. Out: sentences. A mistake is named where it makes what was
claimed; where none does, the loss is limited to one timestep after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.gradcheck.guesses import MOST, Guess, cut, guesses, readouts
from rnngraph.gradcheck.look import Look
from rnngraph.gradcheck.mistakes import explains, gate_blocks, mistakes
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.roles import Roles
from rnngraph.gradcheck.subject import Subject
from rnngraph.gradcheck.walk import Edge, Edit
from rnngraph.numpy.finding.products import VIEWING

OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."
ROWS = 2_000_000  # numbers that are walked back at once
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
    for words, places in _explained(look, off, known).items():
        found.setdefault(words, set()).update(places)
    while some := max([places & left for places in found.values()], key=len, default=set()):
        words = next(words for words, places in found.items() if places & left == some)
        yield f"{listed(some)}: {words}{'' if words.endswith('?') else '.'}"
        left = left - some
    timed = [place for place in sorted(left) if look.time_of(place) is not None]
    for place in timed or sorted(left):
        yield from _over_time(look, place, sorted(left)) if timed else _by_loss(look, place)


def _explained(look: Look, wrong: Collection[int], known: Sequence[int]) -> dict[str, set[int]]:
    """Find the mistakes that explain gradients, until all are explained; those of one gradient first."""
    found, roles = dict[str, set[int]](), Roles(look.right.tape, look.right.nodes)
    timed = {place for place in wrong if look.time_of(place) is not None}
    for candidates in (
        lambda: _alone(look, wrong, look.whole, known),
        lambda: _made(look, guesses(roles, look.subject.upstream), wrong),
        lambda: _crossing(look, roles, wrong),
        lambda: _read(look, roles, wrong),
        lambda: _used(look, roles, timed),  # what is wrong within a step shows in the weights too
        lambda: _used(look, roles, set(wrong) - timed if timed <= set[int]().union(*found.values()) else ()),
    ):
        rest = set(wrong).difference(*found.values())
        for words, made in candidates() if rest else ():
            pairs = [(k, one, look.whole[0][k], look.whole[1][k]) for k, one in made.items()]
            places = {k for k, *arrays in pairs if explains(*arrays)}
            found[words] = found.get(words, set()) | places
            if places and found[words] >= rest:
                break
    return found


def _alone(look: Look, places: Collection[int], pair: Any, known: Sequence[int] = ()) -> Iterator[Candidate]:
    """Give the mistakes that are told from one gradient alone."""
    for place in places:
        claimed, right = pair[0][place], pair[1][place]
        for words, made in mistakes(claimed, right, look.units, look.time_of(place), lambda one: look.hint(one, known)):
            yield words, {place: made}
        for other in known:
            if other != place and pair[1][other].shape == right.shape:
                yield f"it is the gradient of {look.subject.names[other]}", {place: pair[1][other]}


def _made(look: Look, some: Iterator[Guess], places: Collection[int]) -> Iterator[Candidate]:
    """Walk back as is guessed, a few guesses at once, then more."""
    upstream, most = look.subject.upstream, max(1, ROWS // sum(one.value.size for one in look.right.nodes))
    width = min(8, most)
    while batch := list(islice(some, width)):
        edits = defaultdict[Edge, list[tuple[Any, Edit]]](list)
        for row, guess in enumerate(batch):
            for edge, edit in guess.edits.items():
                edits[edge].append((row, edit))
        starts = [upstream if guess.upstream is None else guess.upstream for guess in batch]
        gradients = look.right.rows(starts, edits)
        for row, guess in enumerate(batch):
            yield guess.words, {place: gradients[place][row] for place in places}
        width = min(2 * width, most, 64)


def _crossing(look: Look, roles: Roles, places: Collection[int]) -> Iterator[Candidate]:
    """Give what goes over so many steps and no further: each row goes over to the next where it passes a step."""
    edges = [one.edge for one in roles.carried] if not roles.blocks else []
    count = min(MOST, len({one.step for one in roles.carried}))
    if edges:
        shift = [(slice(None), lambda g, right: np.concatenate([0 * right[:1], right[:-1]]))]
        none = [np.zeros_like(one) for one in look.subject.upstream]
        parts = look.right.rows([look.subject.upstream, *[none] * count], dict.fromkeys(edges, shift))
        for k in range(count):
            made = {place: parts[place][: k + 1].sum(axis=0) for place in places}
            yield f"it goes {k} step{'s' * (k != 1)} back from a loss and no further", made


def _read(look: Look, roles: Roles, places: Collection[int]) -> Iterator[Candidate]:
    """Give what is not added at some steps."""
    for words, steps in readouts(roles):
        yield from _at_steps(look, steps, places, lambda some, words=words: f"{words} at step {numbers(some)}")  # type: ignore[misc]


def _used(look: Look, roles: Roles, places: Collection[int]) -> Iterator[Candidate]:
    """Give the steps in which the use of an argument counts."""
    for place in sorted(places):
        leaf: Any = look.right.leaves[place]
        steps, views = defaultdict[int, list[Edge]](list), {leaf.id}
        for use in (use for node in roles.nodes for use in roles.uses(node) if use.source in views):
            if use.node.op in VIEWING:
                views.add(use.node.id)
            elif use.node.timestep >= 0:
                steps[use.node.timestep].append(use.edge)

        def said(some: Sequence[int], steps: Collection[int] = steps) -> str:
            kept = set(steps).difference(some)
            alone = f"it is that of step {numbers(kept)} alone: it is overwritten (=), not added to (+=)"
            return alone if len(kept) == 1 else f"step {numbers(some)} is missing from it"

        yield from _at_steps(look, steps, [place], said)


def _at_steps(
    look: Look, steps: Mapping[int, Iterable[Edge]], places: Collection[int], said: Callable[[Sequence[int]], str]
) -> Iterator[Candidate]:
    """Give what is without the edges of some steps, which are solved for; on no way there may be two such edges."""
    order, (claimed, right) = sorted(steps)[:MOST], look.whole
    if len(order) < 2:
        return
    cuts = iter([Guess("", dict.fromkeys(steps[step], cut)) for step in order])
    parts = [made for _, made in _made(look, cuts, places)]
    effects = {place: np.array([right[place] - made[place] for made in parts]) for place in places}
    matrix = np.concatenate([one.reshape(len(order), -1) for one in effects.values()], axis=1)
    missing = np.concatenate([np.ravel(right[place] - claimed[place]) for place in places])
    if not np.isfinite(missing).all() or not np.isfinite(matrix).all():
        return
    solved, one = np.round(np.linalg.lstsq(matrix.T, missing, rcond=None)[0]), np.eye(len(order))
    for out in (solved, *one, *(1 - one)):
        chosen = out.clip(0, 1)
        if chosen.any():
            some = [step for step, gone in zip(order, chosen, strict=True) if gone]
            yield said(some), {k: right[k] - np.tensordot(chosen, made, 1) for k, made in effects.items()}


def numbers(some: Iterable[int]) -> str:
    """List numbers."""
    return ", ".join(map(str, sorted(some)))


def _over_time(look: Look, place: int, wrong: Sequence[int]) -> Iterator[str]:
    """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
    name, time, cells = look.subject.names[place], len(look.losses), look.table(place)
    same, apart = sorted(t for t, k in cells if t == k), sorted(cells, key=lambda cell: (abs(cell[0] - cell[1]), cell))
    if same:
        which = "every single step" if len(same) == time else f"step {numbers(same)}"
        hint = "." if len(same) > 1 else ": is another step's cache used there?"
        yield f"{name}: wrong within {which} (a loss at a step, {name} at that step){hint}"
        for other in wrong if len(same) > 1 else ():
            yield from _in_gates(look, other, look.losses[same[0]])
        weights = [k for k in wrong if look.time_of(k) is None and look.subject.points[k].shape not in look.states]
        bad = [look.subject.names[k] for k in weights if look.is_wrong(look.losses[same[0]], k)]
        if 0 < len(bad) < len(weights):
            yield f"{', '.join(bad)}: wrong for a loss at step {same[0]} alone, where the other weights are right."
    elif not apart:
        yield f"{name}: {OVERWRITTEN}"
    elif cells >= {(t, t - 1) for t in range(1, time)}:
        yield f"{name}: right within a step, wrong over every step back: what is carried from step t+1 to t is wrong."
    else:
        last, first = apart[0]
        yield f"{name}: right within a step, wrong once the gradient passes from step {last} to {first}."


def _by_loss(look: Look, place: int) -> Iterator[str]:
    """Say for a loss at which steps the gradient of a weight or an initial state is wrong, and in which gates."""
    losses, last = look.wrong_at(place), len(look.losses)
    said = (
        f"wrong for a loss at step {numbers(losses)} alone: what is carried is wrong, the steps are not "
        "added up (+=), or a factor is another step's."
    )
    if not losses:
        said = OVERWRITTEN
    elif len(losses) == last:
        said = "wrong for a loss at any step, the first included: look at how one step forms it."
    if last > 1:
        yield f"{look.subject.names[place]}: {said}"
    yield from _in_gates(look, place, look.whole)


def _in_gates(look: Look, place: int, pair: Any) -> Iterator[str]:
    """Say which gate blocks are wrong, where some are right, or which mistake is made there."""
    shape = look.subject.points[place].shape
    if len(shape) > 2 or look.time_of(place) is not None or not look.is_wrong(pair, place):
        return
    alone = _alone(look, [place], pair)
    known = [words for words, made in alone if explains(made[place], pair[0][place], pair[1][place])]
    for blocks in gate_blocks(shape, look.units):
        bad = [label for label, part in blocks.items() if look.is_wrong(pair, place, part)]
        if 0 < len(bad) < len(blocks):
            right = [label for label, part in blocks.items() if label not in bad and pair[1][place][part].any()]
            others = "the others" if len(bad) + len(right) == len(blocks) else ", ".join(right)  # zero says nothing
            words = f"gate block{'s' * (len(bad) > 1)} {', '.join(bad)} wrong" + f", {others} right" * bool(right)
            yield f"{look.subject.names[place]}: {[*known, words][0]}."
