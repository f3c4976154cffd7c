"""Measure a parameter's gradient: the norm of every timestep's contribution, of their sum, and the cancellation.

In: the `Step` that reached a parameter. Out: a `ParameterTrace`. Contributions stay factored; a step's norm comes from
the factors, and the sum over time is one matrix product.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array, BatchSum, Contribution, Outer, Summed, add_up
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.outer_norms import outer_norms
from rnngraph.autodiff.scattered import Scatter
from rnngraph.measure.parameter_trace import parameter_trace, weight_spectrum
from rnngraph.norms import norm, row_norms
from rnngraph.trace.magnitudes import Booleans, Floats, Magnitudes, Status, lengthened
from rnngraph.trace.model import ParameterTrace

# One timestep's part, or one part that keeps its timesteps apart.
Part = tuple[list[int], Contribution]


def measure_parameter(
    node: Node,
    step: Step | None,
    time: int,
    *,
    total: float,
    walked: bool,
    eigenvalues: int,
    lost: Booleans | None = None,
) -> ParameterTrace:
    """Measure what reached a parameter.

    Args:
        node: the parameter.
        step: what reached it; None where nothing did.
        time: the number of timesteps of the trace.
        total: the norm of its gradient.
        walked: whether there were gradients at all.
        eigenvalues: rows up to which its eigenvalues are computed, 0 for none.
        lost: (T,) the timesteps at which a zero is an underflow; None where there is none.
    """
    timed, grad = True, Magnitudes.of(total) if walked else Magnitudes.unobserved()
    if not walked:
        steps = Magnitudes.unobserved((time,))
    elif step is None:
        steps = Magnitudes.of(np.zeros(time))
    else:
        steps, timed = _measured(node, step, time)
    if lost is not None and walked:
        here = np.zeros(time, bool)
        here[: len(lost)] = lost[:time]
        steps.status[(steps.status == Status.ZERO) & here] = Status.UNDERFLOW
        if grad.status == Status.ZERO and (steps.status == Status.UNDERFLOW).any():
            grad.status[...] = Status.UNDERFLOW
    spectrum = weight_spectrum(node.value, eigenvalues)
    return parameter_trace(str(node.name), node.value, grad, steps, spectrum=spectrum, timed=timed)


def _measured(node: Node, step: Step, time: int) -> tuple[Magnitudes, bool]:
    """Give the norms of the timesteps' parts, and whether there is no other part."""
    only = step.contributions[0]
    if len(step.contributions) == 1 and isinstance(only, Summed) and len(only.steps) <= time:
        steps = Magnitudes.of(lengthened(only.steps, time, 0))
        if only.lost is not None:
            steps.status[: len(only.steps)][only.lost] = Status.UNDERFLOW
        return steps, True
    parts: list[Part] = []
    for consumer, part in zip(step.consumers, step.contributions, strict=True):
        own = -1 if consumer is None else consumer.timestep
        times = [own] if own >= 0 else list(range(_steps_apart(part)))
        if times and max(times) < time:
            parts.append((times, part))
    steps = _step_magnitudes(parts, node, time) if parts else Magnitudes.unobserved((time,))
    return steps, len(parts) == len(step.contributions)


def _steps_apart(part: Contribution) -> int:
    """Give how many timesteps a part keeps apart; 0 where they are one."""
    if isinstance(part, Summed):
        return len(part.steps)
    if isinstance(part, Outer) and part.right.ndim == 3:
        return len(part.right)
    if isinstance(part, BatchSum) and part.rows.ndim == 3:
        return len(part.rows)
    if isinstance(part, Scatter) and part.rows.ndim == 3 and len(part.index) == 1:
        return int(part.rows.shape[1])
    return 0


def _step_magnitudes(parts: list[Part], node: Node, time: int) -> Magnitudes:
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
    if isinstance(part, Summed):
        return part.steps
    if isinstance(part, Outer):
        left, right = (side if side.ndim == 3 else side[None] for side in (part.left, part.right))
        return outer_norms(left, right)
    if isinstance(part, BatchSum):
        rows = part.rows if part.rows.ndim == 3 else part.rows[None]
        return row_norms(rows.sum(axis=1))
    if isinstance(part, Scatter) and _steps_apart(part):
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
