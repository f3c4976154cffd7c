"""Hold a recorded run to plain ones: the same loss, and the same slope along one random direction.

In: a call, its arrays and the recorded loss. Out: notes, or one sentence on what was lost on the way.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import gradients
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.numpy.outcome import Path, picked, scalar_of
from rnngraph.numpy.run import Call

STEP, SHORT = 1e-5, 1e-7
SAME, SAME_NARROW = 1e-9, 1e-4  # of the losses, in float64 and in float32
SLOPES = 1e-5  # by which share of itself a slope may be off


def hold(
    call: Call, leaves: dict[str, Array], loss: Tensor, paths: tuple[Path, ...], chosen: Callable[[Any], Any] | None
) -> tuple[str, ...]:
    """Hold a recorded loss to plain runs, which make it of the same outputs.

    Returns:
        sentences on what could not be made sure of.

    Raises:
        InputError: the recorded loss is another one, or its gradient.
    """
    places = {id(array): name for name, array in leaves.items()}
    generator = np.random.default_rng(1)
    directions = {
        name: (generator.random(array.shape) - 0.5) * (float(np.sqrt(np.mean(array * array))) or 1.0)
        for name, array in leaves.items()
    }

    def plain(offset: float) -> float:
        def moved(array: Array, name: str) -> Array:
            known = places.get(id(array))
            return (
                array.copy()
                if known is None or not offset
                else (array + offset * directions[known]).astype(array.dtype, copy=False)
            )

        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            outputs = call.run(moved, None)
            return float(scalar_of([np.asarray(one) for one in picked(outputs, paths, chosen)]))

    wide = all(array.dtype == np.float64 for array in leaves.values())
    recorded, here = float(loss.value.reshape(())), plain(0.0)
    if not _close(recorded, here, SAME if wide else SAME_NARROW):
        if plain(0.0) != here:
            return ("the function draws random numbers of its own, so that it cannot be held to a plain run",)
        raise InputError(
            f"the recorded run gives a loss of {recorded:.9g} and a plain one {here:.9g}; something changes an array "
            "in place in a way that is not followed."
        )
    if not wide or not np.isfinite(here):
        return ()  # differences of a float32 run tell nothing at this tolerance
    with np.errstate(all="ignore"):
        found = gradients(loss)
        products = [float(np.vdot(found[name], direction)) for name, direction in directions.items()]
    _compare(plain, sum(products), max(map(abs, products), default=0.0), here)
    return ()


def _close(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b)) or (a != a and b != b)


def _compare(plain: Callable[[float], float], claimed: float, scale: float, here: float) -> None:
    def slope(step: float) -> float:
        return (plain(step) - plain(-step)) / (2 * step)

    rounding = 4 * float(np.finfo(float).eps) * max(abs(here), 1.0)
    if rounding / SHORT < 1e-4 * abs(claimed):  # then one more run can tell, or two where the loss is bent
        enough, there = SLOPES * abs(claimed) + rounding / SHORT, plain(SHORT)
        if abs((there - here) / SHORT - claimed) <= enough:
            return
        if abs((there - plain(-SHORT)) / (2 * SHORT) - claimed) <= enough:
            return
    allowed = SLOPES * max(abs(claimed), 1e-3 * scale) + 1e-10 * max(abs(here), 1.0) / STEP
    first = slope(STEP)
    if abs(first - claimed) <= allowed:
        return
    second, third = slope(STEP / 2), slope(STEP / 8)
    best = (4 * second - first) / 3
    steady = abs(first - second) <= 1e-3 * abs(second) and abs(second - third) <= 1e-2 * abs(second) + allowed
    if abs(best - claimed) > allowed and steady:  # else there is a kink, or the loss is too steep to tell
        raise InputError(
            f"along a random direction the recorded loss has the slope {claimed:.6g}, plain runs have {best:.6g}: a "
            "gradient was lost on the way; look for what leaves NumPy, such as float(...), math.* or compiled code."
        )
