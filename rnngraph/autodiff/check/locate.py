"""Say where a hand-written gradient is wrong: in which step, across which steps, in which gate, and by which mistake.

In: a subject and its wrong arguments. Out: sentences. Each is measured: the loss is limited to one timestep, the
direction to a part of an argument, and a mistake is named only where mending it makes the gradient right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnngraph.autodiff.check.look import EVERYWHERE, MOST, Look, part_at
from rnngraph.autodiff.check.mended import Index, blocks_wrong, right_and_wrong
from rnngraph.autodiff.check.subject import Subject
from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError

OVERWRITTEN = "right for a loss at any one step, and wrong for their sum: it is overwritten (=), not added to (+=)."


def locate(subject: Subject, wrong: Sequence[int], generator: np.random.Generator) -> tuple[str, ...]:
    """Say where the gradients of the wrong arguments are wrong."""
    if not wrong:
        return ()
    with np.errstate(all="ignore"):
        return tuple(sentences(Look(subject, generator), wrong))


def sentences(look: Look, wrong: Sequence[int]) -> Iterator[str]:
    """Say everything: of an argument over time first, since what is wrong there is wrong in the weights too."""
    names, left = look.subject.names, list(wrong)
    right = [names[k] for k in look.subject.floating() if k not in wrong]
    yield from right_and_wrong([names[k] for k in wrong], right)
    for place in wrong:
        mistake = look.mistake(place, look.subject.upstream, look.subject.claimed[place])
        if mistake:
            left.remove(place)
            yield f"{names[place]}: {mistake}."
    yield from by_length(look, left) if look.time < 2 else ()
    timed = [place for place in left if look.time_of(place) is not None]
    for place in timed:
        yield from over_time(look, place, left)
    for place in left if not timed else ():
        if look.time > 1:
            yield by_loss(look, place, any(look.time_of(k) is not None for k in look.subject.floating()))
        yield from gates(look, place, look.subject.upstream, look.subject.claimed[place])


def over_time(look: Look, place: int, wrong: Sequence[int]) -> Iterator[str]:
    """Say what the table of losses and steps shows: the diagonal is one step, what is off it is carried."""
    name, axis, time = look.subject.names[place], look.time_of(place), look.time
    assert axis is not None
    cells = look.table(place, axis, range(time))
    same, apart = {t for t, k in cells if t == k}, {(t, k) for t, k in cells if t > k}
    still = look.still()
    if not cells:
        yield f"{name}: {OVERWRITTEN}"
    elif same:
        which = "every single step" if len(same) == time else f"step {', '.join(map(str, sorted(same)))}"
        hint = "" if len(same) > 1 else ": is another step's cache used there?"
        yield f"{name}: wrong within {which} (a loss at a step, {name} at that step){hint or '.'}"
        at = min(same)
        if len(same) > 1:
            beside = still or look
            upstream, claimed = beside.of_step(at)
            for other in wrong:
                yield from gates(beside, other, upstream, claimed[other])
    else:
        ways = ""
        if still is not None:
            through_cell = still.table(place, axis, [t for t, _ in sorted(apart)[:1]])
            ways = ", by the cell state" if through_cell else ", by the hidden state"
        steps = [m for m in range(1, time) if apart == {(t, k) for t in range(m, time) for k in range(m)}]
        parts = [look.of_step(t)[1][place][part_at(axis, k)] for t, k in apart]  # type: ignore[index]
        if apart == {(t, k) for t in range(time) for k in range(t)}:
            cause = "is wrong" if any(part.any() for part in parts) else "is not added"
            carried = f"what is carried from step t+1 to t{ways} {cause}"
            yield f"{name}: right within a step, wrong over every step back: {carried}."
        elif steps:
            passes = f"once the gradient passes from step {steps[0]} to {steps[0] - 1}{ways}"
            yield f"{name}: right within a step, wrong {passes}."
        else:
            yield f"{name}: right within a step, wrong from {min(t - k for t, k in apart)} steps back on{ways}."


def by_loss(look: Look, place: int, known: bool) -> str:
    """Say for a loss at which steps the gradient of a weight or an initial state is wrong."""
    name, time = look.subject.names[place], look.time
    losses = {t for t in range(time) if look.is_wrong(place, EVERYWHERE, look.of_step(t)[0], look.of_step(t)[1][place])}
    reaches = " What reaches every step is right, since the gradients over time are." if known else ""
    if not losses:
        return f"{name}: {OVERWRITTEN}"
    first = min(losses)
    if losses == set(range(time)):
        return f"{name}: wrong for a loss at any step, the first included: look at how one step forms it.{reaches}"
    if losses == set(range(first, time)):
        rule = "the steps are not added up (+=), or a factor is another step's"
        return f"{name}: right for a loss before step {first}, wrong from there on: {rule}.{reaches}"
    steps = ", ".join(map(str, sorted(losses)))
    return f"{name}: wrong for a loss at step {steps} only: is another step's cache used?{reaches}"


def by_length(look: Look, wrong: Sequence[int]) -> Iterator[str]:
    """Shorten sequences of whole numbers, such as the words of a text, and say from which length on it is wrong."""
    words = [k for k, one in enumerate(look.subject.points) if one.dtype.kind in "iu" and one.ndim == 1]
    time = min([len(look.subject.points[k]) for k in words], default=0)
    if time < 2 or not wrong or any(len(look.subject.points[k]) != time for k in words):
        return
    for length in range(1, min(time, MOST) + 1):
        points = [one[:length] if k in words else one for k, one in enumerate(look.subject.points)]
        try:
            shorter = look.subject.at(points)
        except InputError:  # a function that takes no other length
            return
        if any(one.shape != other.shape for one, other in zip(shorter.outputs, look.subject.upstream, strict=True)):
            return
        near = Look(shorter, look.generator, look)
        if any(near.is_wrong(k, EVERYWHERE, shorter.upstream, shorter.claimed[k]) for k in wrong):
            right = f"right for a sequence of {length - 1} step{'s' * (length > 2)}, wrong from {length} on"
            carried = f": what is carried from a step to the one before it is wrong, or not added ({right})"
            yield (
                "wrong for a single step already: look at one step's own backward."
                if length == 1
                else (f"right within a step{carried}." if length == 2 else f"{right}.")
            )
            return


def gates(look: Look, place: int, upstream: Sequence[Array], gradient: Array | None) -> Iterator[str]:
    """Say which gate blocks are wrong, where some are right."""

    def is_wrong(part: Index) -> bool:
        return look.is_wrong(place, part, upstream, gradient)

    if look.time_of(place) is None:
        for sentence, count in blocks_wrong(look.subject.points[place].shape, look.gate_sizes(), is_wrong):
            swapped = look.mistake(place, upstream, gradient) if count == 2 else ""
            yield f"{look.subject.names[place]}: {swapped or sentence}."
