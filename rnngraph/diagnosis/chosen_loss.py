"""Which loss a view is seen from: the words of `--from` and of `seen_from=`, and what is seen from it."""

from __future__ import annotations

from typing import TypeAlias

from rnngraph.checks import digits, is_whole
from rnngraph.diagnosis.one_loss import LAST, TOTAL, Losses, OneLoss
from rnngraph.errors import InputError
from rnngraph.nearest import did_you_mean
from rnngraph.trace.model import Trace

SeenFrom: TypeAlias = str | int | None
WITHOUT = "seen over all losses: the trace holds no finite gradient of one alone; record(..., lags=True) measures it"


def seen(trace: Trace, wanted: SeenFrom = None) -> OneLoss | None:
    """Walk back from the loss that is wanted; None where that is the sum of all, or where nobody asked and none is.

    Args:
        trace: what was recorded.
        wanted: `"last"` for the loss whose credit can travel furthest, a timestep, or `"total"` for the sum of all.
            What is asked for must be there; None is the last where there is one.

    Raises:
        InputError: neither a word nor a timestep, or a loss that does not exist, bears nothing or was not measured.
    """
    chosen = known_loss(wanted)
    alone = trace.lags and trace.lags[0].losses.size and trace.recurrences  # the gradient of a single loss
    if chosen == TOTAL or (chosen is None and not alone):
        return None
    losses = Losses(trace)
    found = losses.seen_from(losses.number_of(chosen))
    if found.walks:
        return found
    if chosen is None:
        return None
    raise InputError(
        f"the loss at t={found.timestep} bears nothing: no finite gradient of it reaches a recurrence; look from "
        f"another one, or at the sum over all with {TOTAL!r}."
    )


def known_loss(wanted: object, *, name: str = "seen_from") -> SeenFrom:
    """Read which loss is wanted: a word, a timestep, or a timestep in digits; None where nobody asked for one.

    Raises:
        InputError: anything else.
    """
    if wanted is None or (isinstance(wanted, str) and wanted in (LAST, TOTAL)):
        return wanted
    if is_whole(wanted) and wanted >= 0:
        return int(wanted)
    if isinstance(wanted, str) and (timestep := digits(wanted)) is not None:
        return timestep
    meant = (isinstance(wanted, str) and did_you_mean(wanted, (LAST, TOTAL))) or "."
    raise InputError(f"{name} is {wanted!r}; give {LAST}, {TOTAL} or the timestep of a loss{meant}")
