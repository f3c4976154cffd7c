"""What the lag report says of every state: its curve, what sums it up, and its matrix.

In comes a trace with lags, out come `StateLags`; the credit of a linear recurrence is summed up alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnngraph.diagnosis.credit import log_norm
from rnngraph.diagnosis.curve import LN10, LagCurve, lag_curve
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.sentences import left_text, tempo
from rnngraph.diagnosis.slope import half_life
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.nearest import check_known
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace, StateTrace, Trace


@dataclass(frozen=True, slots=True)
class LagSummary:
    """A lag curve in few numbers; `horizon` is the longest lag that enough of it has behind it, 0 where none is."""

    curve: LagCurve
    horizon: int
    rate: float  # nats per step; NaN where there is none
    reach: int | None  # the longest lag up to which 1 % or more is left

    @property
    def half_life(self) -> float | None:
        """Steps in which it halves; None where it does not shrink."""
        return half_life(self.rate)

    @property
    def whole(self) -> bool:
        """Whether it reaches as far as was measured."""
        return self.reach is not None and self.reach >= self.curve.longest

    def curve_document(self) -> list[dict[str, Any]]:
        """Lay the curve out for JSON, in decades, an entry a lag."""
        columns = [(values / LN10).tolist() for values in (self.curve.median, self.curve.low, self.curve.high)]
        return [
            {"lag": lag, "median": median, "q10": low, "q90": high, "pairs": int(pairs)}
            for lag, (median, low, high, pairs) in enumerate(zip(*columns, self.curve.pairs, strict=True), start=1)
        ]


@dataclass(frozen=True, slots=True)
class StateLags:
    """One state's lags. `matrix` is log10 of the norm over the taken samples, (S, own T + 1), column 0 the start.

    -inf is an exact zero, NaN what comes after the loss or was not measured.
    """

    state: StateTrace
    lags: LagTrace
    matrix: Floats
    summary: LagSummary


def summed(lags: LagTrace, direction: str) -> LagSummary:
    """Sum up a lag matrix."""
    limits, curve = Thresholds(), lag_curve([lags], direction)
    horizon = curve.covered(limits.coverage)
    rate = curve.rate(horizon) if horizon else float("nan")
    return LagSummary(curve, horizon, rate, curve.memory_horizon(limits.epsilon))


def state_lags(trace: Trace, *, states: Sequence[str] | None = None) -> list[StateLags]:
    """Work out the lag report of all states, or of those named.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    if not trace.lags:
        raise no_lags(trace)
    by_name = {state.name: state for state in trace.states}
    check_known(states or (), [lags.state for lags in trace.lags], "there is no state {} in the trace: choose among")
    chosen = [(by_name[lags.state], lags) for lags in trace.lags if not states or lags.state in states]
    return [StateLags(state, lags, log_norm(lags.log) / LN10, summed(lags, state.direction)) for state, lags in chosen]


def sentence(one: LagSummary) -> str:
    """Sum a state's lags up: what is left, how fast it goes, how far it reaches."""
    if not one.horizon:
        return "No loss with a gradient has a step before it, so there is no lag to report."
    left = left_text(one.curve.median[one.horizon - 1] / LN10)
    parts = [f"{left[0].upper()}{left[1:]} is left at lag {one.horizon}", tempo(one.rate)]
    if one.reach is not None:
        parts.append(f"1 % or more to lag {one.reach}{' at least' if one.whole else ''}")
    return "; ".join(part for part in parts if part) + "."
