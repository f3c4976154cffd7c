"""From which length of a sequence on a gradient is wrong.

In: a function that reads words one by one, and its arrays whose gradients are wrong. Out: sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rnngraph.errors import InputError

if TYPE_CHECKING:
    from rnngraph.autodiff.check.locate import Look

MOST = 8  # timesteps that are looked at one by one


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
        short = look.like(shorter)
        if any(short.is_wrong(k, ..., shorter.upstream, shorter.claimed[k]) for k in wrong):
            right = f"right for a sequence of {length - 1} step{'s' * (length > 2)}, wrong from {length} on"
            carried = f": what is carried from a step to the one before it is wrong, or not added ({right})"
            yield (
                "wrong for a single step already: look at one step's own backward."
                if length == 1
                else (f"right within a step{carried}." if length == 2 else f"{right}.")
            )
            return
