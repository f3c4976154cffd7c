"""Check a backward pass that somebody wrote by hand, without any tape.

In: a forward and a backward in the manner of `rnngraph.nn.functional`. Out: a `GradcheckReport`, one row an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.differences import Comparison
from rnngraph.autodiff.functions import functions
from rnngraph.autodiff.gradcheck_report import TOLERANCES, GradcheckReport, GradcheckRow
from rnngraph.autodiff.probe import Probe, probe, random_direction
from rnngraph.autodiff.replay import widened
from rnngraph.checks import whole_number
from rnngraph.errors import InputError

BESIDE = 0.01  # how far the arguments move off a kink, as a share of their size
COARSE_BESIDE = 0.05  # likewise in float32, in which steps are longer


def gradcheck_functions(
    forward: Callable[..., Any], backward: Callable[..., Any], *arguments: Any, directions: int = 3, seed: int = 0
) -> GradcheckReport:
    """Compare a backward written by hand with central differences of its forward.

    Floating arguments are passed in float64 and never changed; integers are passed as they are and have no row. An
    output in float32 says that the forward computes in it, and 1e-3 then passes in place of 1e-6. Where an output has
    a kink at the very point (a ReLU at 0), the gradient must be about one of those beside it, and is compared there.
    Two slopes that are zero beside the outputs, to rounding, agree. A row of which differences can
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
    # Whoever draws the arguments from the same seed would get them again as the upstream gradients.
    generator = np.random.default_rng((seed, len(points)))
    outputs, _ = pair.run(points)
    dtype = _coarsest(outputs)
    pair.refuse_random(points, outputs, float(np.finfo(dtype).eps))
    upstream = [generator.normal(size=output.shape) for output in outputs]
    here = probe(pair, points, upstream, dtype, generator)
    beside: Probe | None = None
    rows, notes = [], []
    for place, name in enumerate(pair.names):
        if here.gradients[place] is None:
            continue
        worst = here.worst(place, directions, generator)
        if worst.kinked and not here.is_between(place, generator):
            worst = replace(worst, passed=False, resolved=True)
        elif worst.kinked and not (worst.passed and worst.resolved):
            if beside is None:
                distance = BESIDE if dtype == np.float64 else COARSE_BESIDE
                moved = [_moved(point, distance, generator) for point in points]
                beside = probe(pair, moved, upstream, dtype, generator)
            worst = beside.worst(place, directions, generator)
        if not worst.resolved:
            worst = replace(worst, passed=False)
            notes.append(f"{name}: {_reason(worst, dtype)}.")
        rows.append(GradcheckRow.of(name, worst))
    narrow = "float64" if dtype == np.float64 else "float32"
    return GradcheckReport(tuple(rows), (), TOLERANCES[narrow], narrow, " ".join(notes))


def _moved(point: Array, distance: float, generator: np.random.Generator) -> Array:
    """Move off the kinks."""
    return point + distance * random_direction(point, generator) if point.dtype.kind == "f" else point


def _coarsest(outputs: list[Array]) -> np.dtype[Any]:
    """Give the floating dtype of the outputs that rounds most: float64, or one that is narrower."""
    found = [output.dtype for output in outputs if output.dtype.kind == "f"]
    return max([np.dtype(np.float64), *found], key=lambda dtype: float(np.finfo(dtype).eps))


def _reason(one: Comparison, dtype: np.dtype[Any]) -> str:
    if not np.isfinite(one.numeric):
        return "differences cannot tell, because the forward gives NaN or infinity there"
    if one.rough:
        return (
            f"differences cannot tell, because the forward has kinks close to the point, or is too steep, for steps "
            f"that are long enough for the {dtype} rounding of the outputs; let it compute in float64, or use fewer or "
            "other arguments"
        )
    return (
        f"differences cannot tell, because the slope is zero or too small beside the {dtype} rounding of the outputs; "
        "use arguments of which the outputs depend more"
    )
