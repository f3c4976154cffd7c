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
COARSE = 1e-10  # a rounding unit above this, float32's or float16's, drowns the slope over such steps
COARSE_STEPS = (4e-2, 2e-2, 1e-2, 4e-3, 2e-3)
CONVERGED = 0.02  # by how much two slopes of one function may differ
ROUNDING = 50  # rounding errors of one value of the function, in units of its last place, where they are not measured
DEVIATIONS = 4  # by how many standard deviations a slope may be off, where they are


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claimed slope and a measured one.

    `resolved` is False where nothing can be told: rounding or steepness leaves the measured slope too uncertain to
    refute the claim, which then passes on the word of whoever vouches for it; or the function is not finite there, and
    it does not pass. A claim that is not finite is wrong.
    """

    analytic: float
    numeric: float
    relative_error: float
    passed: bool
    resolved: bool
    kinked: bool = False  # the function has a kink at the point itself
    rough: bool = False  # nothing can be told, because steps of several lengths disagree by more than rounding


@dataclass(frozen=True, slots=True)
class _Estimate:
    slope: float
    noise: float
    bend: float  # how far the slopes over one and two steps differ


def compare(
    function: Callable[[float], float],
    gradient: Array,
    direction: Array,
    *,
    tolerance: float,
    epsilon: float,
    steps: tuple[float, ...] | None = None,
    rounding: float | None = None,
    negligible: float = 0.0,
    level: float = 0.0,
) -> Comparison:
    """Compare `gradient · direction` with the slope of `function` at 0, a relative step of 1 being all of `direction`.

    Args:
        function: the value at `point + offset * direction`.
        gradient: the claimed gradient at the point, of the direction's shape.
        direction: about as long as the point itself.
        tolerance: the relative error that passes. It is relative to the larger slope, or to the slope that a
            random direction would typically have where this one happens to be nearly level.
        epsilon: the rounding unit in which the function computes.
        steps: lengths of steps, from the longest; chosen by `epsilon` if not given.
        rounding: the standard deviation of one value of the function by rounding, where it was measured.
        negligible: by how much two slopes may differ, with all doubt, whatever their relative error, where that error
            cannot be told: a slope that is zero to rounding.
        level: how large a slope, with all doubt, may be where a negligible one is claimed and nothing can be told.

    Returns:
        the comparison; its slopes are those along the direction scaled to length 1.
    """
    if not np.isfinite(gradient).all():
        return _not_finite(function, gradient, direction, epsilon)
    products = gradient.astype(np.float64) * direction
    claimed, typical = float(products.sum()), float(np.sqrt((products * products).sum()))
    estimates: list[_Estimate] = []
    for step in steps or _steps(epsilon):
        estimate = _estimate(function, step, epsilon, rounding)
        if not np.isfinite(estimate.slope):
            continue
        estimates.append(estimate)
        allowed = tolerance * max(abs(claimed), abs(estimate.slope), typical)
        if abs(claimed - estimate.slope) <= allowed and (estimate.noise <= allowed or claimed == estimate.slope):
            return _comparison(claimed, estimate.slope, typical, direction, passed=True, resolved=True)
    best = _most_certain(estimates)
    if best is None:
        slope = estimates[-1].slope if estimates else np.nan
        return _comparison(claimed, slope, typical, direction, passed=bool(estimates), resolved=False, rough=True)
    slope, doubt = best
    spread = 0.0
    if epsilon >= COARSE:  # over such long steps many kinks are crossed, and two slopes can agree by chance
        spread = max(abs(one.slope - slope) - (0.0 if rounding is None else one.noise) for one in estimates)
    rough, doubt = spread > doubt, max(doubt, spread)
    allowed, gap = tolerance * max(abs(claimed), abs(slope), typical), abs(claimed - slope)
    resolved = doubt <= allowed or 3 * doubt < gap
    vanishes = abs(claimed) <= negligible and abs(slope) + doubt <= level
    if not resolved and (vanishes or gap + doubt <= negligible):
        return _comparison(claimed, slope, negligible / tolerance, direction, passed=True, resolved=True)
    passed = not resolved or gap <= allowed
    kinked = not passed and _has_kink(function, allowed, epsilon)
    rough = rough and not resolved
    return _comparison(claimed, slope, typical, direction, passed=passed, resolved=resolved, kinked=kinked, rough=rough)


def _not_finite(function: Callable[[float], float], gradient: Array, direction: Array, epsilon: float) -> Comparison:
    slope = _estimate(function, _steps(epsilon)[0], epsilon).slope
    length = float(np.sqrt((direction * direction).sum())) or 1.0
    wrong = float(gradient[~np.isfinite(gradient)][0])
    return Comparison(wrong, slope / length, np.inf, passed=False, resolved=True)


def _steps(epsilon: float) -> tuple[float, ...]:
    return STEPS if epsilon < COARSE else COARSE_STEPS


def _estimate(
    function: Callable[[float], float], step: float, epsilon: float, rounding: float | None = None
) -> _Estimate:
    near = function(step) - function(-step)
    ahead, behind = function(2 * step), function(-2 * step)
    far = ahead - behind
    one = ROUNDING * epsilon * max(abs(ahead), abs(behind)) if rounding is None else DEVIATIONS * rounding
    noise = one / step
    return _Estimate((8 * near - far) / (12 * step), noise, abs(near / 2 - far / 4) / step)


def _most_certain(estimates: list[_Estimate]) -> tuple[float, float] | None:
    """Choose the slope that shorter steps confirm best, and say how far it is in doubt; None where none does.

    Where a loss is so steep that it turns within the shortest step, every step gives another slope.
    """
    found = []
    for larger, smaller in pairwise(estimates):
        noise, change = larger.noise + smaller.noise, abs(larger.slope - smaller.slope)
        if max(change, larger.bend, smaller.bend) <= CONVERGED * abs(smaller.slope) + noise:
            found.append((smaller.slope, change + noise))
    return min(found, key=lambda one: one[1], default=None)


def _has_kink(function: Callable[[float], float], allowed: float, epsilon: float) -> bool:
    """Tell a kink: the slopes of the two sides then differ however short the step is."""
    middle = function(0.0)
    steps = _steps(epsilon)[-2:]
    bends = [abs(function(step) + function(-step) - 2 * middle) / step for step in steps]
    noise = ROUNDING * epsilon * abs(middle) / steps[-1]
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
    rough: bool = False,
) -> Comparison:
    length = float(np.sqrt((direction * direction).sum())) or 1.0
    largest = max(abs(claimed), abs(slope), typical)
    error = abs(claimed - slope) / largest if largest else 0.0
    return Comparison(claimed / length, slope / length, error, passed, resolved, kinked, rough)
