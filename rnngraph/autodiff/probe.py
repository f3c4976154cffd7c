"""A forward and a backward written by hand, at one point: what the backward claims there, held to differences.

In: the pair, the arguments and the upstream gradients. Out: a `Comparison` an argument. Outputs in float32 or
float16 are compared over long steps, which cross kinks; outputs that have one there are then left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.differences import COARSE, Comparison, compare
from rnngraph.autodiff.functions import Functions
from rnngraph.autodiff.gradcheck_report import TOLERANCES, worst_of

SHORT_STEPS = (4e-3, 2e-2)  # lengths of steps, in float32, over which most outputs have no kink
KEPT = 0.5  # the least share of the upstream gradient that must be left
STRAIGHT = 16  # by how many rounding units of the largest output three differences of a smooth one may be off
SURE = 3  # by how many times the outputs' bends a gradient must be off to be wrong in spite of them
FINE = 2e-5  # a step over which any function is straight, so that what is left is rounding
FINE_VALUES = 8
BESIDE = 14  # random points beside a kink


@dataclass(frozen=True, slots=True)
class Probe:
    """The pair at one point."""

    pair: Functions
    points: list[Array]
    upstream: list[Array]
    outputs: list[Array]
    gradients: list[Array | None]
    dtype: np.dtype[Any]  # the coarsest of the outputs
    size: float  # how much the outputs differ among each other, or when all arguments move; in the upstream's units

    @property
    def tolerance(self) -> float:
        """The relative error that passes."""
        return TOLERANCES["float64" if self.dtype == np.float64 else "float32"]

    @property
    def epsilon(self) -> float:
        """The rounding unit of the outputs."""
        return float(np.finfo(self.dtype).eps)

    def worst(self, place: int, directions: int, generator: np.random.Generator) -> Comparison:
        """Compare along random directions of one argument; `kinked` says whether there is a kink along any."""
        with np.errstate(all="ignore"):
            found = [self._compare(place, generator) for _ in range(directions)]
        return replace(worst_of(found), kinked=any(one.kinked for one in found))

    def is_between(self, place: int, generator: np.random.Generator) -> bool:
        """Tell, where there is a kink at the point, whether the gradient is one that lies between those beside it.

        Every element is held to its range beside the point, widened by the largest of these ranges: where several
        kinks meet, a layer's gradient may lie outside of its own range, but not by much more than that.
        """
        moves = [[np.abs(one) for one in self._moves(generator)]]
        moves.append([-one for one in moves[0]])
        moves += [self._moves(generator) for _ in range(BESIDE)]
        found = []
        with np.errstate(all="ignore"):
            for move in moves:
                points = [point + one for point, one in zip(self.points, move, strict=True)]
                found.append(self._gradient(place, points, self.upstream))
        here, beside = self.gradients[place], np.array(found)
        assert here is not None
        least, most = beside.min(axis=0), beside.max(axis=0)
        outside = np.maximum(here - most, least - here).max(initial=0.0)
        allowed = (most - least).max(initial=0.0) + self.tolerance * np.abs(beside).max(initial=0.0)
        return not outside > allowed

    def _moves(self, generator: np.random.Generator) -> list[Array]:
        return [
            0.01 * random_direction(point, generator) if point.dtype.kind == "f" else np.zeros_like(point)
            for point in self.points
        ]

    def _gradient(self, place: int, points: Sequence[Array], upstream: Sequence[Array]) -> Array:
        gradient = self.pair.gradients(upstream, self.pair.run(points)[1], points)[place]
        assert gradient is not None
        return gradient

    def _compare(self, place: int, generator: np.random.Generator) -> Comparison:
        gradient = self.gradients[place]
        assert gradient is not None
        direction = random_direction(self.points[place], generator)

        def outputs(offset: float) -> list[Array]:
            moved = [*self.points[:place], self.points[place] + offset * direction, *self.points[place + 1 :]]
            return [one.astype(np.float64) for one in self.pair.run(moved)[0]]

        def along(offset: float) -> float:
            return _product(self.upstream, outputs(offset))

        rounding = None if self.epsilon < COARSE else self._rounding(along)
        plain = compare(
            along,
            gradient,
            direction,
            tolerance=self.tolerance,
            epsilon=self.epsilon,
            rounding=rounding,
            negligible=self.tolerance * self.size,
            level=self.tolerance * self._level(),
        )
        if rounding is None or (plain.passed and plain.resolved) or not np.isfinite(gradient).all():
            return plain
        return self._between_kinks(place, direction, outputs, rounding, plain)

    def _level(self) -> float:
        """Give the size of the outputs that are scalars; a loss at its optimum hardly differs beside the point."""
        return float(sum(abs(float((one * out).sum())) for one, out in self._pairs() if out.size == 1))

    def _rounding(self, along: Callable[[float], float]) -> float:
        """Measure the standard deviation of a value by rounding: what is left of values close to each other."""
        values = np.array([along((place - FINE_VALUES // 2) * FINE) for place in range(FINE_VALUES)])
        measured = float(np.sqrt(np.mean(np.diff(values, 3) ** 2) / 20))  # 20 = 1 + 9 + 9 + 1
        squares = [((one * out.astype(np.float64)) ** 2).sum() for one, out in self._pairs()]
        return max(measured, 0.3 * self.epsilon * float(np.sqrt(sum(squares))))

    def _pairs(self) -> list[tuple[Array, Array]]:
        return list(zip(self.upstream, self.outputs, strict=True))

    def _between_kinks(
        self,
        place: int,
        direction: Array,
        outputs: Callable[[float], list[Array]],
        rounding: float,
        plain: Comparison,
    ) -> Comparison:
        """Compare again with no upstream gradient at the outputs that have a kink within the steps.

        Some of these kinks may be at the point itself.
        """
        whole, crossed, bend = _product(self.upstream, self.upstream), False, np.inf
        for step in SHORT_STEPS:
            around = _around(outputs, step)
            bends = [np.abs(behind + ahead - 2 * here) / step for behind, here, ahead in zip(*around[1:4], strict=True)]
            bend = min(bend, _product([np.abs(one) for one in self.upstream], bends))
            smooth = [_straight(values, self.epsilon) for values in zip(*around, strict=True)]
            upstream = [np.where(straight, one, 0.0) for straight, one in zip(smooth, self.upstream, strict=True)]
            kept = _product(upstream, upstream) / whole if whole else 1.0
            crossed = crossed or kept < 1
            if not KEPT <= kept < 1:
                continue

            def along(offset: float, upstream: Sequence[Array] = upstream) -> float:
                return _product(upstream, outputs(offset))

            gradient = self._gradient(place, self.points, upstream)
            steps = (step, step / 2)
            found = compare(
                along,
                gradient,
                direction,
                tolerance=self.tolerance,
                epsilon=self.epsilon,
                steps=steps,
                rounding=rounding,
            )
            if found.resolved:
                return replace(found, kinked=True)
        apart = abs(plain.analytic - plain.numeric) * float(np.sqrt((direction * direction).sum()))
        if crossed and apart <= SURE * bend:  # a kink in the midst of the shortest step turns all slopes alike
            return replace(plain, passed=True, resolved=False, kinked=True, rough=True)
        return replace(plain, kinked=plain.kinked or crossed)


def probe(
    pair: Functions,
    points: list[Array],
    upstream: list[Array],
    dtype: np.dtype[Any],
    generator: np.random.Generator,
) -> Probe:
    """Call the forward and the backward at `points`."""
    outputs, cache = pair.run(points)
    gradients = pair.gradients(upstream, cache, points)
    with np.errstate(all="ignore"):
        size = _size(pair, points, upstream, outputs, generator)
    return Probe(pair, points, upstream, outputs, gradients, dtype, size)


def random_direction(point: Array, generator: np.random.Generator) -> Array:
    """Draw a direction as long as the point itself, or of unit elements where the point is zero."""
    size = float(np.sqrt(np.mean(point * point))) or 1.0
    return np.asarray(generator.normal(size=point.shape) * size)


def _size(
    pair: Functions,
    points: Sequence[Array],
    upstream: Sequence[Array],
    outputs: Sequence[Array],
    generator: np.random.Generator,
) -> float:
    # A constant that is added to all outputs does not count: it says nothing of what a slope may be.
    moved = [point + random_direction(point, generator) if point.dtype.kind == "f" else point for point in points]
    there = pair.run(moved)[0]
    found = [0.0]
    for others in (there, [out.astype(np.float64).mean() for out in outputs]):
        apart = [one.astype(np.float64) - other for one, other in zip(outputs, others, strict=True)]
        found.append(float(np.sqrt(sum(((one * out) ** 2).sum() for one, out in zip(upstream, apart, strict=True)))))
    return max(one for one in found if np.isfinite(one))


def _product(upstream: Sequence[Array], outputs: Sequence[Array]) -> float:
    return float(sum((one * out).sum() for one, out in zip(upstream, outputs, strict=True)))


def _around(outputs: Callable[[float], list[Array]], step: float) -> list[list[Array]]:
    return [outputs(place * step) for place in (-2, -1, 0, 1, 2)]


def _straight(values: Sequence[Array], epsilon: float) -> Array:
    """Tell which elements have no kink between the first and the last of five values: third differences vanish."""
    third = np.abs(np.diff(np.array(values), 3, axis=0)).max(axis=0)
    return np.asarray(third <= STRAIGHT * epsilon * np.abs(values[2]).max(initial=0.0))
