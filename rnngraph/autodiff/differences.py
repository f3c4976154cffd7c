"""Central differences: the slope of a function along a line, and how far it can be trusted.

In: a function of one number and the slope that is claimed. Out: a `Comparison`. It knows nothing of tapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnngraph.autodiff.contribution import Array

# The first step is the most precise on a smooth function (the formula's error is of fourth order). The smaller
# ones are for kinks, which are crossed less often the shorter the step, and for steep losses.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
ROUNDING = 50  # rounding errors of one value of the function, in units of its last place


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claimed slope and a measured one.

    `resolved` is False where rounding or steepness leaves the measured slope too uncertain to refute the claim.
    """

    analytic: float
    numeric: float
    relative_error: float
    passed: bool
    resolved: bool
    kinked: bool = False  # the function has a kink at the point itself


@dataclass(frozen=True, slots=True)
class _Estimate:
    slope: float
    noise: float


def compare(
    function: Callable[[float], float], gradient: Array, direction: Array, *, tolerance: float, epsilon: float
) -> Comparison:
    """Compare `gradient · direction` with the slope of `function` at 0, a relative step of 1 being all of `direction`.

    Args:
        function: the value at `point + offset * direction`.
        gradient: the claimed gradient at the point, of the direction's shape.
        direction: about as long as the point itself.
        tolerance: the relative error that passes. It is relative to the larger slope, or to the slope that a
            random direction would typically have where this one happens to be nearly level.
        epsilon: the rounding unit in which the function computes.

    Returns:
        the comparison; its slopes are those along the direction scaled to length 1.
    """
    products = gradient.astype(np.float64) * direction
    claimed, typical = float(products.sum()), float(np.sqrt((products * products).sum()))
    estimates: list[_Estimate] = []
    for step in STEPS:
        estimate = _estimate(function, step, epsilon)
        if not np.isfinite(estimate.slope):
            continue
        estimates.append(estimate)
        allowed = tolerance * max(abs(claimed), abs(estimate.slope), typical)
        if abs(claimed - estimate.slope) <= allowed and (
            estimate.noise <= allowed or claimed == estimate.slope
        ):
            return _comparison(claimed, estimate.slope, typical, direction, passed=True, resolved=True)
    if len(estimates) < 2:
        slope = estimates[0].slope if estimates else np.nan
        return _comparison(claimed, slope, typical, direction, passed=True, resolved=False)
    slope, doubt = _most_certain(estimates)
    allowed, gap = tolerance * max(abs(claimed), abs(slope), typical), abs(claimed - slope)
    resolved = doubt <= allowed or 3 * doubt < gap
    passed = not resolved or gap <= allowed
    kinked = not passed and _has_kink(function, slope, allowed, epsilon)
    return _comparison(claimed, slope, typical, direction, passed=passed, resolved=resolved, kinked=kinked)


def _estimate(function: Callable[[float], float], step: float, epsilon: float) -> _Estimate:
    near = function(step), function(-step)
    far = function(2 * step), function(-2 * step)
    slope = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * step)
    largest = max(abs(value) for value in (*near, *far))
    return _Estimate(slope, ROUNDING * epsilon * largest / step)


def _most_certain(estimates: list[_Estimate]) -> tuple[float, float]:
    """Choose the estimate that differs least from that of the next larger step, and say by how much."""
    doubts = [
        abs(larger.slope - smaller.slope) + larger.noise + smaller.noise
        for larger, smaller in pairwise(estimates)
    ]
    best = int(np.argmin(doubts))
    return estimates[best + 1].slope, doubts[best]


def _has_kink(function: Callable[[float], float], slope: float, allowed: float, epsilon: float) -> bool:
    """Tell a kink: the slopes of the two sides then differ however short the step is."""
    middle = function(0.0)
    bends = [abs(function(step) + function(-step) - 2 * middle) / step for step in STEPS[-2:]]
    noise = ROUNDING * epsilon * abs(middle) / STEPS[-1]
    return min(bends) > allowed + noise and min(bends) > 0.5 * max(bends)


def _comparison(
    claimed: float,
    slope: float,
    typical: float,
    direction: Array,
    *,
    passed: bool,
    resolved: bool,
    kinked: bool = False,
) -> Comparison:
    length = float(np.sqrt((direction * direction).sum())) or 1.0
    largest = max(abs(claimed), abs(slope), typical)
    error = abs(claimed - slope) / largest if largest else 0.0
    return Comparison(claimed / length, slope / length, error, passed, resolved, kinked)
