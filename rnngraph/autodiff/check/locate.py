"""Say where a hand-written gradient is wrong: in which step, across which steps, in which gate, and by which mistake.

In: a subject and its wrong arguments. Out: sentences. Each is measured: the loss is limited to one timestep, the
direction to a part of an argument, and a mistake is named only where mending it makes the gradient right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnngraph.autodiff.check.look import MOST, Look, Loss, part_at
from rnngraph.autodiff.check.mistakes import blocks_wrong, named
from rnngraph.autodiff.check.subject import Subject
from rnngraph.errors import InputError

OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."


def locate(subject: Subject, wrong: Sequence[int], generator: np.random.Generator) -> Iterator[str]:
    """Say where the gradients of the wrong arguments are wrong.

    An argument over time comes first, since what is wrong there is wrong in the weights too.
    """
    look = Look(subject, generator)
    told, left = named(subject.names, wrong, [k for k in subject.floating() if k not in wrong], look.mistake)
    yield from told
    yield from _by_length(look, left) if look.time < 2 and left else ()
    timed = [place for place in left if look.time_of(place) is not None]
    for place in timed:
        yield from _over_time(look, place, left)
    known = any(look.time_of(k) is not None for k in subject.floating() if k not in wrong)
    reaches = " What reaches every step is right, since the gradients over time are." if known else ""
    for place in left if not timed else ():
        if look.time > 1:
            yield _by_loss(look, place) + reaches
        yield from _gates(look, place, look.whole)


def _over_time(look: Look, place: int, wrong: Sequence[int]) -> Iterator[str]:
    """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
    name, time, cells, still = look.subject.names[place], look.time, look.table(place), look.still()
    same, apart = {t for t, k in cells if t == k}, {(t, k) for t, k in cells if t > k}
    if same:
        which = "every single step" if len(same) == time else f"step {', '.join(map(str, sorted(same)))}"
        hint = "." if len(same) > 1 else ": is another step's cache used there?"
        yield f"{name}: wrong within {which} (a loss at a step, {name} at that step){hint}"
        beside = still or look
        for other in wrong if len(same) > 1 else ():
            yield from _gates(beside, other, beside.losses[min(same)])
        return
    if not apart:
        after = [
            f"a loss at step {t} gives step {k}, behind it, a gradient: is it put there?" for t, k in sorted(cells)
        ]
        yield f"{name}: {after[0] if after else OVERWRITTEN}"
        return
    ways = "" if still is None else ", by the cell state" if still.table(place) else ", by the hidden state"
    steps = [m for m in range(1, time) if apart == {(t, k) for t in range(m, time) for k in range(m)}]
    if apart == {(t, k) for t in range(time) for k in range(t)}:
        axis = look.time_of(place) or 0
        is_added = any(look.losses[t][1][place][part_at(axis, k)].any() for t, k in apart)
        cause = f"what is carried from step t+1 to t{ways} {'is wrong' if is_added else 'is not added'}"
        yield f"{name}: right within a step, wrong over every step back: {cause}."
    elif steps:
        passes = f"once the gradient passes from step {steps[0]} to {steps[0] - 1}{ways}"
        yield f"{name}: right within a step, wrong {passes}."
    else:
        yield f"{name}: right within a step, wrong from {min(t - k for t, k in apart)} steps back on{ways}."


def _by_loss(look: Look, place: int) -> str:
    """Say for a loss at which steps the gradient of a weight or an initial state is wrong."""
    name, losses = look.subject.names[place], look.wrong_losses(place)
    if not losses:
        return f"{name}: {OVERWRITTEN}"
    if losses == list(range(look.time)):
        return f"{name}: wrong for a loss at any step, the first included: look at how one step forms it."
    if losses == list(range(losses[0], look.time)):
        rule = "the steps are not added up (+=), or a factor is another step's"
        return f"{name}: right for a loss before step {losses[0]}, wrong from there on: {rule}."
    return f"{name}: wrong for a loss at step {', '.join(map(str, losses))} only: is another step's cache used?"


def _by_length(look: Look, wrong: Sequence[int]) -> Iterator[str]:
    """Shorten sequences of whole numbers, such as the words of a text, and say from which length on it is wrong."""
    points = look.subject.points
    words = [k for k, one in enumerate(points) if one.dtype.kind in "iu" and one.ndim == 1]
    time = min([len(points[k]) for k in words], default=0)
    if time < 2 or any(len(points[k]) != time for k in words):
        return
    for length in range(1, min(time, MOST) + 1):
        try:
            shorter = look.subject.at([one[:length] if k in words else one for k, one in enumerate(points)])
        except InputError:  # a function that takes no other length
            return
        if any(one.shape != other.shape for one, other in zip(shorter.outputs, shorter.upstream, strict=True)):
            return
        near = Look(shorter, look.generator, look.axes)
        if any(near.is_wrong(near.lines(k), shorter.upstream, shorter.claimed[k]) for k in wrong):
            right = f"right for a sequence of {length - 1} step{'s' * (length > 2)}, wrong from {length} on"
            within = "wrong for a single step already: look at one step's own backward"
            back = "right within a step: what is carried from a step to the one before it is wrong, or not added"
            yield {1: f"{within}.", 2: f"{back} ({right})."}.get(length, f"{right}.")
            return


def _gates(look: Look, place: int, loss: Loss) -> Iterator[str]:
    """Say which gate blocks are wrong, where some are right."""
    upstream, claimed = loss

    def is_wrong(part: Any) -> bool:
        return look.is_wrong(look.lines(place, part), upstream, claimed[place])

    if look.time_of(place) is None:
        for sentence in blocks_wrong(look.subject.points[place].shape, look.gate_sizes, is_wrong):
            yield f"{look.subject.names[place]}: {look.mistake(place, loss) or sentence}."
