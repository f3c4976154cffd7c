"""Which loss a view is seen from: the words of `--from` and of `seen_from=`, and what is seen from it."""

from __future__ import annotations

from typing import TypeAlias

from rnngraph.checks import is_whole
from rnngraph.diagnosis.one_loss import LAST, TOTAL, Losses, OneLoss
from rnngraph.errors import InputError
from rnngraph.nearest import nearest
from rnngraph.trace.model import Trace

SeenFrom: TypeAlias = str | int | None
WITHOUT = "seen over all losses: the trace holds no gradient of a single one, which record(..., lags=True) measures"
MOST_DIGITS = 18  # more than any machine counts to


def chosen(trace: Trace, seen_from: SeenFrom) -> OneLoss | None:
    """Walk back from the loss that a picture is asked for; None for the sum of all, or where nobody asked and none is.

    Args:
        trace: what was recorded.
        seen_from: as `wanted` of `seen`, or None for the last where there is one. What is asked for must be there.

    Raises:
        InputError: there is no such loss, it bears nothing, or the trace holds none alone.
    """
    if seen_from is None:
        return seen(trace)
    wanted = known_loss(seen_from)
    if wanted != LAST:
        return seen(trace, wanted)
    losses = Losses(trace)
    return seen(trace, losses.timesteps[losses.furthest()][1])


def seen(trace: Trace, wanted: str | int = LAST) -> OneLoss | None:
    """Walk back from the loss that is wanted; None where that is the sum of all, or where there is nothing else.

    Args:
        trace: what was recorded.
        wanted: `"last"` for the loss whose credit can travel furthest, a timestep, or `"total"` for the sum of all.

    Raises:
        InputError: neither a word nor a timestep, or a loss that does not exist or was not measured.
    """
    wanted = known_loss(wanted)
    alone = trace.lags and trace.lags[0].losses.size and trace.recurrences  # the gradient of a single loss
    if wanted == TOTAL or (wanted == LAST and not alone):
        return None
    losses = Losses(trace)
    found = losses.seen_from(losses.furthest() if isinstance(wanted, str) else losses.at(wanted))
    if found.walks:
        return found
    if isinstance(wanted, str):
        return None
    raise InputError(
        f"the loss at t={found.timestep} bears nothing: no gradient of it reaches a recurrence; look from another one, "
        f"or at the sum over all with {TOTAL!r}."
    )


def known_loss(wanted: object, *, name: str = "seen_from") -> str | int:
    """Read which loss is wanted: a word, a timestep, or a timestep in digits.

    Raises:
        InputError: anything else.
    """
    if is_whole(wanted) and wanted >= 0:
        return int(wanted)
    if isinstance(wanted, str):
        if wanted in (LAST, TOTAL):
            return wanted
        if wanted.isdecimal() and len(wanted) <= MOST_DIGITS:
            return int(wanted)
    meant = nearest(wanted, (LAST, TOTAL)) if isinstance(wanted, str) else None
    raise InputError(
        f"{name} is {wanted!r}; give {LAST}, {TOTAL} or the timestep of a loss"
        + (f": did you mean {meant}?" if meant else ".")
    )
