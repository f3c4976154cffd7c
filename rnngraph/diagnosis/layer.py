"""A layer as the rules see it: the states that one step carries together, their lag curve, and what is known of them.

In: a Trace with lags. Out: one `Layer` a recurrence, judged at a horizon.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.checks import whole_number
from rnngraph.diagnosis.credit import Credit, lags_together
from rnngraph.diagnosis.curve import LN10, LagCurve, lag_curve
from rnngraph.diagnosis.slope import half_life
from rnngraph.diagnosis.sums import Sums, sums_of
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.errors import InputError
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.magnitudes import Floats, Status
from rnngraph.trace.model import (
    FORWARD,
    WITHOUT_LAGS,
    GateTrace,
    LagTrace,
    RecurrenceTrace,
    StateTrace,
    Trace,
    UpdateTrace,
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer and direction at its horizon. Gains in decades, rates in nats per step; NaN where unknown."""

    trace: Trace
    limits: Thresholds
    recurrence: RecurrenceTrace
    cell: CellTrace
    states: tuple[StateTrace, ...]
    lags: tuple[LagTrace, ...]
    curve: LagCurve
    sums: Sums
    horizon: int
    asked: int | None  # the horizon that was asked for
    decades: float  # what is left at the horizon of what its states had at lag 0: G
    decades_from_first: float  # the same against lag 1: G1
    growth: Floats  # G by lag up to the horizon, without what is no growth
    rate: float
    saturated: float  # mean share of saturated units
    activation: float  # nats per step that the activation's derivative takes
    weights: float  # nats per step that the recurrent weight gives
    gate: GateTrace | None  # the one that keeps the state
    window: int | None  # steps between two cuts, None where the recurrence is not cut
    update: UpdateTrace | None  # what its weights get from far away, where that is known

    @property
    def name(self) -> str:
        """The name of its recurrence."""
        return self.recurrence.name

    @property
    def credit(self) -> Credit:
        """What is left of every loss at every step."""
        return self.curve.credit

    @property
    def left(self) -> float:
        """What is left at the horizon of what its states had a step back, in decades; NaN where nothing is known."""
        return float(self.sums.end_to_end()[self.horizon - 1]) / LN10 if self.horizon else math.nan

    @property
    def peak(self) -> float:
        """The most that its states make of a gradient up to the horizon, in decades; NaN where nothing is known."""
        return float(self.growth[self.peak_lag - 1]) if self.peak_lag else math.nan

    @property
    def peak_lag(self) -> int:
        """Where that is; 0 where nothing is known."""
        return 0 if np.isnan(self.growth).all() else int(np.nanargmax(self.growth)) + 1

    @property
    def half_life(self) -> float | None:
        """Steps in which the gradient halves; None where it does not shrink."""
        return half_life(self.rate)

    @property
    def where(self) -> dict[str, int | str]:
        """Name the layer in a finding."""
        return {"state": self.states[0].name, "layer": self.recurrence.layer, "direction": self.recurrence.direction}

    def gate_timescales(self) -> Floats:
        """Compute the time constant of every unit from its keeping gate alone, `-1 / mean ln f`, in steps."""
        if self.gate is None:
            return np.empty(0)
        known = self.gate.log_mean[np.isfinite(self.gate.log_mean) & (self.gate.log_mean < 0)]
        return -1 / known


def layers_of(trace: Trace, limits: Thresholds, horizon: int | None) -> list[Layer]:
    """Gather the layers of a trace and judge each at the horizon, or at its own default one.

    Raises:
        InputError: the trace has no state or no lags, or the horizon is longer than the sequence.
    """
    if not trace.states:
        raise InputError("the trace has no recurrent state; declare the states of your own cell with tape.state.")
    if not trace.lags:
        raise no_lags(trace)
    if horizon is not None and whole_number(horizon, "the horizon", least=1) >= trace.timesteps:
        if trace.timesteps < 2:
            raise InputError(f"the horizon is {horizon}, but one timestep has no lag: trace a longer sequence.")
        raise InputError(
            f"the horizon is {horizon}, but the sequence has {trace.timesteps} timesteps: "
            f"choose 1 to {trace.timesteps - 1}."
        )
    return [_layer(trace, lags, limits, horizon) for lags in lags_together(trace).values()]


def silence_of(layer: Layer) -> str:
    """Say why no loss reaches a layer; "" where one does."""
    if not layer.recurrence.valid.any():
        return "every step is masked"
    quiet = all(bool((state.grad.status == Status.ZERO).all()) for state in layer.states)
    felt = not quiet and (layer.credit.seeds or layer.credit.nonfinite)
    return "" if felt else "its gradient is exactly zero at every step"


def no_lags(trace: Trace) -> InputError:
    """Say why a trace has no lags, and what gives it some."""
    reasons = [text for text in trace.notes if text.startswith(WITHOUT_LAGS)]
    if reasons:
        return InputError("; ".join(reasons) + "; rnngraph norms shows the norms, which are right all the same.")
    return InputError(
        "the trace holds no lags, and a verdict needs them: record with rnngraph.record(loss, lags=True), "
        "or save the run with rnngraph trace."
    )


def _layer(trace: Trace, lags: tuple[LagTrace, ...], limits: Thresholds, horizon: int | None) -> Layer:
    states = tuple([state for one in lags for state in trace.states if state.name == one.state])
    first, recurrence = states[0], trace.recurrence_of(states[0])
    curve = lag_curve(lags, recurrence.direction)
    sums = sums_of(curve.credit)
    longest = sums.judged_lag(horizon, limits.coverage)
    growth = _growth(sums, longest, limits.readout, reads=_steps_read(first) if lags[0].joint else 1)
    real = np.flatnonzero(recurrence.valid.any(axis=0))
    return Layer(
        trace, limits, recurrence, trace.cell_of(recurrence), states, lags, curve, sums, longest, horizon,
        decades=sums.gain(longest) / LN10, decades_from_first=sums.gain_from_first(longest) / LN10,
        growth=growth, rate=curve.rate(longest) if longest else math.nan,
        saturated=_over(np.mean, first.saturated[real]),
        activation=_over(np.median, first.gain_activation[real]),
        weights=_over(np.median, _weights(first)[real]),
        gate=trace.keeping_gate(recurrence),
        window=_window(recurrence),
        update=next((one for one in trace.updates if one.recurrence == recurrence.name), None),
    )  # fmt: skip


def _growth(sums: Sums, horizon: int, readout: float, *, reads: int) -> Floats:
    """Give the gain at every lag up to a horizon, in decades.

    A loss that reads many steps adds to the gradient at each of them, and one that hardly reads its own step and more
    of the step before jumps once, by `readout` decades or more: so much is no growth.
    """
    lags = np.arange(1, horizon + 1)
    with np.errstate(invalid="ignore"):
        jumps = (sums.first[:horizon] - sums.started[:horizon]) / LN10 >= readout
        start = np.where(jumps & (horizon > 1), sums.first[:horizon], sums.started[:horizon])
        return np.asarray((sums.arrived[:horizon] - start) / LN10 - np.log10(np.minimum(lags + 1, reads)))


def _steps_read(state: StateTrace) -> int:
    return max(int((state.immediate.status == Status.OK).sum()), 1)


def _window(recurrence: RecurrenceTrace) -> int | None:
    """Find the longest run of steps between cuts."""
    cut = recurrence.cut if recurrence.direction == FORWARD else recurrence.cut[::-1]
    starts = np.flatnonzero(cut[1:]) + 1
    return int(np.diff([0, *starts, len(cut)]).max()) if starts.size else None


def _weights(state: StateTrace) -> Floats:
    """Give the weight's part of every step's gain, -inf where it leaves nothing of what the activation lets through."""
    nothing = (state.gain == 0) & np.isfinite(state.gain_activation)
    return np.where(nothing, -np.inf, state.gain_weights)


def _over(summary: Callable[[Floats], Any], values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(summary(known)) if known.size else float("nan")
