"""Which factor of a step takes the gradient: the activation's derivative, the recurrent weight, or the keeping gate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.layer import Layer
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status


def cause(layer: Layer, decades: float) -> str:
    """Say which factor of a step is responsible for what is left, in decades: activation, weights or gate."""
    if layer.cell.keeps:
        scales = layer.gate_timescales()
        if not scales.size:
            return "gate or weights"
        with np.errstate(under="ignore"):
            kept = np.sqrt(np.mean(np.exp(-2 * layer.horizon / scales)))
        # The gate is the cause where it alone explains at least half of the decades that were lost.
        lost = float(np.log10(kept)) if kept > 0 else -math.inf
        return "gate" if lost <= decades / 2 else "weights"
    if layer.cell.switches_off and decades == -math.inf != layer.weights:
        return "activation"
    return "activation" if activation_share(layer) >= 0.5 else "weights"


def lost_once(layer: Layer, decades: float, reach: int | None) -> tuple[int, float] | None:
    """Find the one step back that alone takes half of what is lost or more: its timestep, and the decades it keeps.

    Such as one at which a gate shuts. None where the pace of all steps takes half of what ends the reach, or there is
    no such step or more than one.
    """
    if layer.rate * max(reach or 0, 1) / LN10 <= math.log10(layer.limits.epsilon) / 2:
        return None
    count = layer.recurrence.timesteps  # beside a longer one, columns go on to the end of that
    carried = _joined([state.carried for state in layer.states])[:count]
    given = _joined([state.grad for state in layer.states])[:count]
    steps = np.arange(len(given))[:: -1 if layer.credit.reverse else 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.log10(carried[steps[:-1]] / given[steps[1:]])  # over the step into every one but the first
    takes = np.flatnonzero((kept <= decades / 2) & ~layer.recurrence.cut[steps[1:]])
    return (int(steps[takes[0] + 1]), float(kept[takes[0]])) if takes.size == 1 else None


def _joined(parts: Sequence[Magnitudes]) -> Floats:
    """Give the norm over all states, (T,); NaN where one is no number, or too small for one."""
    known = [np.where(part.status <= Status.ZERO, part.value, np.nan) for part in parts]
    return np.asarray(np.hypot.reduce(known))


def is_flat(layer: Layer) -> bool:
    """Tell whether flat activations are what takes the gradient."""
    share, limits = activation_share(layer), layer.limits
    if not layer.cell.switches_off and layer.saturated >= limits.saturated and not share < limits.activation_share:
        return True
    return share >= limits.activation_share and math.exp(layer.activation) < limits.activation_gain


def activation_share(layer: Layer) -> float:
    """Compute which share of the loss per step the activation's derivative takes; NaN where it is not known."""
    taken = layer.activation + min(layer.weights, 0.0)
    return layer.activation / taken if taken < 0 else float("nan")


def dead_share(layer: Layer) -> float:
    """Compute the share of steps at which no unit lets a gradient through; 0 for smooth cells."""
    saturated = layer.states[0].saturated[np.flatnonzero(layer.recurrence.valid.any(axis=0))]
    if layer.cell.switches_off:
        return float(np.mean(saturated == 1)) if saturated.size else 0.0
    return _share_of_zeros(layer) if np.isnan(saturated).all() else 0.0


def _share_of_zeros(layer: Layer) -> float:
    """Compute the share of steps back over which every gradient becomes zero for good."""
    credit = layer.credit
    felt = credit.log > -np.inf
    before = np.logical_or.accumulate(felt, axis=2)  # here, or at any earlier step
    came = felt[:, :, 1:] & ~credit.severed[:, None, 1:]
    seen = came & ~np.isnan(credit.log[:, :, :-1])
    observed = seen.any(axis=1)
    dead = observed & ~(seen & before[:, :, :-1]).any(axis=1)
    # Of one step alone it is not known whether it is the rule.
    return float(dead.sum() / observed.sum()) if observed.any(axis=0).sum() > 1 else 0.0
