"""Say which mistake a wrong gradient is, or else where it is wrong.

In: a subject, its rows and the right gradients. Out: sentences. A mistake is named where it makes what was claimed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.gradcheck.guesses import MOST, guesses
from rnngraph.gradcheck.mistakes import Candidate, explains
from rnngraph.gradcheck.replayed import Edit, Replay
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.roles import Roles, Use
from rnngraph.gradcheck.subject import Subject
from rnngraph.gradcheck.where import Look, sentence


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
    if left and not look.right.in_nodes:
        yield 'Steps are recorded as blocks; of a layer with detail="op" the mistakes in its steps are named too.'


def _explained(look: Look, wrong: Collection[int], known: Sequence[int]) -> dict[str, set[int]]:
    """Find the mistakes that explain gradients, until one explains all that none of an earlier stage does."""
    found, rest = dict[str, set[int]](), set(wrong)
    for candidates in _stages(look, wrong, known) if wrong else ():
        for words, made in candidates:
            places = {k for k in made.keys() & wrong if explains(made[k], look.whole[0][k], look.whole[1][k])}
            found[words] = found.get(words, set()) | places
            if places and found[words] >= rest:
                return found
        rest = rest.difference(*found.values())
        if not rest:
            break
    return found


def _stages(look: Look, wrong: Collection[int], known: Sequence[int]) -> Iterator[Iterator[Candidate]]:
    yield look.alone(wrong, look.whole, known)
    if look.right.in_nodes:
        roles = Roles(look.right)
        yield _unused(look)
        yield ((words, look.right.walked(look.starts, edits)) for words, edits in guesses(roles))
        yield _over_steps(look, roles)


def _unused(look: Look) -> Iterator[Candidate]:
    """Give what is left without one of several outputs."""
    upstream = look.subject.upstream
    for k, one in enumerate(upstream if len(upstream) > 1 else ()):
        others = look.right.starts([*upstream[:k], np.zeros_like(one), *upstream[k + 1 :]])
        yield f"the gradient that comes in at output {k} of the forward is not used", look.right.walked(others)


def _over_steps(look: Look, roles: Roles) -> Iterator[Candidate]:
    """Give what goes over so many steps and no further, and what goes to the step after and not to that before."""
    names = sorted({one.along for one in roles.carried})
    for k, made in enumerate(islice(_by_walks(look, roles, names, 0), MOST)):
        yield f"it goes {k} step{'s' * (k != 1)} back from a loss and no further", made
    for runs in (names, *([one] for one in names if len(names) > 1)):
        *_, made = _by_walks(look, roles, runs, 2)
        yield "the steps are walked in the order of the forward, not in reverse", made


def _by_walks(look: Look, roles: Roles, runs: Collection[str], later: int) -> Iterator[dict[int, Array]]:
    """Walk some recurrences step by step: what is carried goes on, in the next walk, at a state so many steps later.

    Gives: what all walks so far have made.
    """
    carried = [one.use for one in roles.carried if one.along in runs]
    starts: Mapping[int, Array] = look.starts
    total = dict[int, Array]()
    for _ in range(2 + len({one.step for one in roles.carried})):
        crossed = defaultdict[int, Any](float)

        def crosses(use: Use, crossed: dict[int, Any] = crossed) -> Edit:
            target = roles.shifted(use.source, later)
            return lambda g, right: crossed.update({target: crossed[target] + right})  # and nothing is handed back

        found = look.right.walked(starts, {use.edge: crosses(use) for use in carried})
        total = {place: one + total.get(place, 0) for place, one in found.items()}
        yield total
        starts = {i: one for i, one in crossed.items() if i >= 0}
        if not starts:
            return
