"""A layer as the rules see it: the states that one step carries together, their lag curve, and what is known of them.

In: a Trace with lags. Out: one `Layer` a layer and direction, judged at a horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnngraph.checks import whole_number
from rnngraph.diagnosis.curve import LN10, LagCurve, half_life, lag_curve
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Floats, Status
from rnngraph.trace.model import WITHOUT_LAGS, GateTrace, LagTrace, StateTrace, Trace

GATED = ("lstm", "gru")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer and direction at its horizon. Gains in decades, rates in nats per step; NaN where unknown."""

    name: str
    states: tuple[StateTrace, ...]
    lags: tuple[LagTrace, ...]
    curve: LagCurve
    horizon: int
    asked: int | None  # the horizon that was asked for
    decades: float  # median gain at the horizon
    peak: float  # largest 90th percentile of the gain up to the horizon
    rate: float
    memory_horizon: int | None
    saturated: float  # mean share of saturated units
    activation: float  # nats per step that the activation's derivative takes
    weights: float  # nats per step that the recurrent weight gives
    gate: GateTrace | None  # the one that carries the state: f of an LSTM, z of a GRU
    window: int | None  # steps between two cuts, None where the recurrence is not cut

    @property
    def cell(self) -> str:
        """The kind of cell."""
        return self.states[0].cell

    @property
    def half_life(self) -> float | None:
        """Steps in which the gradient halves; None where it does not shrink."""
        return half_life(self.rate)

    @property
    def where(self) -> dict[str, int | str]:
        """Name the layer in a finding."""
        return {"state": self.states[0].name, "layer": self.states[0].layer, "direction": self.states[0].direction}

    def gate_timescales(self) -> Floats:
        """Compute the time constant of every unit from its carrying gate alone, `-1 / mean ln f`, in steps."""
        if self.gate is None:
            return np.empty(0)
        known = self.gate.log_mean[np.isfinite(self.gate.log_mean) & (self.gate.log_mean < 0)]
        return -1 / known


def layers_of(trace: Trace, thresholds: Thresholds, horizon: int | None) -> list[Layer]:
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
            raise InputError(
                f"the horizon is {horizon}, but a sequence of one timestep has no lag: trace a longer one."
            )
        raise InputError(
            f"the horizon is {horizon}, but the sequence has {trace.timesteps} timesteps: "
            f"choose 1 to {trace.timesteps - 1}."
        )
    return [_layer(trace, name, states, lags, thresholds, horizon) for name, states, lags in members(trace)]


def no_lags(trace: Trace) -> InputError:
    """Say why a trace has no lags, and what gives it some."""
    reasons = [text for text in trace.notes if text.startswith(WITHOUT_LAGS)]
    if reasons:
        return InputError("; ".join(reasons) + "; rnngraph norms shows the norms, which are right all the same.")
    if all((state.carried.status == Status.UNOBSERVED).all() for state in trace.states):
        return InputError(
            "the recurrence of this trace was seen only through hooks, which show no lags; rnngraph norms tells what "
            "they saw, and lags need nn.RNN, nn.LSTM, nn.GRU or one of their cells, with its state passed on unchanged."
        )
    return InputError(
        "the trace holds no lags, and a verdict needs them: record with rnngraph.record(loss, lags=True), "
        "or save the run with rnngraph trace."
    )


def members(trace: Trace) -> list[tuple[str, tuple[StateTrace, ...], tuple[LagTrace, ...]]]:
    """Group states with their lags by the step that carries them together: h and c of one layer and direction."""
    found: list[tuple[str, list[StateTrace], list[LagTrace]]] = []
    by_name = {lag.state: lag for lag in trace.lags}
    aligned = len(trace.lags) == len(trace.states)
    for index, state in enumerate(trace.states):
        lag = trace.lags[index] if aligned and trace.lags[index].state == state.name else by_name.get(state.name)
        if lag is None:
            continue
        name = layer_name(state)
        for entry in found:
            same_shape = entry[2][0].log.shape == lag.log.shape
            if entry[0] == name and same_shape and state.kind not in [one.kind for one in entry[1]]:
                entry[1].append(state)
                entry[2].append(lag)
                break
        else:
            found.append((name, [state], [lag]))
    return [(name, tuple(states), tuple(lags)) for name, states, lags in found]


def layer_name(state: StateTrace) -> str:
    """Name a layer and direction as its parameters are named: `lstm.c_l1` belongs to `lstm_l1`."""
    prefix, _, rest = state.name.rpartition(".")
    return prefix + rest.removeprefix(state.kind)


def _layer(
    trace: Trace,
    name: str,
    states: tuple[StateTrace, ...],
    lags: tuple[LagTrace, ...],
    thresholds: Thresholds,
    horizon: int | None,
) -> Layer:
    curve = lag_curve(lags, states[0].direction)
    longest = curve.covered(thresholds.coverage)
    if horizon is not None:
        reached = np.flatnonzero(curve.pairs[:horizon])
        longest = int(reached[-1]) + 1 if reached.size else 0
    decades = curve.median[longest - 1] / LN10 if longest else float("nan")
    valid = trace.valid.any(axis=0) if trace.valid.shape[1] == len(states[0].saturated) else slice(None)
    return Layer(
        name, states, lags, curve, longest, horizon, float(decades), curve.peak(longest) / LN10,
        curve.rate(longest) if longest else float("nan"), curve.memory_horizon(thresholds.epsilon),
        _mean(states[0].saturated[valid]), _median(states[0].gain_activation[valid]),
        _median(states[0].gain_weights[valid]), _gate(trace, name, states[0].cell), _window(states, lags),
    )  # fmt: skip


def _gate(trace: Trace, name: str, cell: str) -> GateTrace | None:
    wanted = {"lstm": "f", "gru": "z"}.get(cell)
    return next((gate for gate in trace.gates if gate.name == f"{name}.{wanted}"), None)


def _window(states: tuple[StateTrace, ...], lags: tuple[LagTrace, ...]) -> int | None:
    """Find the longest run of steps between cuts that hold for every sample."""
    severed = lags[0].severed
    cut = np.logical_and.reduce([state.cut for state in states])[: severed.shape[1]]  # a trace may be longer
    cut = cut | severed.all(axis=0) if len(severed) else cut
    places = np.flatnonzero(cut)
    places = places[(places > 0) if states[0].direction == "forward" else (places < len(cut) - 1)]
    if not places.size:
        return None
    if states[0].direction != "forward":
        places = np.sort(len(cut) - 1 - places)
    return int(np.diff([0, *places, len(cut)]).max())


def no_signal(states: tuple[StateTrace, ...], curve: LagCurve) -> bool:
    """Tell whether no loss reaches a layer at all."""
    quiet = all(bool((state.grad.status == Status.ZERO).all()) for state in states)
    return quiet or (curve.seeds == 0 and not curve.nonfinite)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
