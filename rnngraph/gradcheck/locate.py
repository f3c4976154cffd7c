"""Say where a gradient is wrong: by which mistake, in which step, across which steps, and in which gate.

In: a subject, its wrong arguments and the right gradients. Out: sentences. A mistake is named where it explains what
was claimed; where none does, the loss is limited to one timestep after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rnngraph.gradcheck.changes import changes, uses
from rnngraph.gradcheck.look import Look
from rnngraph.gradcheck.right import Right
from rnngraph.gradcheck.subject import Subject

OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."


def locate(subject: Subject, wrong: Sequence[int], fine: Sequence[int], right: Right | None) -> Iterator[str]:
    """Say where the wrong gradients are wrong, where others are `fine`; without the right ones, only which."""
    names = subject.names

    def listed(places: Sequence[int]) -> str:
        return ", ".join(names[place] for place in places)

    if wrong and fine:
        yield f"wrong: {listed(wrong)}; right: {listed(fine)}."
    if right is None:
        return
    look = Look(subject, right)
    said = {k: look.mistake(k) for k in wrong if look.is_wrong(look.whole, k)}
    yield from (f"{names[k]}: {words}." for k, words in said.items() if words)
    left = [k for k, words in said.items() if not words]
    best, cause = list[int](), ""
    for sentence, change in changes(right.replay, right.weights) if left else ():
        found = right.gradients(subject.upstream, change=change)
        some = [k for k in left if look.explained(k, found[k])]
        best, cause = (some, sentence) if len(some) > len(best) else (best, cause)
        if len(best) == len(left):
            break
    if best:
        yield f"{listed(best)}: {cause}."
    left = [k for k in left if k not in best]
    timed = [k for k in left if look.time_of(k) is not None]
    used = dict(_by_use(look, timed or left))
    used |= dict(_by_use(look, [k for k in left if k not in timed])) if timed and used else {}  # as over time
    yield from (f"{names[k]}: {sentence}." for k, sentence in used.items())
    left = [k for k in left if k not in used]
    timed = [k for k in left if look.time_of(k) is not None]
    for k in timed or left:
        yield from _over_time(look, k, left) if timed else _by_loss(look, k)


def _by_use(look: Look, places: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Say which use of an argument was forgotten or mistaken, where that explains its gradient."""
    for k in places:
        leaf: Any = look.right.leaves[k]
        for sentence, change in uses(look.right.replay, leaf.id):
            if look.explained(k, look.right.gradients(look.subject.upstream, change=change)[k]):
                yield k, sentence
                break


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
            yield from beside.gates(other, beside.losses[same[0]])
        weights = [
            k for k in wrong if look.time_of(k) is None and look.subject.points[k].shape not in look.right.states
        ]
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
    yield from look.gates(place, look.whole)
