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
    for sentence, change in changes(right.replay) if left else ():
        found = right.gradients(subject.upstream, change=change)
        some = [k for k in left if look.explained(k, found[k])]
        best, cause = (some, sentence) if len(some) > len(best) else (best, cause)
        if len(best) == len(left):
            break
    if best:
        yield f"{listed(best)}: {cause}."
    rest = [k for k in left if k not in best]
    timed = [k for k in rest if look.time_of(k) is not None]
    looked_into = timed or tuple(rest)  # what is wrong in an argument over time is wrong in the weights too
    for k in looked_into:
        leaf: Any = right.leaves[k]
        for sentence, change in uses(right.replay, leaf.id):
            if look.explained(k, right.gradients(subject.upstream, change=change)[k]):
                yield f"{names[k]}: {sentence}."
                rest.remove(k)
                break
    if rest:
        yield from _measured(look, rest, fine)


def _measured(look: Look, wrong: Sequence[int], fine: Sequence[int]) -> Iterator[str]:
    """Say for which losses gradients are wrong.

    An argument over time comes first, since what is wrong there is wrong in the weights too.
    """
    timed = [place for place in wrong if look.time_of(place) is not None]
    for place in timed:
        yield from _over_time(look, place, wrong)
    known = any(look.time_of(k) is not None for k in fine)
    reaches = " What reaches every step is right, since the gradients over time are." if known else ""
    for place in wrong if not timed else ():
        if len(look.losses) > 1:
            yield f"{look.subject.names[place]}: {_by_loss(look, place)}{reaches}"
        yield from look.gates(place, look.whole)


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
            yield from beside.gates(other, beside.losses[same[0]])
        weights = [
            k for k in wrong if look.time_of(k) is None and look.subject.points[k].shape not in look.right.states
        ]
        bad = [look.subject.names[k] for k in weights if look.is_wrong(look.losses[same[0]], k)]
        if 0 < len(bad) < len(weights):
            yield f"{', '.join(bad)}: wrong for a loss at step {same[0]} alone, where the other weights are right."
        return
    ways = "" if still is None else " by the cell state" if still.table(place) else " by the hidden state"
    passes = [t for t in range(1, time) if (t, t - 1) in apart]
    if not apart:
        behind = [
            f"a loss at step {t} gives step {k}, behind it, a gradient: is it put there?" for t, k in sorted(cells)
        ]
        yield f"{name}: {[*behind, OVERWRITTEN][0]}"
    elif len(passes) == time - 1:
        yield (
            f"{name}: right within a step, wrong over every step back: "
            f"what is carried from step t+1 to t{ways} is wrong."
        )
    elif passes:
        between = f"from step {passes[0]} to {passes[0] - 1}{ways}"
        yield f"{name}: right within a step, wrong once the gradient passes {between}."
    else:
        yield f"{name}: right within a step, wrong from {min(t - k for t, k in apart)} steps back on{ways}."


def _by_loss(look: Look, place: int) -> str:
    """Say for a loss at which steps the gradient of a weight or an initial state is wrong."""
    losses, last = look.wrong_at(place), len(look.losses)
    if not losses:
        return OVERWRITTEN
    if losses == list(range(last)):
        return "wrong for a loss at any step, the first included: look at how one step forms it."
    if losses == list(range(losses[0], last)):
        rule = "what is carried is wrong, the steps are not added up (+=), or a factor is another step's"
        return f"right for a loss before step {losses[0]}, wrong from there on: {rule}."
    return f"wrong for a loss at step {', '.join(map(str, losses))} only: is another step's cache used?"
