"""Measure one state of one recurrence as the sweep passes it: gradients, their parts, gains, saturation.

In: `Step`s in reverse processing order. Out: a `StateTrace`. Arrays are gathered and measured some hundred kilobytes
at a time, because one NumPy call on many timesteps costs little more than on one.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array, Contribution, add_up
from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.activations import measure_values
from rnngraph.trace.magnitudes import Booleans, Floats, Magnitudes, Status
from rnngraph.trace.model import StateTrace
from rnngraph.measure.names import layer_name
from rnngraph.measure.norms import norm, row_norms, stacked
from rnngraph.trace.quantile import of_ordered
from rnngraph.measure.rounding import Rounding

_CHUNK_BYTES = 400_000
_ZERO, _UNDERFLOW = int(Status.ZERO), int(Status.UNDERFLOW)


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
        self._steps: list[Step] = []
        self._at_once = max(1, _CHUNK_BYTES // value.nbytes)
        self._place = {node_id: t for t, node_id in enumerate(self.ids)}
        self._last: tuple[int, Array] | None = None
        self._rounding = Rounding(tape, recurrence, self.ids)

    def see(self, step: Step) -> None:
        """Take what reached the state at one timestep; it is measured later, many steps at once."""
        self._steps.append(step)
        if len(self._steps) >= self._at_once:
            self.flush()

    def flush(self) -> None:
        """Measure what was gathered and let it go."""
        if not self._steps:
            return
        times = [self._place[step.node.id] for step in self._steps]
        steps = np.array(times)
        totals = stacked([step.gradient for step in self._steps], self.batch)
        self.samples[steps] = norms = row_norms(totals)
        flat = totals.reshape(len(times), -1)
        self.zeros[steps] = (flat == 0).sum(axis=1)
        if not np.isfinite(norms).all():
            self.nonfinite[steps] = (~np.isfinite(flat)).sum(axis=1)
        parts: list[list[tuple[int, Array]]] = [[], []]
        for t, step in zip(times, self._steps, strict=True):
            _divide(t, step, parts)
        for target, found in zip((self.immediate, self.carried), parts, strict=True):
            if found:
                target[[t for t, _ in found]] = row_norms(stacked([part for _, part in found], 1)[:, 0])
        if (self.carried[steps] == 0).any():
            self._rounding.suspect(times, totals, before=self._last, carried=self.carried, samples=self.samples)
        self._measure_values(steps)
        self._last = times[-1], totals[-1].copy()
        self._steps = []

    def _measure_values(self, steps: Array) -> None:
        measured = measure_values(self.tape, self.recurrence, self.kind, steps)
        self.activation[steps], self.saturated[steps] = measured

    def finish(self, name: str, initial: Array | None, valid: Booleans, cut: Booleans, *, walked: bool) -> StateTrace:
        """Measure the rest and assemble the trace; `initial` is the initial state's gradient where one reached it."""
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
            name, layer_name(recurrence), recurrence.layer, recurrence.direction, self.kind, recurrence.cell,
            self._initial(initial, grad, walked), grad, immediate, carried,
            quantiles, gain, by_activation, by_weights, self.saturated, self.activation,
            self.zeros if walked else np.zeros(self.time, np.int64), self.nonfinite, cut, np.array(self.ids),
        )  # fmt: skip

    def _magnitudes(self, cut: Booleans, walked: bool) -> tuple[Magnitudes, Magnitudes, Magnitudes]:
        if not walked:
            return (Magnitudes.unobserved((self.time,)),) * 3
        grad = Magnitudes.of(row_norms(self.samples))
        immediate, carried = Magnitudes.of(self.immediate), Magnitudes.of(self.carried)
        self._rounding.correct(grad, carried, cut)
        return grad, immediate, carried

    def _initial(self, gradient: Array | None, grad: Magnitudes, walked: bool) -> Magnitudes:
        start = self.recurrence.initial.get(self.kind)
        if not walked or start is None:
            return Magnitudes.unobserved()
        magnitude = Magnitudes.of(0.0 if gradient is None else norm(gradient))
        first = 0 if self.recurrence.direction == "forward" else self.time - 1
        if magnitude.status == _ZERO and self._last is not None and self._last[0] == first:
            lost = grad.status[first] == _UNDERFLOW
            if lost or (self._last[1].any() and self._rounding.vanishes(self.ids[first], start, self._last[1])):
                magnitude.status[...] = _UNDERFLOW
        return magnitude

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


def valid_quantiles(samples: Floats, valid: Booleans, batch: int, walked: bool) -> Floats:
    """Compute the 10th, 50th and 90th percentile over valid samples, (3, T); NaN where no sample is valid."""
    time = len(samples)
    if not walked:
        return np.full((3, time), np.nan)
    usable = valid.T if valid.shape == (batch, time) else np.ones((time, batch), bool)
    ordered = np.sort(np.where(usable, samples, np.inf), axis=1)
    count = usable.sum(axis=1)
    return np.stack([of_ordered(ordered, share, count=count) for share in (0.1, 0.5, 0.9)])


def _divide(t: int, step: Step, parts: list[list[tuple[int, Array]]]) -> None:
    """Tell the immediate part (`parts[0]`) from the carried (`parts[1]`), by the timestep of who handed it back."""
    node = step.node
    place = node.place
    sides: tuple[list[Contribution], list[Contribution]] = [], []
    for consumer, contribution in zip(step.consumers, step.contributions, strict=True):
        far = consumer is not None and t != consumer.timestep >= 0 and consumer.place == place
        sides[far].append(contribution)
    for side, found in zip(sides, parts, strict=True):
        if len(side) == 1 and type(side[0]) is np.ndarray:
            found.append((t, side[0]))
        elif side:
            found.append((t, add_up(side, node.value, ())))
