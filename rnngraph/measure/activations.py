"""How large the values of a state are and how many of its units are saturated, many timesteps at once.

In: a recurrence on a tape, and timesteps. Out: a number a timestep.
"""

from __future__ import annotations

import math

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Floats
from rnngraph.measure.norms import row_norms, stacked

_SATURATED = 0.95  # tanh' < 0.05, as a bound on tanh squared
_SATURATED_CELL = math.atanh(math.sqrt(_SATURATED)) ** 2  # the same as a bound on the square of an LSTM's c


def measure_values(tape: Tape, recurrence: Recurrence, kind: str, steps: Array) -> tuple[Floats, Floats]:
    """Give the root mean square and the share of saturated units at consecutive timesteps, in the order of `steps`.

    The share is NaN where the cell's saturation is not known, and where a value is NaN.
    """
    values = _values(tape, recurrence.states[kind], steps)
    activation = row_norms(values) / math.sqrt(values.shape[1])
    saturated = _saturated(tape, recurrence, kind, steps, values)
    saturated[np.isnan(activation)] = np.nan
    return activation, saturated


def _saturated(tape: Tape, recurrence: Recurrence, kind: str, steps: Array, values: Array) -> Floats:
    cell = recurrence.cell
    if cell == "relu":
        return np.asarray((values <= 0).sum(axis=1) / values.shape[1])
    if cell == "tanh":
        return _share_above(values, _SATURATED)
    if cell == "lstm" and kind == "h":
        return _share_above(_values(tape, recurrence.states["c"], steps), _SATURATED_CELL)
    if cell == "gru" and recurrence.gates:
        gates = [tape.nodes[recurrence.gates[t]].value for t in steps]
        candidate = 2 * gates[0].shape[-1] // 3
        return _share_above(stacked([gate[:, candidate:] for gate in gates], 1)[:, 0], _SATURATED)
    return np.full(len(steps), np.nan)


def _values(tape: Tape, ids: list[int], steps: Array) -> Array:
    """Give the values at consecutive timesteps, (steps, batch * units); a view where they lie in one buffer."""
    nodes = tape.nodes
    low, high = (steps[0], steps[-1]) if steps[0] < steps[-1] else (steps[-1], steps[0])
    buffer = nodes[ids[low]].value.base
    consecutive = int(high) - int(low) + 1 == len(steps)  # not where no gradient reached a step between
    if consecutive and isinstance(buffer, np.ndarray) and buffer.shape == (len(ids), *nodes[ids[low]].value.shape):
        places = [nodes[ids[t]].value.__array_interface__["data"] for t in (low, high)]
        if places == [buffer[t].__array_interface__["data"] for t in (low, high)]:
            values = buffer[low : high + 1].reshape(len(steps), -1)
            return values if low == steps[0] else values[::-1]
    return stacked([nodes[ids[t]].value for t in steps], 1)[:, 0]


def _share_above(values: Array, bound: float) -> Floats:
    return np.asarray((values * values > bound).sum(axis=1) / values.shape[1])
