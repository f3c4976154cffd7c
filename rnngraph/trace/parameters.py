"""Measure a parameter's gradient: the norm of every timestep's contribution, of their sum, and the cancellation.

The contributions stay factored; a step's norm comes from the factors, and the sum over time is one matrix product.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array, BatchSum, Contribution, Outer, Scatter, add_up, join
from rnngraph.autodiff.tape import Node
from rnngraph.trace.model import Floats, Magnitudes, ParameterTrace, Status
from rnngraph.trace.norms import norm, outer_norms, row_norms

# One timestep's part, or one part that keeps `time` timesteps apart.
Part = tuple[list[int], Contribution]


def measure_parameter(node: Node, step: Step | None, time: int, *, walked: bool = True) -> ParameterTrace:
    """Measure what reached a parameter; `step` is None where nothing did."""
    name, shape, size = str(node.name), node.value.shape, norm(node.value)
    if not walked:
        nothing = Magnitudes.unobserved()
        return ParameterTrace(name, shape, nothing, Magnitudes.unobserved((time,)), np.nan, size, np.nan, np.nan)
    if step is None:
        return ParameterTrace(name, shape, Magnitudes.of(0.0), Magnitudes.of(np.zeros(time)), np.nan, size, np.nan, np.nan)
    parts = _parts(step)
    total = norm(add_up([contribution for _, contribution in parts], node.value, ()))
    steps = _step_magnitudes(parts, node, time)
    known = steps.status == Status.OK
    length = float(steps.value[known].sum())
    cancellation = min(total / length, 1.0) if length > 0 and np.isfinite(total) else np.nan
    return ParameterTrace(name, shape, Magnitudes.of(total), steps, cancellation, size, np.nan, np.nan)


def _parts(step: Step) -> list[Part]:
    pairs = list(zip(step.consumers, step.contributions, strict=True))
    single = [consumer for consumer, one in pairs if isinstance(one, Outer) and one.left.ndim == 2]
    joined = join(step.contributions)
    if len(joined) == len(pairs):
        return [(_timesteps(consumer, one), one) for consumer, one in pairs]
    others = [(consumer, one) for consumer, one in pairs if not (isinstance(one, Outer) and one.left.ndim == 2)]
    together = [consumer.timestep if consumer else -1 for consumer in single]
    return [*((_timesteps(consumer, one), one) for consumer, one in others), (together, joined[-1])]


def _timesteps(consumer: Node | None, contribution: Contribution) -> list[int]:
    if consumer is not None and consumer.timestep >= 0:
        return [consumer.timestep]
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
        np.add.at(counts, steps, 1)
    norms = np.zeros(time)
    underflow = np.zeros(time, bool)
    for steps, part in parts:
        norms[steps] = _norms(part, node)
        if isinstance(part, Outer) and part.left.ndim == 3:
            lost = (norms[steps] == 0) & part.left.any(axis=(1, 2)) & part.right.any(axis=(1, 2))
            underflow[steps] = lost
    for t in np.flatnonzero(counts > 1):  # used more than once in a step: the norm is that of the sum
        found = [_at(part, place) for steps, part in parts for place, one in enumerate(steps) if one == t]
        norms[t] = norm(add_up(found, node.value, ()))
    magnitudes = Magnitudes.of(norms)
    magnitudes.status[underflow & (magnitudes.status == Status.ZERO)] = Status.UNDERFLOW
    return magnitudes


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
