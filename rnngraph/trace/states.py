"""Measure one state of one recurrence as the sweep passes it: gradients, their parts, gains, saturation.

In: `Step`s in reverse processing order. Out: a `StateTrace`. Arrays are gathered and measured a few megabytes at a time, because
one NumPy call on many timesteps costs little more than on one.
"""

from __future__ import annotations

import math

import numpy as np

from rnngraph.autodiff.backward import Step, sweep
from rnngraph.autodiff.contribution import Array, Contribution, add_up
from rnngraph.autodiff.tape import Node, Recurrence, Tape
from rnngraph.trace.model import Booleans, Floats, Magnitudes, StateTrace, Status
from rnngraph.trace.norms import norm, row_norms

_CHUNK_BYTES = 2_000_000
_SATURATED = 0.95  # tanh' < 0.05, as a bound on tanh squared
_SATURATED_CELL = math.atanh(math.sqrt(_SATURATED)) ** 2  # the same as a bound on the square of an LSTM's c


class StateObserver:
    """Gathers the steps of one state; `finish` gives its trace."""

    def __init__(self, tape: Tape, recurrence: Recurrence, kind: str) -> None:
        """Start with nothing observed."""
        self.tape, self.recurrence, self.kind = tape, recurrence, kind
        self.ids = recurrence.states[kind]
        self.time = len(self.ids)
        value = tape.nodes[self.ids[0]].value
        self.batch = value.shape[0] if value.ndim > 1 else 1
        self.units = value.size // self.batch
        self.samples: Floats = np.zeros((self.time, self.batch))
        self.immediate, self.carried = np.zeros(self.time), np.zeros(self.time)
        self.zeros = np.full(self.time, value.size)
        self.nonfinite = np.zeros(self.time, dtype=np.int64)
        self.saturated, self.activation = np.full(self.time, np.nan), np.full(self.time, np.nan)
        self.projected: Floats | None = None  # (T,) ‖δ ⊙ φ'‖, of a vanilla cell
        self._steps: list[int] = []
        self._totals: list[Array] = []
        self._parts: dict[str, list[tuple[int, Array]]] = {"immediate": [], "carried": []}
        self._last: tuple[int, Array] | None = None
        self._suspects: dict[int, tuple[int, Array]] = {}  # t -> (step processed next, its gradient)

    def see(self, t: int, step: Step) -> None:
        """Take what reached the state at timestep `t`."""
        total = step.gradient
        self._steps.append(t)
        self._totals.append(total)
        node = step.node
        immediate: list[Contribution] = []
        carried: list[Contribution] = []
        for consumer, contribution in zip(step.consumers, step.contributions, strict=True):
            (carried if _carries(consumer, node, t) else immediate).append(contribution)
        for label, parts in (("immediate", immediate), ("carried", carried)):
            if parts:
                part = total if len(parts) == len(step.contributions) else add_up(parts, node.value, ())
                self._parts[label].append((t, part))
        if len(self._steps) * total.nbytes > _CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Measure what was gathered and let it go."""
        if not self._steps:
            return
        steps = np.array(self._steps)
        totals = _stacked(self._totals, self.batch)
        self.samples[steps] = row_norms(totals)
        self.zeros[steps] = [self.batch * self.units - np.count_nonzero(total) for total in totals]
        for k in np.flatnonzero(~np.isfinite(self.samples[steps]).all(axis=1)):
            self.nonfinite[steps[k]] = np.count_nonzero(~np.isfinite(totals[k]))
        for label, parts in self._parts.items():
            if parts:
                norms = row_norms(_stacked([part for _, part in parts], 1)[:, 0])
                getattr(self, label)[[t for t, _ in parts]] = norms
        self._find_suspects(totals)
        self._measure_values(steps)
        self._last = (self._steps[-1], totals[-1].copy())
        self._steps, self._totals, self._parts = [], [], {"immediate": [], "carried": []}

    def _find_suspects(self, totals: Array) -> None:
        # A carried gradient that is exactly zero although the step processed next has one: underflow, or truly zero?
        before = self._last
        for t, total in zip(self._steps, totals, strict=True):
            if before is not None and self.carried[t] == 0 and self.samples[before[0]].any():
                self._suspects[t] = (before[0], before[1].copy())
            before = (t, total)

    def _measure_values(self, steps: Array) -> None:
        nodes = self.tape.nodes
        values = _stacked([nodes[self.ids[t]].value for t in steps], 1)[:, 0]
        self.activation[steps] = row_norms(values) / math.sqrt(values.shape[1])
        cell = self.recurrence.cell
        if cell == "relu":
            self.saturated[steps] = [1 - np.count_nonzero(value > 0) / len(value) for value in values]
        elif cell == "tanh":
            self.saturated[steps] = _share_above(values, _SATURATED)
        elif cell == "lstm" and self.kind == "h":
            ids = self.recurrence.states["c"]
            cells = _stacked([nodes[ids[t]].value for t in steps], 1)[:, 0]
            self.saturated[steps] = _share_above(cells, _SATURATED_CELL)
        elif cell == "gru" and self.recurrence.gates:
            hidden = 2 * self.units
            gates = [nodes[self.recurrence.gates[t]].value[:, hidden:] for t in steps]
            self.saturated[steps] = _share_above(_stacked(gates, 1)[:, 0], _SATURATED)

    def finish(self, name: str, initial: Magnitudes, valid: Booleans, cut: Booleans, *, walked: bool) -> StateTrace:
        """Measure the rest and assemble the trace."""
        self.flush()
        grad, immediate, carried = self._magnitudes(cut, walked)
        if not walked:
            self._measure_values(np.arange(self.time))
        gain, by_activation, by_weights = self._gains(carried, walked)
        quantiles = Magnitudes.of(valid_quantiles(self.samples, valid, self.batch, walked))
        quantiles.status[:] = np.where(
            (quantiles.status == Status.ZERO) & (grad.status == Status.UNDERFLOW), Status.UNDERFLOW, quantiles.status
        )
        quantiles.status[np.isnan(quantiles.value) & (grad.status != Status.NONFINITE)] = Status.UNOBSERVED
        recurrence = self.recurrence
        return StateTrace(
            name, recurrence.layer, recurrence.direction, self.kind, recurrence.cell, initial, grad, immediate, carried,
            quantiles, gain, by_activation, by_weights, self.saturated, self.activation,
            self.zeros if walked else np.zeros(self.time, np.int64), self.nonfinite, cut, np.array(self.ids),
        )  # fmt: skip

    def _magnitudes(self, cut: Booleans, walked: bool) -> tuple[Magnitudes, Magnitudes, Magnitudes]:
        if not walked:
            return (Magnitudes.unobserved((self.time,)),) * 3
        grad = Magnitudes.of(row_norms(self.samples))
        immediate, carried = Magnitudes.of(self.immediate), Magnitudes.of(self.carried)
        order = range(self.time - 1, -1, -1) if self.recurrence.direction == "forward" else range(self.time)
        following: int | None = None
        for t in order:
            if following is not None and carried.status[t] == Status.ZERO and not cut[following]:
                upstream = grad.status[following]
                if upstream == Status.UNDERFLOW or (t in self._suspects and self._underflowed(t)):
                    carried.status[t] = Status.UNDERFLOW
            if grad.status[t] == Status.ZERO and carried.status[t] == Status.UNDERFLOW:
                grad.status[t] = Status.UNDERFLOW
            following = t
        return grad, immediate, carried

    def _underflowed(self, t: int) -> bool:
        """Tell rounding from truth: a vjp is linear, so a cotangent scaled up to 1 shows what rounding hid."""
        following, gradient = self._suspects[t]
        start, end = self.ids[following], self.ids[t]
        node = self.tape.nodes[start]
        largest = float(np.abs(gradient).max())
        if not math.isfinite(largest):
            return False
        scaled = np.ldexp(gradient, -math.frexp(largest)[1]).reshape(node.value.shape)
        for step in sweep(self.tape, {start: scaled}, wanted=range(end, start + 1)):
            if step.node.id == end and np.any(step.gradient):
                return True
        # tanh' is never zero: where 1 - h² is, the hidden state was rounded to ±1.
        rounded = (np.abs(node.value) == 1) & (scaled != 0)
        return self.recurrence.cell == "tanh" and bool(rounded.any()) and bool(np.any(node.arguments[-1]))

    def _gains(self, carried: Magnitudes, walked: bool) -> tuple[Floats, Floats, Floats]:
        gain, by_activation, by_weights = (np.full(self.time, np.nan) for _ in range(3))
        if not walked or self.time < 2:
            return gain, by_activation, by_weights
        forward = self.recurrence.direction == "forward"
        here, following = (slice(None, -1), slice(1, None)) if forward else (slice(1, None), slice(None, -1))
        totals = row_norms(self.samples)
        with np.errstate(all="ignore"):
            ratio = carried.value[here] / totals[following]
            gain[here] = np.where((totals[following] > 0) & np.isfinite(ratio), ratio, np.nan)
            if self.projected is not None and not self.recurrence.copies:
                by_activation[here] = np.log(self.projected[following] / totals[following])
                by_weights[here] = np.log(carried.value[here] / self.projected[following])
        by_activation[~np.isfinite(by_activation)] = np.nan
        by_weights[~np.isfinite(by_weights)] = np.nan
        return gain, by_activation, by_weights


def initial_magnitude(gradient: Array | None, first: StateTrace, walked: bool) -> Magnitudes:
    """Give the magnitude of an initial state's gradient; None is a state that the sweep did not reach."""
    if not walked:
        return Magnitudes.unobserved()
    magnitude = Magnitudes.of(0.0 if gradient is None else norm(gradient))
    if magnitude.status == Status.ZERO and first.grad.status.size:
        edge = first.grad.status[0 if first.direction == "forward" else -1]
        if edge == Status.UNDERFLOW:
            return Magnitudes(magnitude.value, np.asarray(edge))
    return magnitude


def valid_quantiles(samples: Floats, valid: Booleans, batch: int, walked: bool) -> Floats:
    """Compute the 10th, 50th and 90th percentile over valid samples, (3, T); NaN where no sample is valid."""
    time = len(samples)
    if not walked:
        return np.full((3, time), np.nan)
    usable = valid.T if valid.shape == (batch, time) else np.ones((time, batch), bool)
    ordered = np.sort(np.where(usable, samples, np.inf), axis=1)
    count = usable.sum(axis=1)
    found = np.full((3, time), np.nan)
    rows = np.arange(time)
    for place, share in enumerate((0.1, 0.5, 0.9)):
        position = share * np.maximum(count - 1, 0)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        with np.errstate(invalid="ignore"):
            value = ordered[rows, low] + (position - low) * (ordered[rows, high] - ordered[rows, low])
        found[place] = np.where(count > 0, value, np.nan)
    return found


def _carries(consumer: Node | None, node: Node, t: int) -> bool:
    if consumer is None:
        return False
    there = consumer.timestep
    # The timestep is the last part of a step's scope; what comes before it is the layer and direction.
    return there not in (-1, t) and consumer.scope[:-1] == node.scope[:-1]


def _stacked(arrays: list[Array], batch: int) -> Array:
    return np.concatenate([array.reshape(1, -1) for array in arrays]).reshape(len(arrays), batch, -1)


def _share_above(values: Array, bound: float) -> Floats:
    above = values * values > bound
    return np.array([np.count_nonzero(row) for row in above]) / values.shape[1]
