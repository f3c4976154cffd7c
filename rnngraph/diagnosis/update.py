"""The share of an update of the weights that comes from losses at least so many steps away, `U`.

In: what the weights of some recurrences get, by lag. Out: an `Update`, in decades. The norms of the recurrences are put
together as they are: one that is hardly trained weighs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.credit import log_norm
from rnngraph.diagnosis.curve import LN10
from rnngraph.trace.model import UpdateTrace


@dataclass(frozen=True, slots=True)
class Update:
    """`‖Σ dW of lags ≥ lag‖ / ‖dW‖`: log10, -inf where nothing comes from so far."""

    lag: int  # the longest that was summed, up to the one that was asked for
    decades: float


def update_from(updates: Sequence[UpdateTrace | None], lag: int) -> Update | None:
    """Give the share that comes from a lag on; None where that of any recurrence is unknown, or nothing is updated."""
    known = [one for one in updates if one is not None]
    if not known or len(known) < len(updates):
        return None
    places = [int(np.searchsorted(one.lags, lag, side="right")) - 1 for one in known]
    far, whole = (
        float(log_norm(np.array([one.log[place] for one, place in zip(known, some, strict=True)])))
        for some in (places, [0] * len(known))
    )
    if any(np.isnan(one.log).any() for one in known) or not np.isfinite(whole):
        return None
    return Update(max(int(one.lags[place]) for one, place in zip(known, places, strict=True)), (far - whole) / LN10)
