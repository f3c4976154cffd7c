"""What one trace says, as few numbers and curves as can be set beside those of another trace.

In: a trace with lags. Out: a `Measurement`; the trace itself can be dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rnngraph.diagnosis.diagnose import judge, network_in
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.network import Network, Path, own_path
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class Reading:
    """How much is left, by lag, at one place: in the states of a recurrence, or at what the network is fed.

    `counts` tells whether the verdict on the network rests on it: credit must arrive at every such place.
    """

    name: str
    recurrence: str  # whose states these are, or that reads the input
    at_input: bool
    counts: bool
    left: Floats  # (L,) decades of what there was at lag 1; entry 0 is lag 1; -inf an exact zero, NaN without a pair
    horizon: int  # the lag that a verdict on this trace alone is given at
    reach: int | None  # the last lag at which 1 % or more is left
    whole: bool  # that is as far as was measured
    half_life: float | None
    peak: float  # the most that the states make of a gradient, in decades; NaN at an input
    saturated: float  # mean share of saturated units; NaN at an input

    def gain(self, lag: int) -> float:
        """Give what is left at a lag, in decades; NaN where nothing was measured."""
        return float(self.left[lag - 1]) if 0 < lag <= len(self.left) else math.nan


@dataclass(frozen=True, slots=True)
class Measurement:
    """One look at a network: when, what was said of it, and its readings."""

    label: str
    step: int | None  # of the training
    loss: float  # of that step; NaN where it is not known
    verdict: str
    flags: tuple[str, ...]
    said: str  # the title of the verdict, as a sentence
    reach: int | None
    whole: bool
    half_life: float | None
    readings: tuple[Reading, ...]

    def reading(self, name: str) -> Reading | None:
        """Find a reading by its name."""
        return next((one for one in self.readings if one.name == name), None)


def measured(trace: Trace, label: str, *, horizon: int | None = None) -> Measurement:
    """Look at one trace.

    Raises:
        InputError: as `diagnose`: there are no lags, or the horizon is longer than the sequence.
    """
    network = network_in(trace, horizon=horizon)
    return measurement_of(network, judge(network), label)


def measurement_of(network: Network, diagnosis: Diagnosis, label: str) -> Measurement:
    """Take the numbers from a network that was judged."""
    trace = network.trace
    loss = trace.loss if trace.training_loss is None else trace.training_loss
    return Measurement(
        label, trace.training_step, loss, diagnosis.verdict, diagnosis.flags, headline(diagnosis)[0],
        network.reach, network.whole, diagnosis.half_life, readings_of(network),
    )  # fmt: skip


def readings_of(network: Network) -> tuple[Reading, ...]:
    """Read what is left at every input, and in the states of every recurrence."""
    inputs = [_reading(path, counts=True) for path in network.paths if path.input is not None]
    counting = {path.layer.name for path in network.paths if path.input is None}
    states = [_reading(own_path(layer), counts=layer.name in counting) for layer in network.layers]
    return (*inputs, *states)


def _reading(path: Path, *, counts: bool) -> Reading:
    at_input, layer = path.input is not None, path.layer
    return Reading(
        path.name, layer.name, at_input, counts, path.left, path.horizon, path.reach, path.whole, layer.half_life,
        math.nan if at_input else layer.peak, math.nan if at_input else layer.saturated,
    )  # fmt: skip
