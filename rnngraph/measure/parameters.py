"""Measure a parameter's gradient: the norm of every timestep's contribution, of their sum, and the cancellation.

The contributions stay factored; a step's norm comes from the factors, and the sum over time is one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array, BatchSum, Contribution, Outer, Scatter, add_up
from rnngraph.autodiff.node import Node
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status
from rnngraph.trace.model import ParameterTrace
from rnngraph.measure.norms import norm, outer_norms, outer_series, row_norms

# One timestep's part, or one part that keeps `time` timesteps apart.
Part = tuple[list[int], Contribution]
# The timesteps, and the left and right factors of each; a sequence of matrices or one array of them.
Series = tuple[list[int], Sequence[Array] | Array, Sequence[Array] | Array]


def measure_parameter(node: Node, step: Step | None, time: int, *, walked: bool = True) -> ParameterTrace:
    """Measure what reached a parameter; `step` is None where nothing did."""
    name, shape, size = str(node.name), node.value.shape, norm(node.value)
    if not walked:
        nothing = Magnitudes.unobserved()
        return ParameterTrace(name, shape, nothing, Magnitudes.unobserved((time,)), np.nan, size, np.nan, np.nan)
    if step is None:
        return ParameterTrace(
            name, shape, Magnitudes.of(0.0), Magnitudes.of(np.zeros(time)), np.nan, size, np.nan, np.nan
        )
    series = _series(step, time)
    if series is not None:
        times, lefts, rights = series
        value, found = outer_series(lefts, rights)
        norms = np.zeros(time)
        norms[times] = found
        steps = Magnitudes.of(norms)
        for place in np.flatnonzero(found == 0).tolist():
            if np.any(lefts[place]) and np.any(rights[place]):
                steps.status[times[place]] = Status.UNDERFLOW
        total = norm(value)
    else:
        total = norm(step.gradient)
        pairs = zip(step.consumers, step.contributions, strict=True)
        steps = _step_magnitudes([(_timesteps(consumer, one), one) for consumer, one in pairs], node, time)
    if not _all_in_time(step, series is not None, time):  # such as a penalty on the weight: no timestep's share
        return ParameterTrace(name, shape, Magnitudes.of(total), steps, np.nan, size, np.nan, np.nan)
    length = float(steps.value[steps.status == Status.OK].sum())
    cancellation = min(total / length, 1.0) if length > 0 and np.isfinite(total) else np.nan
    return ParameterTrace(name, shape, Magnitudes.of(total), steps, cancellation, size, np.nan, np.nan)


def _series(step: Step, time: int) -> Series | None:
    """Take factors step by step where every timestep has one outer product at most: the usual weight."""
    parts = step.contributions
    if not all(type(part) is Outer for part in parts):
        return None
    only = parts[0]
    if len(parts) == 1 and isinstance(only, Outer) and only.left.ndim == 3:
        return (list(range(time)), only.left, only.right) if len(only.left) == time else None
    times = [-1 if consumer is None else consumer.timestep for consumer in step.consumers]
    factors = [(part.left, part.right) for part in parts if isinstance(part, Outer)]
    usual = len(set(times)) == len(times) and min(times) >= 0 and max(times) < time
    if not usual or len({left.shape for left, _ in factors}) > 1 or factors[0][0].ndim != 2:
        return None
    lefts, rights = zip(*factors, strict=True)
    return times, lefts, rights


def _all_in_time(step: Step, usual: bool, time: int) -> bool:
    if usual:
        return True
    pairs = zip(step.consumers, step.contributions, strict=True)
    return all(min(steps) > -1 and max(steps) < time for steps in (_timesteps(*pair) for pair in pairs))


def _timesteps(consumer: Node | None, contribution: Contribution) -> list[int]:
    if consumer is not None and consumer.timestep >= 0:
        return [consumer.timestep]
    if isinstance(contribution, np.ndarray):
        return [-1]
    count = 0
    if isinstance(contribution, Outer) and contribution.right.ndim == 3:
        count = len(contribution.right)
    elif isinstance(contribution, BatchSum) and contribution.rows.ndim == 3:
        count = len(contribution.rows)
    elif isinstance(contribution, Scatter) and contribution.rows.ndim == 3 and len(contribution.index) == 1:
        count = contribution.rows.shape[1]
    return list(range(count)) if count else [-1]


def _step_magnitudes(parts: list[Part], node: Node, time: int) -> Magnitudes:
    parts = [(steps, part) for steps, part in parts if -1 not in steps and max(steps) < time]
    if not parts:
        return Magnitudes.unobserved((time,))
    counts = np.zeros(time, dtype=np.int64)
    for steps, _ in parts:
        counts += np.bincount(steps, minlength=time)
    norms = np.zeros(time)
    for steps, part in parts:
        found = _norms(part, node)
        # One step's factors may have an axis of their own, such as heads; then its parts add up.
        norms[steps] = found if len(found) == len(steps) else norm(add_up([part], node.value, ()))
    for t in np.flatnonzero(counts > 1):  # used more than once in a step: the norm is that of the sum
        here = [
            _at(part, place) if len(steps) > 1 else part
            for steps, part in parts
            for place, one in enumerate(steps)
            if one == t
        ]
        norms[t] = norm(add_up(here, node.value, ()))
    return Magnitudes.of(norms)


def _norms(part: Contribution, node: Node) -> Floats:
    if isinstance(part, Outer):
        left, right = (side if side.ndim == 3 else side[None] for side in (part.left, part.right))
        return outer_norms(left, right)
    if isinstance(part, BatchSum):
        rows = part.rows if part.rows.ndim == 3 else part.rows[None]
        return row_norms(rows.sum(axis=1))
    if isinstance(part, Scatter) and part.rows.ndim == 3 and len(part.index) == 1:
        return _scatter_norms(part.index[0], part.rows)
    return np.array([norm(add_up([part], node.value, ()))])


def _scatter_norms(tokens: Array, rows: Array) -> Floats:
    # Rows of one token in one step add up before the norm is taken: the Gram form with "same token" as the left factor.
    norms = np.empty(rows.shape[1])
    for t in range(rows.shape[1]):
        _, inverse = np.unique(tokens[:, t], return_inverse=True)
        summed = np.zeros((int(inverse.max()) + 1, rows.shape[2]), dtype=np.float64)
        np.add.at(summed, inverse, rows[:, t])
        norms[t] = norm(summed)
    return norms


def _at(part: Contribution, position: int) -> Contribution:
    """Take one timestep out of a part."""
    if isinstance(part, Outer) and part.left.ndim == 3:
        return Outer(part.left[position], part.right[position])
    if isinstance(part, BatchSum) and part.rows.ndim == 3:
        return BatchSum(part.rows[position])
    if isinstance(part, Scatter) and part.rows.ndim == 3:
        return Scatter((part.index[0][:, position],), part.rows[:, position])
    return part
