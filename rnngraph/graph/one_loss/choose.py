"""Which loss a picture is seen from: the words `last` and `total`, a timestep, or what is best where nothing is said.

In: a trace and the option. Out: `OneLoss`, or None for the view of all losses.
"""

from __future__ import annotations

from typing import TypeAlias

from rnngraph.checks import is_whole
from rnngraph.diagnosis.one_loss import LAST, TOTAL, Losses, OneLoss
from rnngraph.errors import InputError
from rnngraph.trace.model import Trace

SeenFrom: TypeAlias = str | int | None
WITHOUT = "seen over all losses: the trace holds no gradient of a single one, which record(..., lags=True) measures"


def parse_seen_from(text: str | None) -> SeenFrom:
    """Read the option of a command line.

    Raises:
        InputError: neither a word nor a timestep.
    """
    seen_from: SeenFrom = int(text) if text is not None and text.isdecimal() and len(text) < 10 else text
    check_seen_from(seen_from)
    return seen_from


def check_seen_from(seen_from: SeenFrom) -> None:
    """Refuse what names no loss.

    Raises:
        InputError: neither a word nor a timestep.
    """
    if seen_from not in (None, LAST, TOTAL) and not (is_whole(seen_from) and int(seen_from) >= 0):
        raise InputError(f"seen from {seen_from!r} is no loss; give the timestep of one, {LAST!r} or {TOTAL!r}.")


def choose(trace: Trace, seen_from: SeenFrom, *, opened: bool | None = None) -> OneLoss | None:
    """Walk back from the loss that is asked for; None where that is the sum, or no single loss can be looked from.

    Args:
        trace: what was recorded.
        seen_from: `"last"`, a timestep, `"total"`, or None for the last where there is one.
        opened: a row a state; by default where there is one layer alone.

    Raises:
        InputError: there is no such loss, it bears nothing, or the trace holds none alone.
    """
    if seen_from == TOTAL or (seen_from is None and not _has_losses(trace)):
        return None
    losses = Losses(trace)
    number = losses.furthest() if seen_from in (None, LAST) else losses.at(int(seen_from))
    found = losses.seen_from(number, split=opened)
    if found.walks:
        return found
    if seen_from is None:
        return None
    raise InputError(
        f"the loss at t={found.timestep} bears nothing: no gradient of it reaches a recurrence. "
        f"Look from another one, or show the sum over all with {TOTAL!r}."
    )


def _has_losses(trace: Trace) -> bool:
    return bool(trace.lags) and bool(trace.lags[0].losses.size)
