"""Say which mistake a wrong gradient is, or else where it is wrong.

In: a subject, its rows and the right gradients. Out: sentences. A mistake is named where it makes what was claimed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from rnngraph.gradcheck.guesses import CUT, MOST, Guess, guesses
from rnngraph.gradcheck.mistakes import Candidate, explains
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.roles import Roles
from rnngraph.gradcheck.subject import Subject
from rnngraph.gradcheck.walk import Edge, Edit
from rnngraph.gradcheck.where import Look, sentence, steps_said
from rnngraph.numpy.finding.products import VIEWING

FIRST, LAST = 8, 64  # guesses that are walked back at once, at first and later
NUMBERS = 10_000_000  # in all of them together


def locate(subject: Subject, rows: Sequence[CheckRow], known: Sequence[int], right: Replay | None) -> Iterator[str]:
    """Say where the gradients that did not pass are wrong, of those that are `known`; without the right ones, which."""

    def listed(places: Iterable[int]) -> str:
        return ", ".join(subject.names[place] for place in sorted(places))

    failed = [(places, row) for (_, places), row in zip(subject.rows(), rows, strict=True) if not row.passed]
    if not failed:
        return
    look = None if right is None else Look(subject, right)
    left = {k for places, _ in failed for k in places if look is not None and look.is_wrong(look.whole, k)}
    wrong = left | {places[0] for places, row in failed if row.wrong and len(places) == 1}
    fine = set(known) - wrong
    if wrong and fine:
        yield f"wrong: {listed(wrong)}; right: {listed(fine)}."
    if look is None:
        return
    found = _explained(look, left, known)
    while some := max([places & left for places in found.values()], key=len, default=set()):
        words = next(words for words, places in found.items() if places & left == some)
        yield sentence(listed(some), words)
        left = left - some
    yield from look.where(sorted(left))


def _explained(look: Look, wrong: Collection[int], known: Sequence[int]) -> dict[str, set[int]]:
    """Find the mistakes that explain gradients, until one explains all that none before does."""
    found, roles = dict[str, set[int]](), Roles(look.right)
    timed = {place for place in wrong if look.time_of(place) is not None}
    stages: tuple[Callable[[], Iterable[Candidate]], ...] = (
        lambda: look.alone(wrong, look.whole, known),
        lambda: _made(look, guesses(roles, look.subject.upstream), wrong),
        lambda: _over_steps(look, roles, wrong),
        lambda: _read(look, roles, wrong),
        lambda: _used(look, roles, timed),  # what is wrong within a step shows in the weights too
        lambda: _used(look, roles, set(wrong) - timed if timed <= set[int]().union(*found.values()) else ()),
    )
    for candidates in stages:
        rest = set(wrong).difference(*found.values())
        for words, made in candidates() if rest else ():
            places = {k for k, one in made.items() if explains(one, look.whole[0][k], look.whole[1][k])}
            found[words] = found.get(words, set()) | places
            if places and found[words] >= rest:
                break
    return found


def _made(look: Look, some: Iterator[Guess], places: Collection[int]) -> Iterator[Candidate]:
    """Walk back as is guessed, a few guesses at once, then more."""
    most = max(1, NUMBERS // sum(entry.value.size for entry in look.right.nodes))
    width = min(FIRST, most)
    while batch := list(islice(some, width)):
        edits = defaultdict[Edge, list[tuple[Any, Edit]]](list)
        for row, guess in enumerate(batch):
            for edge, edit in guess.edits.items():
                edits[edge].append((row, edit))
        rows = look.right.rows([guess.upstream or look.subject.upstream for guess in batch], edits)
        yield from ((guess.words, {k: rows[k][row] for k in places}) for row, guess in enumerate(batch))
        width = min(2 * width, most, LAST)


def _over_steps(look: Look, roles: Roles, places: Collection[int]) -> Iterator[Candidate]:
    """Give what goes over so many steps and no further, and what goes to the step after and not to that before."""
    edges, upstream = [one.edge for one in roles.carried], look.subject.upstream
    if roles.blocks or not edges:
        return
    # A row holds what went over as many steps as its number: where it passes one, it goes on in the next row.
    shift = [(slice(None), lambda g, right: np.concatenate([0 * right[:1], right[:-1]]))]
    count = min(MOST, len({one.step for one in roles.carried}))
    rows = look.right.rows([upstream, *[[0 * one for one in upstream]] * count], dict.fromkeys(edges, shift))
    for k in range(count):
        made = {place: rows[place][: k + 1].sum(axis=0) for place in places}
        yield f"it goes {k} step{'s' * (k != 1)} back from a loss and no further", made
    for runs in (list(roles.ahead), *([one] for one in roles.ahead)):
        rows = look.right.rows([upstream], **_forwards(roles, runs))
        yield "the steps are walked in the order of the forward, not in reverse", {k: rows[k][0] for k in places}


def _forwards(roles: Roles, runs: Collection[str]) -> dict[str, Any]:
    """Give the order of a walk of some recurrences from the first step to the last, and where each then leads."""
    inner = {i for name in runs for i in roles.ahead[name]}
    turn = -1 if any(one.reverse for one in roles.replay.tape.recurrences if one.name in runs) else 1
    steps = {node.id: turn * node.timestep if node.timestep >= 0 else np.inf for node in roles.nodes}
    order = sorted(roles.nodes, key=lambda one: (steps[one.id] if one.id in inner else -np.inf, -one.id))
    sources, targets = {use.edge: use.source for node in roles.nodes for use in roles.uses(node)}, dict[Edge, int]()
    for edge in (one.edge for one in roles.carried if one.along in runs):
        after = roles.shifted(sources[edge], 2)
        targets[edge] = roles.series[sources[edge]][0][0] if after is None else after
    return {"order": order, "targets": targets}


def _read(look: Look, roles: Roles, places: Collection[int]) -> Iterator[Candidate]:
    """Give what is not added at some steps, on the ways that lead to no later state."""
    inner = {i for ahead in roles.ahead.values() for i in ahead}
    for way in roles.ways:
        steps = defaultdict[int, list[Edge]](list)
        for use in way.uses if way.forks and not any(use.node.id in inner for use in way.uses) else ():
            steps[use.node.timestep].append(use.edge)
        back = f"{way.said['back']} is not added at"
        yield from _at_steps(look, steps, places, lambda some, back=back: f"{back} {steps_said(some)}")


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
            alone = f"it is that of {steps_said(kept)} alone: it is overwritten (=), not added to (+=)"
            missing = f"{steps_said(some)} {'is' if len(some) == 1 else 'are'} missing from it"
            return alone if len(kept) == 1 else missing

        yield from _at_steps(look, steps, [place], said)


def _at_steps(
    look: Look, steps: Mapping[int, Iterable[Edge]], places: Collection[int], said: Callable[..., str]
) -> Iterator[Candidate]:
    """Give what is without the edges of some steps, which are solved for; no way goes over two of them."""
    order, (claimed, right) = sorted(steps)[:MOST], look.whole
    cuts = iter([Guess("", dict.fromkeys(steps[step], CUT)) for step in order])
    parts = [made for _, made in _made(look, cuts, places)] if len(order) > 1 else []
    effects = {place: np.array([right[place] - made[place] for made in parts]) for place in places if parts}
    both = [
        np.concatenate([effects[k].reshape(len(order), -1), (right[k] - claimed[k]).reshape(1, -1)]) for k in effects
    ]
    if not both or not np.isfinite(matrix := np.concatenate(both, axis=1)).all():
        return
    one = np.eye(len(order))
    for out in (np.linalg.lstsq(matrix[:-1].T, matrix[-1], rcond=None)[0].round().clip(0, 1), *one, *(1 - one)):
        some = [step for step, gone in zip(order, out, strict=True) if gone]
        if some:
            yield said(some), {k: right[k] - np.tensordot(out, made, 1) for k, made in effects.items()}
