"""Say where a hand-written gradient is wrong: in which step, across which steps, in which gate, and by which mistake.

In: a subject and its wrong arguments. Out: sentences. Each is measured: the loss is limited to one timestep, the
direction to a part of an argument, and a mistake is named only where mending it makes the gradient right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnngraph.autodiff.check.look import Look, part_at
from rnngraph.autodiff.check.mistakes import blocks_wrong, named
from rnngraph.autodiff.check.subject import Subject

OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."


def locate(subject: Subject, wrong: Sequence[int], generator: np.random.Generator) -> Iterator[str]:
    """Say where the gradients of the wrong arguments are wrong.

    An argument over time comes first, since what is wrong there is wrong in the weights too.
    """
    look, right = Look(subject, generator), [k for k in subject.floating() if k not in wrong]
    told, left = named(subject, wrong, right, lambda k: look.mistake(k, look.subject))
    yield from told
    timed = [place for place in left if look.time_of(place) is not None]
    for place in timed:
        yield from _over_time(look, place, left)
    known = any(look.time_of(k) is not None for k in right)
    reaches = " What reaches every step is right, since the gradients over time are." if known else ""
    if not look.axes and len(look.losses) > 1 and left:
        yield _by_length(look, left)
    for place in left if not timed else ():
        if look.axes:
            yield f"{subject.names[place]}: {_by_loss(look, place)}{reaches}"
        yield from _gates(look, place, look.subject)


def _over_time(look: Look, place: int, wrong: Sequence[int]) -> Iterator[str]:
    """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
    name, time, cells, still = look.subject.names[place], len(look.losses), look.table(place), look.still()
    same, apart = sorted(t for t, k in cells if t == k), {(t, k) for t, k in cells if t > k}
    if same:
        which = "every single step" if len(same) == time else f"step {', '.join(map(str, same))}"
        hint = "." if len(same) > 1 else ": is another step's cache used there?"
        yield f"{name}: wrong within {which} (a loss at a step, {name} at that step){hint}"
        beside = still or look
        for other in wrong if len(same) > 1 else ():
            yield from _gates(beside, other, beside.losses[same[0]])
        return
    ways = "" if still is None else ", by the cell state" if still.table(place) else ", by the hidden state"
    first = [m for m in range(1, time) if apart == {(t, k) for t in range(m, time) for k in range(m)}]
    if not apart:
        behind = [
            f"a loss at step {t} gives step {k}, behind it, a gradient: is it put there?" for t, k in sorted(cells)
        ]
        yield f"{name}: {[*behind, OVERWRITTEN][0]}"
    elif apart == {(t, k) for t in range(time) for k in range(t)}:
        axis = look.time_of(place) or 0
        is_added = any(look.losses[t].claimed[place][part_at(axis, k)].any() for t, k in apart)
        cause = f"what is carried from step t+1 to t{ways} {'is wrong' if is_added else 'is not added'}"
        yield f"{name}: right within a step, wrong over every step back: {cause}."
    elif first:
        passes = f"once the gradient passes from step {first[0]} to {first[0] - 1}{ways}"
        yield f"{name}: right within a step, wrong {passes}."
    else:
        yield f"{name}: right within a step, wrong from {min(t - k for t, k in apart)} steps back on{ways}."


def _by_loss(look: Look, place: int) -> str:
    """Say for a loss at which steps the gradient of a weight or an initial state is wrong."""
    losses, last = look.wrong(look.losses, place), len(look.losses)
    if not losses:
        return OVERWRITTEN
    if losses == list(range(last)):
        return "wrong for a loss at any step, the first included: look at how one step forms it."
    if losses == list(range(losses[0], last)):
        rule = "the steps are not added up (+=), or a factor is another step's"
        return f"right for a loss before step {losses[0]}, wrong from there on: {rule}."
    return f"wrong for a loss at step {', '.join(map(str, losses))} only: is another step's cache used?"


def _by_length(look: Look, wrong: Sequence[int]) -> str:
    """Say from which length of a text on a gradient is wrong."""
    last = len(look.losses)
    first = min([number for place in wrong for number in look.wrong(look.losses, place)[:1]], default=last)
    right = f"right for a sequence of {first} step{'s' * (first > 1)}, wrong from {first + 1} on"
    within = "wrong for a single step already: look at one step's own backward"
    back = "right within a step: what is carried from a step to the one before it is wrong, or not added"
    return {0: f"{within}.", 1: f"{back} ({right})."}.get(first, f"{right}.")


def _gates(look: Look, place: int, loss: Subject) -> Iterator[str]:
    """Say which gate blocks are wrong, where some are right."""
    if look.time_of(place) is None:
        shape = loss.points[place].shape
        for sentence in blocks_wrong(shape, look.gate_sizes, lambda part: bool(look.wrong([loss], place, part))):
            yield f"{look.subject.names[place]}: {look.mistake(place, loss) or sentence}."
