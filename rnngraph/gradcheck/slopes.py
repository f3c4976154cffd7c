"""One slope along one direction: what is claimed, held to central differences that know how far they can be trusted.

In: a subject, an argument and a direction. Out: a row of a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.subject import Subject, weigh

# The first step is the most precise on a smooth function (the formula's error is of fourth order); smaller ones are for
# kinks, which are crossed less often the shorter the step, and for steep functions. SHORT ones look for kinks.
STEPS, SHORT = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7), (1e-6,)
COARSE_STEPS, COARSE_SHORT = (4e-2, 2e-2, 1e-2, 4e-3, 2e-3), (4e-3, 2e-2)  # where the outputs round coarsely
CONVERGED = 0.02  # by how much two slopes of one function may differ
ROUNDING, MEASURED = 50, 4  # of a value: in units of its last place, or in standard deviations where they are measured
_SMALL = 1_000_000  # bytes of outputs that are kept, at some forty points of a line
KEPT = 0.5  # the least share of the upstream gradient that is left where outputs with kinks are


class Line:
    """The outputs along one direction, small ones looked at once, and how far rounding puts a weighted sum off."""

    def __init__(self, subject: Subject, place: int, direction: Array) -> None:
        """Measure the rounding where the outputs round coarsely."""
        self.subject, self.place, self.direction, self._seen = subject, place, direction, dict[float, list[Array]]()
        self.coarse, self.rounding = subject.dtype != "float64", 0.0
        if self.coarse:
            self.rounding = max(self.jitter(2e-5), 0.3 * subject.epsilon * self.level())

    def at(self, offset: float) -> list[Array]:
        """Give the outputs."""
        found = self._seen.get(offset) or self.subject.moved(self.place, self.direction, offset)
        if sum(one.nbytes for one in found) < _SMALL:
            self._seen[offset] = found
        return found

    def estimate(self, upstream: Sequence[Array], step: float) -> tuple[float, float, float]:
        """Give a slope, how far rounding may put it off, and how far the slopes over one and two steps differ."""
        behind2, behind, ahead, ahead2 = (self.at(k * step) for k in (-2, -1, 1, 2))
        near, far = weigh(upstream, ahead, behind), weigh(upstream, ahead2, behind2)
        size = max(abs(weigh(upstream, one)) for one in (ahead2, behind2))
        noise = MEASURED * self.rounding if self.coarse else ROUNDING * self.subject.epsilon * size
        return (8 * near - far) / (12 * step), noise / step, abs(near / 2 - far / 4) / step

    def compare(self, upstream: Sequence[Array], gradient: Array, steps: Sequence[float]) -> CheckRow:
        """Compare a gradient with the slopes over several steps."""
        products = gradient.astype(np.float64) * self.direction
        claimed, typical = float(products.sum()), float(np.sqrt((products * products).sum()))
        found = []
        for step in steps:
            slope, noise, bend = self.estimate(upstream, step)
            if not np.isfinite(claimed):
                return self._row(claimed, slope, np.inf, passed=False)
            if not np.isfinite(slope):
                continue
            found.append((slope, noise, bend))
            allowed = self.subject.tolerance * max(abs(claimed), abs(slope), typical)
            if abs(claimed - slope) <= allowed and (noise <= allowed or claimed == slope):
                return self._row(claimed, slope, typical)
        pairs = [
            (small, abs(large - small) + noise + more)
            for (large, noise, bend), (small, more, less) in pairwise(found)
            if max(abs(large - small), bend, less) <= CONVERGED * abs(small) + noise + more  # not alike by chance
        ]
        if not pairs:  # so steep that every step gives another slope, or nothing finite
            slope = found[-1][0] if found else np.nan
            return self._row(claimed, slope, typical, passed=bool(found), resolved=False, rough=True)
        slope, sure = min(pairs, key=lambda one: one[1])
        spread = max(abs(one - slope) - noise for one, noise, _ in found)
        doubt = max(sure, spread) if self.coarse else sure  # over such long steps two slopes can agree by chance
        rough = doubt > sure
        allowed, gap = self.subject.tolerance * max(abs(claimed), abs(slope), typical), abs(claimed - slope)
        if doubt <= allowed or 3 * doubt < gap:
            return self._row(claimed, slope, typical, passed=gap <= allowed)
        size, level = self._size_and_level()
        small, level = self.subject.tolerance * size, self.subject.tolerance * level
        if gap + doubt <= small or (abs(claimed) <= small and abs(slope) + doubt <= level):  # both are nothing
            return self._row(claimed, slope, size)
        return self._row(claimed, slope, typical, resolved=False, rough=rough)

    def _row(self, claimed: float, slope: float, typical: float, *, passed: bool = True, **told: bool) -> CheckRow:
        length = _length([self.direction]) or 1.0
        largest = max(abs(claimed), abs(slope), typical)
        error = abs(claimed - slope) / largest if 0 < largest < np.inf else 0.0 if not largest else np.inf
        name = self.subject.names[self.place]
        return CheckRow(name, claimed / length, slope / length, error, passed, **told)

    def _size_and_level(self) -> tuple[float, float]:
        """Say how much the outputs differ, among each other or for another argument, and how large scalars are.

        A loss at its optimum hardly differs beside the point.
        """
        pairs = list(zip(self.subject.upstream, self.subject.outputs, strict=True))
        apart = [u * (out - other) for (u, out), other in zip(pairs, self.at(1.0), strict=True)]
        among = [u * (out - out.astype(np.float64).mean()) for u, out in pairs]
        level = sum(abs(float((u * out).sum())) for u, out in pairs if out.size == 1)
        return float(np.nanmax([_length(apart), _length(among), 0.0])), level

    def kinks(self, step: float) -> tuple[list[Array], float]:
        """Give the upstream gradient without the outputs that have kinks within two steps, and how much a slope bends.

        Where there are none, third differences vanish.
        """
        kept, bend = [], 0.0
        for u, *values in zip(self.subject.upstream, *(self.at(k * step) for k in (-2, -1, 0, 1, 2)), strict=True):
            third = np.abs(np.diff(np.array(values), 3, axis=0)).max(axis=0)
            straight = third <= 16 * self.subject.epsilon * np.abs(values[2]).max(initial=0.0)
            kept.append(np.where(straight, u, 0.0))
            bend += float((np.abs(u) * np.abs(values[1] + values[3] - 2 * values[2])).sum()) / step
        return kept, bend

    def jitter(self, apart: float) -> float:
        """Measure the standard deviation of a weighted sum by rounding: what is left of values close to each other."""
        values = np.array([weigh(self.subject.upstream, self.at((place - 4) * apart)) for place in range(8)])
        return float(np.sqrt(np.mean(np.diff(values, 3) ** 2) / 20))  # 20 = 1 + 9 + 9 + 1

    def level(self) -> float:
        """Give the size of a weighted sum of the outputs."""
        pairs = zip(self.subject.upstream, self.subject.outputs, strict=True)
        return _length([u * out.astype(np.float64) for u, out in pairs])


def compare(subject: Subject, place: int, direction: Array) -> CheckRow:
    """Compare along one direction; where outputs have kinks there, again without an upstream gradient at those."""
    line, gradient = Line(subject, place, direction), subject.claimed[place]
    steps, short = (COARSE_STEPS, COARSE_SHORT) if line.coarse else (STEPS, SHORT)
    plain = line.compare(subject.upstream, gradient, steps)
    if (plain.passed and plain.resolved) or not np.isfinite(gradient).all():
        return plain
    if subject.narrow is None and not line.coarse and _is_noisy(line):
        subject.narrow = True
        return compare(subject, place, direction)
    total, kinked, least = weigh(subject.upstream, subject.upstream), False, np.inf
    for step in short:
        upstream, bend = line.kinks(step)
        kept, least = weigh(upstream, upstream) / total if total else 1.0, min(least, bend)
        kinked = kinked or kept < 1
        if KEPT <= kept < 1:
            again = subject.gradients(subject.points, upstream)[place]
            found = line.compare(upstream, again, (step, step / 2) if line.coarse else steps)
            if found.resolved:
                return replace(found, kinked=True)
    if line.coarse and kinked and abs(plain.analytic - plain.numeric) * _length([direction]) <= 3 * least:
        return replace(plain, passed=True, resolved=False, kinked=True, rough=True)  # a kink turns all slopes alike
    return replace(plain, kinked=kinked)


def _is_noisy(line: Line) -> bool:
    """Tell float32 on the way to outputs in float64: values jitter by as much, however close they are to each other."""
    near, far = line.jitter(2e-6), line.jitter(2e-5)
    return max(0.3 * far, 1e-10 * line.level()) < near < 1e-4 * line.level()  # more is chaos


def _length(arrays: Sequence[Any]) -> float:
    return float(np.sqrt(sum(float((one * one).sum()) for one in arrays)))
