"""One slope along one direction: what is claimed, held to central differences that know how far they can be trusted.

In: a subject, an argument and a direction. Out: a `Comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from rnngraph.autodiff.check.subject import TOLERANCES, Subject
from rnngraph.autodiff.contribution import Array

# The first step is the most precise on a smooth function (the formula's error is of fourth order); smaller ones are for
# kinks, which are crossed less often the shorter the step, and for steep functions.
STEPS, SHORT = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7), (1e-6,)
COARSE_STEPS, COARSE_SHORT = (4e-2, 2e-2, 1e-2, 4e-3, 2e-3), (4e-3, 2e-2)  # where the outputs round coarsely
CONVERGED = 0.02  # by how much two slopes of one function may differ
ROUNDING, MEASURED = 50, 4  # of a value: in units of its last place, or in standard deviations where they are measured
_SMALL = 1_000_000  # bytes of outputs that are kept, at some forty points of a line
KEPT = 0.5  # the least share of the upstream gradient that is left where outputs with kinks are


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claimed slope and a measured one, along a direction of length 1.

    `resolved` is False where nothing can be told, by rounding, steepness, kinks, or values that are not finite.
    """

    analytic: float
    numeric: float
    relative_error: float
    passed: bool
    resolved: bool
    kinked: bool = False  # there is a kink at the point, or within the shortest step
    rough: bool = False  # nothing can be told, because steps of several lengths disagree by more than rounding


@dataclass(slots=True)
class Line:
    """The outputs along one direction, each looked at once where they are small."""

    subject: Subject
    place: int
    direction: Array
    tolerance: float
    rounding: float | None = None  # of one weighted sum, where it was measured
    known: dict[float, list[Array]] = field(default_factory=dict)

    def at(self, offset: float) -> list[Array]:
        """Give the outputs."""
        found = self.known.get(offset) or self.subject.moved(self.place, self.direction, offset)
        if sum(one.nbytes for one in found) < _SMALL:
            self.known[offset] = found
        return found

    def estimate(self, upstream: Sequence[Array], step: float) -> tuple[float, float, float]:
        """Give a slope, how far rounding may put it off, and how far the slopes over one and two steps differ."""
        behind2, behind, ahead, ahead2 = (self.at(k * step) for k in (-2, -1, 1, 2))
        near, far = weigh(upstream, ahead, behind), weigh(upstream, ahead2, behind2)
        if self.rounding is not None:
            noise = MEASURED * self.rounding
        else:
            sums = [abs(weigh(upstream, one)) for one in (ahead2, behind2)]
            noise = ROUNDING * self.subject.epsilon * max(sums)
        return (8 * near - far) / (12 * step), noise / step, abs(near / 2 - far / 4) / step

    def compare(self, upstream: Sequence[Array], gradient: Array, steps: Sequence[float]) -> Comparison:
        """Compare a gradient with the slopes over several steps."""
        products = gradient.astype(np.float64) * self.direction
        claimed, typical = float(products.sum()), float(np.sqrt((products * products).sum()))
        found = []
        for step in steps:
            slope, noise, bend = self.estimate(upstream, step)
            if not np.isfinite(claimed):
                return self._told(claimed, slope, np.inf, passed=False, resolved=True)
            if not np.isfinite(slope):
                continue
            found.append((slope, noise, bend))
            allowed = self.tolerance * max(abs(claimed), abs(slope), typical)
            if abs(claimed - slope) <= allowed and (noise <= allowed or claimed == slope):
                return self._told(claimed, slope, typical, passed=True, resolved=True)
        pairs = [
            (smaller[0], abs(larger[0] - smaller[0]) + larger[1] + smaller[1])
            for larger, smaller in pairwise(found)
            if max(abs(larger[0] - smaller[0]), larger[2], smaller[2])
            <= CONVERGED * abs(smaller[0]) + larger[1] + smaller[1]
        ]
        if not pairs:  # so steep that every step gives another slope, or nothing finite
            slope = found[-1][0] if found else np.nan
            return self._told(claimed, slope, typical, passed=bool(found), resolved=False, rough=True)
        slope, doubt = min(pairs, key=lambda one: one[1])
        rough = False
        if self.rounding is not None:  # over such long steps two slopes can agree by chance
            spread = max(abs(one[0] - slope) - one[1] for one in found)
            rough, doubt = spread > doubt, max(doubt, spread)
        allowed, gap = self.tolerance * max(abs(claimed), abs(slope), typical), abs(claimed - slope)
        resolved = doubt <= allowed or 3 * doubt < gap
        if not resolved:
            small, level = self.tolerance * self._size(), self.tolerance * self._level()
            if gap + doubt <= small or (abs(claimed) <= small and abs(slope) + doubt <= level):  # both are nothing
                return self._told(claimed, slope, small / self.tolerance, passed=True, resolved=True)
        return self._told(
            claimed,
            slope,
            typical,
            passed=not resolved or gap <= allowed,
            resolved=resolved,
            rough=rough and not resolved,
        )

    def _told(
        self, claimed: float, slope: float, typical: float, *, passed: bool, resolved: bool, rough: bool = False
    ) -> Comparison:
        length = float(np.sqrt((self.direction * self.direction).sum())) or 1.0
        largest = max(abs(claimed), abs(slope), typical)
        error = abs(claimed - slope) / largest if 0 < largest < np.inf else 0.0 if not largest else np.inf
        return Comparison(claimed / length, slope / length, error, passed, resolved, rough=rough)

    def _size(self) -> float:
        """Say how much the outputs differ among each other, and when the argument is another one."""
        here = [output.astype(np.float64) for output in self.subject.outputs]
        apart = [
            [one - other for one, other in zip(here, self.at(1.0), strict=True)],
            [one - one.mean() for one in here],
        ]
        found = [
            sum(float(((u * d) ** 2).sum()) for u, d in zip(self.subject.upstream, some, strict=True)) for some in apart
        ]
        return float(np.sqrt(np.nanmax([*found, 0.0])))

    def _level(self) -> float:
        """Give the size of outputs that are scalars; a loss at its optimum hardly differs beside the point."""
        pairs = zip(self.subject.upstream, self.subject.outputs, strict=True)
        return float(sum(abs(float((u * out).sum())) for u, out in pairs if out.size == 1))

    def straight(self, step: float) -> list[Array]:
        """Tell which elements of the outputs have no kink within two steps: third differences vanish."""
        found = []
        for values in zip(*(self.at(k * step) for k in (-2, -1, 0, 1, 2)), strict=True):
            third = np.abs(np.diff(np.array(values), 3, axis=0)).max(axis=0)
            found.append(np.asarray(third <= 16 * self.subject.epsilon * np.abs(values[2]).max(initial=0.0)))
        return found


def change(subject: Subject, place: int, direction: Array, step: float) -> list[Array]:
    """Give how the outputs change along a direction, of fourth order."""
    runs = zip(*(subject.moved(place, direction, k * step) for k in (-2, -1, 1, 2)), strict=True)
    return [(8 * (ahead - behind) - (ahead2 - behind2)) / (12 * step) for behind2, behind, ahead, ahead2 in runs]


def weigh(upstream: Sequence[Array], outputs: Sequence[Array], less: Sequence[Array] | None = None) -> float:
    """Sum outputs, or their differences, by an upstream gradient."""
    others = [0.0] * len(outputs) if less is None else less
    return float(sum(float((u * (one - other)).sum()) for u, one, other in zip(upstream, outputs, others, strict=True)))


def compare(subject: Subject, place: int, direction: Array, *, tolerance: float | None = None) -> Comparison:
    """Compare along one direction; where outputs have kinks there, again without an upstream gradient at those."""
    coarse = subject.dtype != "float64"
    gradient = subject.claimed[place]
    assert gradient is not None
    line = Line(subject, place, direction, TOLERANCES[subject.dtype] if tolerance is None else tolerance)
    if coarse:
        line.rounding = _measured(line)
    plain = line.compare(subject.upstream, gradient, COARSE_STEPS if coarse else STEPS)
    if (plain.passed and plain.resolved) or not np.isfinite(gradient).all():
        return plain
    if subject.narrow is None and not coarse and _is_noisy(line):
        subject.narrow = True
        return compare(subject, place, direction, tolerance=tolerance)
    total, kinked, bend = weigh(subject.upstream, subject.upstream), False, np.inf
    for step in COARSE_SHORT if coarse else SHORT:
        masks = line.straight(step)
        upstream = [np.where(mask, u, 0.0) for mask, u in zip(masks, subject.upstream, strict=True)]
        kept = weigh(upstream, upstream) / total if total else 1.0
        kinked = kinked or kept < 1
        bends = [
            np.abs(a + b - 2 * c) / step for a, b, c in zip(line.at(step), line.at(-step), line.at(0.0), strict=True)
        ]
        bend = min(bend, weigh([np.abs(u) for u in subject.upstream], bends))
        if KEPT <= kept < 1:
            again = subject.gradients(subject.points, upstream)[place]
            assert again is not None
            found = line.compare(upstream, again, (step, step / 2) if coarse else STEPS)
            if found.resolved:
                return replace(found, kinked=True)
    length = float(np.sqrt((direction * direction).sum()))
    if coarse and kinked and abs(plain.analytic - plain.numeric) * length <= 3 * bend:  # a kink turns all slopes alike
        return replace(plain, passed=True, resolved=False, kinked=True, rough=True)
    return replace(plain, kinked=kinked)


def _measured(line: Line) -> float:
    """Measure the standard deviation of a weighted sum by rounding: what is left of values close to each other."""
    return max(_jitter(line, 2e-5), 0.3 * line.subject.epsilon * _length(line))


def _jitter(line: Line, apart: float) -> float:
    values = np.array([weigh(line.subject.upstream, line.at((place - 4) * apart)) for place in range(8)])
    return float(np.sqrt(np.mean(np.diff(values, 3) ** 2) / 20))  # 20 = 1 + 9 + 9 + 1


def _length(line: Line) -> float:
    pairs = zip(line.subject.upstream, line.subject.outputs, strict=True)
    return float(np.sqrt(sum(float(((u * out.astype(np.float64)) ** 2).sum()) for u, out in pairs)))


def _is_noisy(line: Line) -> bool:
    """Tell float32 on the way to outputs in float64: values jitter by as much, however close they are to each other."""
    near, far = _jitter(line, 2e-6), _jitter(line, 2e-5)
    return max(0.3 * far, 1e-10 * _length(line)) < near < 1e-4 * _length(line)  # more is chaos
