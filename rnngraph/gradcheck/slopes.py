"""What is claimed, held to central differences that know how far they can be trusted: a row an argument.

In: a subject. Out: rows of a report, each of the direction in which claim and differences differ most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.subject import Subject, weigh

# The first step is the most precise on a smooth function (the formula's error is of fourth order); smaller ones are for
# kinks, which are crossed less often the shorter the step, and for steep functions.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
COARSE_STEPS = (4e-2, 2e-2, 1e-2, 4e-3, 2e-3, 2e-4)  # where the outputs round coarsely
KINK, CLOSE = 1e-6, 2e-5  # between values that show a kink at the point, and values that show rounding alone
CONVERGED = 0.02  # by how much two slopes of one function may differ
ROUNDING, MEASURED = 50, 4  # of a value: in units of its last place, or in standard deviations where they are measured
BESIDE = 0.01  # how far the arguments move off a kink, as a share of their size
LOOKS: tuple[Callable[[Array], Array], ...] = (np.abs, lambda move: -np.abs(move), *[np.asarray] * 14)  # beside a kink
_SMALL = 1_000_000  # bytes of outputs that are kept, at some thirty points of a line


class Line:
    """The outputs along one direction, small ones looked at once, and how far rounding puts a weighted sum off."""

    def __init__(self, subject: Subject, direction: Mapping[int, Array], name: str = "") -> None:
        """Measure the rounding where the outputs round coarsely; the direction is given by place."""
        self.subject, self.direction, self.name, self._seen = subject, direction, name, dict[float, list[Array]]()
        self.coarse = subject.epsilon > 1e-10
        self.rounding = max(self.jitter(CLOSE), 0.3 * subject.epsilon * self.level()) if self.coarse else 0.0

    def at(self, offset: float) -> list[Array]:
        """Give the outputs."""
        found = self._seen.get(offset) or self.subject.moved(self.direction, offset)
        if sum(one.nbytes for one in found) < _SMALL:
            self._seen[offset] = found
        return found

    def estimate(self, step: float) -> tuple[float, float, float]:
        """Give a slope, how far rounding may put it off, and how far the slopes over one and two steps differ."""
        upstream, (behind2, behind, ahead, ahead2) = self.subject.upstream, (self.at(k * step) for k in (-2, -1, 1, 2))
        near, far = weigh(upstream, ahead, behind), weigh(upstream, ahead2, behind2)
        size = max(abs(weigh(upstream, one)) for one in (ahead2, behind2))
        noise = MEASURED * self.rounding if self.coarse else ROUNDING * self.subject.epsilon * size
        return (8 * near - far) / (12 * step), noise / step, abs(near / 2 - far / 4) / step

    def compare(self) -> CheckRow:
        """Compare what is claimed with the slopes over several steps."""
        products = [self.subject.claimed[place].astype(np.float64) * one for place, one in self.direction.items()]
        claimed, typical = sum(float(one.sum()) for one in products), _length(products)
        found = []
        for step in COARSE_STEPS if self.coarse else STEPS:
            slope, noise, bend = self.estimate(step)
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
            return self._row(claimed, slope, typical, passed=bool(found), resolved=False)
        slope, doubt = min(pairs, key=lambda one: one[1])
        if self.coarse:  # over such long steps two slopes can agree by chance
            doubt = max(doubt, *(abs(one - slope) - noise for one, noise, _ in found))
        if self.subject.narrow:  # what is claimed was rounded too
            doubt += MEASURED * float(np.finfo(np.float32).eps) * self.level()
        allowed, gap = self.subject.tolerance * max(abs(claimed), abs(slope), typical), abs(claimed - slope)
        if doubt <= allowed or 3 * doubt < gap:
            return self._row(claimed, slope, typical, passed=gap <= allowed)
        size, level = self._size_and_level()
        small, level = self.subject.tolerance * size, self.subject.tolerance * level
        if gap + doubt <= small or (abs(claimed) <= small and abs(slope) + doubt <= level):  # both are nothing
            return self._row(claimed, slope, size)
        return self._row(claimed, slope, typical, resolved=False)

    def _row(
        self, claimed: float, slope: float, typical: float, *, passed: bool = True, resolved: bool = True
    ) -> CheckRow:
        length = _length(self.direction.values()) or 1.0
        largest = max(abs(claimed), abs(slope), typical)
        error = abs(claimed - slope) / largest if 0 < largest < np.inf else 0.0 if not largest else np.inf
        return CheckRow(self.name, claimed / length, slope / length, error, passed, resolved)

    def _size_and_level(self) -> tuple[float, float]:
        """Say how much the outputs differ, among each other or for another argument, and how large scalars are.

        A loss at its optimum hardly differs beside the point.
        """
        pairs = list(zip(self.subject.upstream, self.subject.outputs, strict=True))
        apart = [u * (out - other) for (u, out), other in zip(pairs, self.at(1.0), strict=True)]
        among = [u * (out - out.astype(np.float64).mean()) for u, out in pairs]
        level = sum(abs(float((u * out).sum())) for u, out in pairs if out.size == 1)
        return float(np.nanmax([_length(apart), _length(among), 0.0])), level

    def is_kinked(self) -> bool:
        """Tell a kink at the point: where there is none, third differences of the outputs vanish."""
        for values in zip(*(self.at(k * KINK) for k in (-2, -1, 0, 1, 2)), strict=True):
            third = np.abs(np.diff(np.array(values), 3, axis=0))
            if (third > 16 * self.subject.epsilon * np.abs(values[2]).max(initial=0.0)).any():
                return True
        return False

    def jitter(self, apart: float) -> float:
        """Measure the standard deviation of a weighted sum by rounding: what is left of values close to each other."""
        values = np.array([weigh(self.subject.upstream, self.at((place - 4) * apart)) for place in range(8)])
        return float(np.sqrt(np.mean(np.diff(values, 3) ** 2) / 20))  # 20 = 1 + 9 + 9 + 1

    def level(self) -> float:
        """Give the size of a weighted sum of the outputs."""
        pairs = zip(self.subject.upstream, self.subject.outputs, strict=True)
        return _length([u * out.astype(np.float64) for u, out in pairs])


def is_noisy(subject: Subject, generator: np.random.Generator) -> bool:
    """Tell float32 on the way to outputs in float64: values jitter by as much, however close they are to each other."""
    place = subject.floating()[0]
    line = Line(subject, {place: subject.direction(place, generator)})
    near, far = line.jitter(CLOSE / 10), line.jitter(CLOSE)
    return max(0.3 * far, 1e-10 * line.level()) < near < 1e-4 * line.level()  # more is chaos


def _length(arrays: Iterable[Any]) -> float:
    return float(np.sqrt(sum(float((one * one).sum()) for one in arrays)))


def worst_of(rows: list[CheckRow]) -> CheckRow:
    """Choose the direction to report: a wrong one before one that could not be resolved, then the largest error."""
    return max(rows, key=lambda one: (one.wrong, not one.passed, not one.resolved, one.relative_error))


def check_rows(subject: Subject, generator: np.random.Generator, directions: int) -> tuple[list[CheckRow], list[str]]:
    """Check every argument.

    Returns: rows, and sentences on those that cannot be told.
    """

    def worst_at(one: Subject, name: str, places: Sequence[int]) -> tuple[CheckRow, list[Line]]:
        drawn = [{place: one.direction(place, generator) for place in places} for _ in range(directions)]
        lines = [Line(one, direction, name) for direction in drawn]
        return worst_of([line.compare() for line in lines]), lines

    rows, notes = [], []
    beside: Subject | None = None
    around: list[Sequence[Any]] = []  # gradients beside a kink
    for name, places in subject.rows():
        worst, lines = worst_at(subject, name, places)
        told, finite = worst.passed and worst.resolved, all(np.isfinite(subject.claimed[k]).all() for k in places)
        if not told and finite and any(line.is_kinked() for line in lines):
            points = [subject.near(BESIDE, generator, turned) for turned in LOOKS if not around]
            around = around or [subject.gradients(one, subject.upstream) for one in points]
            if not all(is_between(subject.claimed[k], [one[k] for one in around]) for k in places):
                worst = replace(worst, passed=False, resolved=True)
            else:
                beside = beside or subject.at(subject.near(BESIDE, generator))
                worst, _ = worst_at(beside, name, places)
        if not worst.resolved and not (np.isfinite(worst.numeric) and all(k in subject.trusted for k in places)):
            worst = replace(worst, passed=False)
            notes.append(f"{worst.name}: differences cannot tell, because {_reason(worst, subject.dtype)}.")
        rows.append(worst)
    return rows, notes


def is_between(here: Array, beside: Sequence[Array]) -> bool:
    """Tell, where there is a kink at the point, whether the gradient is one that lies between those beside it.

    Every element is held to its range beside the point, widened by the largest of these ranges: where several kinks
    meet, a layer's gradient may lie outside of its own range, but not by much more than that.
    """
    around = np.array(beside)
    least, most = around.min(axis=0), around.max(axis=0)
    outside = np.maximum(here - most, least - here).max(initial=0.0)
    return not outside > (most - least).max(initial=0.0) + 1e-3 * np.abs(around).max(initial=0.0)


def _reason(one: CheckRow, dtype: str) -> str:
    if not np.isfinite(one.numeric):
        return "the forward gives NaN or infinity there"
    return (
        f"the slope is too small, or the forward too steep or bent, beside the {dtype} rounding of the outputs; let it "
        "compute in float64, or use arguments of which the outputs depend more, or fewer"
    )
