"""Check a backward pass that somebody wrote by hand, without any tape.

In: a forward and a backward in the manner of `rnngraph.nn.functional`. Out: a `GradcheckReport`, one row an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.differences import Comparison, compare
from rnngraph.autodiff.functions import Functions, functions
from rnngraph.autodiff.gradcheck_report import TOLERANCES, GradcheckReport, GradcheckRow, worst_of
from rnngraph.autodiff.replay import widened
from rnngraph.checks import whole_number
from rnngraph.errors import InputError


def gradcheck_functions(
    forward: Callable[..., Any], backward: Callable[..., Any], *arguments: Any, directions: int = 3, seed: int = 0
) -> GradcheckReport:
    """Compare a backward written by hand with central differences of its forward.

    Floating arguments are passed in float64 and never changed; integers are passed as they are and have no row. An
    output in float32 says that the forward computes in it, and 1e-3 then passes in place of 1e-6. Where an output has
    a kink at the very point (a ReLU at 0), both sides are compared a little beside it. A row of which differences can
    tell nothing does not pass, since nobody vouches for it; the report's note says why.

    Args:
        forward: `forward(*arguments)` gives `(*outputs, cache)`, and the same whenever it is called.
        backward: `backward(*upstream, cache)` gives one gradient a floating argument, in their order.
        arguments: arrays.
        directions: random directions an argument.
        seed: of the upstream gradients and the directions.

    Raises:
        InputError: functions that do not fit together, a forward that is random, a gradient of another shape than its
            argument, nothing to check, or an option that cannot be used.
        DtypeError: an argument that holds no real numbers.
    """
    directions = whole_number(directions, "directions", least=1)
    seed = whole_number(seed, "seed", least=0)
    pair = functions(forward, backward, arguments)
    points = [widened(checked_array(argument, name)) for argument, name in zip(arguments, pair.names, strict=True)]
    if not any(point.dtype.kind == "f" for point in points):
        raise InputError("no argument holds floating point numbers, so that there is no gradient to check.")
    generator = np.random.default_rng(seed)
    outputs, _ = pair.run(points)
    dtype = _coarsest(outputs)
    pair.refuse_random(points, outputs, float(np.finfo(dtype).eps))
    upstream = [generator.normal(size=output.shape) for output in outputs]
    here = _at(pair, points, upstream, dtype)
    beside: _Check | None = None
    rows, notes = [], []
    for place, name in enumerate(pair.names):
        if here.gradients[place] is None:
            continue
        worst = here.worst(place, directions, generator)
        if worst.kinked:
            beside = beside or _at(pair, [_moved(point, generator) for point in points], upstream, dtype)
            worst = beside.worst(place, directions, generator)
        if not worst.resolved:
            worst = replace(worst, passed=False)
            notes.append(f"{name}: {_reason(worst, dtype)}.")
        rows.append(GradcheckRow.of(name, worst))
    narrow = "float64" if dtype == np.float64 else "float32"
    return GradcheckReport(tuple(rows), (), TOLERANCES[narrow], narrow, " ".join(notes))


@dataclass(frozen=True, slots=True)
class _Check:
    """The pair at one point: what the backward claims there, and how it is compared."""

    pair: Functions
    points: list[Array]
    upstream: list[Array]
    gradients: list[Array | None]
    dtype: np.dtype[Any]  # the coarsest of the outputs

    def worst(self, place: int, directions: int, generator: np.random.Generator) -> Comparison:
        """Compare along random directions of one argument."""
        with np.errstate(all="ignore"):
            return worst_of([self._compare(place, generator) for _ in range(directions)])

    def _compare(self, place: int, generator: np.random.Generator) -> Comparison:
        point, gradient = self.points[place], self.gradients[place]
        assert gradient is not None
        direction = _direction(point, generator)

        def along(offset: float) -> float:
            moved = [*self.points[:place], point + offset * direction, *self.points[place + 1 :]]
            outputs, _ = self.pair.run(moved)
            parts = [(one * out.astype(np.float64)).sum() for one, out in zip(self.upstream, outputs, strict=True)]
            return float(sum(parts))

        tolerance = TOLERANCES["float64" if self.dtype == np.float64 else "float32"]
        epsilon = float(np.finfo(self.dtype).eps)
        return compare(along, gradient, direction, tolerance=tolerance, epsilon=epsilon)


def _at(pair: Functions, points: list[Array], upstream: list[Array], dtype: np.dtype[Any]) -> _Check:
    _, cache = pair.run(points)
    return _Check(pair, points, upstream, pair.gradients(upstream, cache, points), dtype)


def _direction(point: Array, generator: np.random.Generator) -> Array:
    size = float(np.sqrt(np.mean(point * point))) or 1.0
    return np.asarray(generator.normal(size=point.shape) * size)


def _moved(point: Array, generator: np.random.Generator) -> Array:
    """Move by about a hundredth, off the kinks."""
    return point + 0.01 * _direction(point, generator) if point.dtype.kind == "f" else point


def _coarsest(outputs: list[Array]) -> np.dtype[Any]:
    """Give the floating dtype of the outputs that rounds most: float64, or one that is narrower."""
    found = [output.dtype for output in outputs if output.dtype.kind == "f"]
    return max([np.dtype(np.float64), *found], key=lambda dtype: float(np.finfo(dtype).eps))


def _reason(one: Comparison, dtype: np.dtype[Any]) -> str:
    if not np.isfinite(one.numeric):
        return "differences cannot tell, because the forward gives NaN or infinity there"
    return (
        f"differences cannot tell, because the slope is zero or too small beside the {dtype} rounding of the outputs, "
        "or the forward too steep; use arguments of which the outputs depend more"
    )
