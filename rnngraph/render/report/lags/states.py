"""What the lag report says of every state: its curve, what sums it up, and its matrix.

In comes a trace with lags, out come `StateLags`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
class StateLags:
    """One state's lags. `matrix` is log10 of the norm over the taken samples, (S, own T + 1), column 0 the start.

    -inf is an exact zero, NaN what comes after the loss or was not measured.
    """

    state: StateTrace
    lags: LagTrace
    curve: LagCurve
    matrix: Floats
    horizon: int
    rate: float  # nats per step; NaN where there is none
    half_life: float | None
    memory_horizon: int | None


def state_lags(trace: Trace, *, states: Sequence[str] | None = None) -> list[StateLags]:
    """Work out the lag report of all states, or of those named.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    if not trace.lags:
        raise no_lags(trace)
    by_name = {state.name: state for state in trace.states}
    check_known(states or (), [lags.state for lags in trace.lags], "there is no state {} in the trace: choose among")
    limits = Thresholds()
    return [_of_state(by_name[lags.state], lags, limits) for lags in trace.lags if not states or lags.state in states]


def _of_state(state: StateTrace, lags: LagTrace, limits: Thresholds) -> StateLags:
    curve = lag_curve([lags], state.direction)
    horizon = curve.covered(limits.coverage)
    rate = curve.rate(horizon) if horizon else float("nan")
    matrix = log_norm(lags.log) / LN10
    return StateLags(state, lags, curve, matrix, horizon, rate, half_life(rate), curve.memory_horizon(limits.epsilon))


def sentence(one: StateLags) -> str:
    """Sum a state's lags up: what is left, how fast it goes, how far it reaches."""
    if not one.horizon:
        return "No loss with a gradient has a step before it, so there is no lag to report."
    left = left_text(one.curve.median[one.horizon - 1] / LN10)
    parts = [f"{left[0].upper()}{left[1:]} is left at lag {one.horizon}", tempo(one.rate)]
    if one.memory_horizon is not None:
        end = " at least" if one.memory_horizon >= one.curve.longest else ""
        parts.append(f"1 % or more to lag {one.memory_horizon}{end}")
    return "; ".join(part for part in parts if part) + "."
