"""The way back over a block for many cotangents at once: a window of steps, a row a loss.

In: what enters, and the `Carry` of the steps behind the window. Out: what the input gets, and the norms of every state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.block.emitted import Emitted, Tell
from rnngraph.autodiff.block.entries import Entering, Entry, Field
from rnngraph.autodiff.block.runs import Feel, Runs, See
from rnngraph.autodiff.block.weight_lags import WeightLags

__all__ = ["Entry", "Feel", "Field", "See", "Tell", "pull_rows"]


def pull_rows(
    block: Block,
    entering: Iterable[Field | Entry],
    carry: Carry,
    *,
    window: tuple[int, int],
    see: See | None = None,
    feel: Feel | None = None,
    tell: Tell | None = None,
    to_input: bool = True,
    samples: Any = slice(None),
    unrounded: bool = False,
    weigh: WeightLags | None = None,
) -> list[Field]:
    """Walk the places of a window back, last first; `carry` is changed in place.

    Args:
        block: what is walked.
        entering: what reaches its states.
        carry: what is under way behind the window.
        window: the places.
        see: is told the norms of states.
        feel: is told where anything arrives.
        tell: is told the norms at the input, which then is not handed back.
        to_input: form the cotangents of the input.
        samples: those that are walked.
        unrounded: take slopes that were rounded to zero for the small numbers that they are.
        weigh: sums what the weights get.

    Returns:
        the cotangents of the input, in one field a band; none where they are not asked for.
    """
    some = list(entering)
    if not some and carry.low >= carry.high:
        return []
    walk = Runs(block, Entering(block, window[0], some), carry, window, samples, unrounded)
    walk.see, walk.feel, walk.weigh = see, feel, weigh
    if to_input:
        walk.emitted = Emitted(block, window, carry.states[0].shape[:2], tell)
    walk.walk()
    if see is not None and window[0] == 0 and carry.low < carry.high:
        see(block, -1, carry.low, [log[None] for log in carry.measure()])
    return [] if walk.emitted is None else walk.emitted.fields()
