"""Check a backward pass that somebody wrote by hand, without any tape.

In: a forward and a backward in the manner of `rnngraph.nn.functional`. Out: a `GradcheckReport`, one row an argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.differences import Comparison, compare
from rnngraph.autodiff.gradcheck import TOLERANCES, GradcheckReport, GradcheckRow
from rnngraph.autodiff.replay import widened
from rnngraph.errors import InputError


def gradcheck_functions(
    forward: Callable[..., Any], backward: Callable[..., Any], *arguments: Any, directions: int = 3, seed: int = 0
) -> GradcheckReport:
    """Compare a backward written by hand with central differences of its forward.

    Floating arguments are passed in float64 and never changed; integers are passed as they are and have no row.

    Args:
        forward: `forward(*arguments)` gives `(*outputs, cache)`.
        backward: `backward(*upstream, cache)` gives one gradient a floating argument, in their order.
        arguments: arrays.
        directions: random directions an argument.
        seed: of the upstream gradients and the directions.

    Raises:
        InputError: functions that do not fit together, or a gradient of another shape than its argument.
        DtypeError: an argument that holds no real numbers.
    """
    names = _names(forward, len(arguments))
    points = [widened(checked_array(argument, name)) for argument, name in zip(arguments, names, strict=True)]
    generator = np.random.default_rng(seed)
    *outputs, cache = _results(forward, points)
    upstream = [generator.normal(size=np.shape(output)) for output in outputs]
    returned = backward(*[one.copy() for one in upstream], cache)
    gradients = list(returned) if isinstance(returned, tuple | list) else [returned]
    floating = [place for place, point in enumerate(points) if point.dtype.kind == "f"]
    if len(gradients) != len(floating):
        raise InputError(f"the backward gave {len(gradients)} gradients; there are {len(floating)} floating arguments.")
    tolerance, rows = TOLERANCES["float64"], []
    for place, gradient in zip(floating, map(np.asarray, gradients), strict=True):
        if gradient.shape != points[place].shape:
            raise InputError(
                f"the gradient of {names[place]} has shape {gradient.shape}; the argument has {points[place].shape}."
            )
        results = [_compare(forward, points, place, gradient, upstream, generator) for _ in range(directions)]
        worst = max(results, key=lambda one: (not one.passed, not one.resolved, one.relative_error))
        rows.append(
            GradcheckRow(
                names[place], worst.analytic, worst.numeric, worst.relative_error, worst.passed, worst.resolved
            )
        )
    return GradcheckReport(tuple(rows), (), tolerance, "float64")


def _compare(
    forward: Callable[..., Any],
    points: list[Any],
    place: int,
    gradient: Any,
    upstream: list[Any],
    generator: np.random.Generator,
) -> Comparison:
    point = points[place]
    size = float(np.sqrt(np.mean(point * point))) or 1.0
    direction = generator.normal(size=point.shape) * size

    def along(offset: float) -> float:
        moved = [*points[:place], point + offset * direction, *points[place + 1 :]]
        outputs = _results(forward, moved)[:-1]
        return float(sum((one * np.asarray(out)).sum() for one, out in zip(upstream, outputs, strict=True)))

    epsilon = float(np.finfo(np.float64).eps)
    return compare(along, gradient, direction, tolerance=TOLERANCES["float64"], epsilon=epsilon)


def _results(forward: Callable[..., Any], points: list[Any]) -> tuple[Any, ...]:
    results = forward(*[point.copy() for point in points])
    if not isinstance(results, tuple) or len(results) < 2:
        raise InputError(
            f"the forward gave a {type(results).__name__}; it must give its outputs and a cache, as a tuple."
        )
    return results


def _names(forward: Callable[..., Any], count: int) -> list[str]:
    try:
        names = list(inspect.signature(forward).parameters)[:count]
    except (TypeError, ValueError):
        names = []
    return names if len(names) == count else [f"argument {place}" for place in range(count)]
