"""Hold a recorded run to plain ones: moved a little along one random direction, both give the same loss.

In: a call, its arrays and the recorded loss. Out: notes, or one sentence on what was lost on the way.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.again import recomputed
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.numpy.outcome import Path, picked, scalar_of
from rnngraph.numpy.run import Call

STEPS = (1e-7, 1e-5, 1e-3)  # the first crosses no kink; the others are for losses that hardly change with their arrays
SAME, SAME_NARROW = 1e-9, 1e-4  # of the losses, in float64 and in float32
SLOPES = 1e-5  # by which share of itself a slope may be off
STEADY = 0.01  # two slopes that are lost are one, unless there is a kink


def hold(
    call: Call, leaves: dict[str, Array], loss: Tensor, paths: tuple[Path, ...], chosen: Callable[[Any], Any] | None
) -> tuple[str, ...]:
    """Hold a recorded loss to plain runs, which make it of the same outputs.

    What leads to no gradient is a constant of the record, so that both differ where the arrays move. A run of each
    tells, as a rule.

    Returns:
        sentences on what could not be made sure of.

    Raises:
        InputError: the recorded loss is another one, or changes otherwise.
    """
    places = {id(array): name for name, array in leaves.items()}
    generator = np.random.default_rng(1)
    directions = {
        name: (generator.random(array.shape) - 0.5) * (float(np.sqrt(np.mean(array * array))) or 1.0)
        for name, array in leaves.items()
    }

    def moved(array: Array, name: str | None, offset: float) -> Array:
        if name is None or not offset:
            return array.copy()
        return (array + offset * directions[name]).astype(array.dtype, copy=False)

    def plain(offset: float) -> float:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            outputs = call.run(lambda array, _: moved(array, places.get(id(array)), offset), None)
            return float(scalar_of([np.asarray(one) for one in picked(outputs, paths, chosen)]))

    def again(offset: float) -> float:
        entries = loss.tape.entries
        given = {one.id: moved(leaves[one.name], one.name, offset) for one in entries if one.name in leaves}
        places = [place for place, one in enumerate(entries) if one.op.vjp is not None]
        return float(recomputed(loss.tape, given, places, wanted=[loss.id])[0][loss.id].reshape(()))

    recorded = float(loss.value.reshape(()))
    rounding = 4 * float(np.finfo(float).eps) * max(abs(recorded), 1.0)
    wide = all(array.dtype == np.float64 for array in leaves.values())
    if wide and np.isfinite(recorded):
        there, replayed = plain(STEPS[0]), again(STEPS[0])
        change = abs(replayed - recorded)
        if rounding < 1e-4 * change and abs(there - replayed) <= SLOPES * change + rounding:
            return ()
    here = plain(0.0)
    if not _close(recorded, here, SAME if wide else SAME_NARROW):
        if plain(0.0) != here:
            return ("the function draws random numbers of its own, so that it cannot be held to a plain run",)
        raise InputError(
            f"the recorded run gives a loss of {recorded:.9g} and a plain one {here:.9g}; something changes an array "
            "in place in a way that is not followed."
        )
    if wide and np.isfinite(here):  # differences of a float32 run tell nothing at this tolerance
        return _compare(plain, again, here)
    return ()


def _close(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b)) or (a != a and b != b)


def _compare(plain: Callable[[float], float], again: Callable[[float], float], here: float) -> tuple[str, ...]:
    """Compare slopes over steps of several lengths; what is lost is lost at all of them alike."""
    lost: list[tuple[float, float, float]] = []
    for step in STEPS:
        (ahead, behind), (after, before) = ((run(step), run(-step)) for run in (plain, again))
        wanted, found, bend = ahead - behind, after - before, abs(ahead - 2 * here + behind)
        size, doubt = max(abs(wanted), abs(found)), 2e-12 * max(abs(here), 1.0)
        if abs(wanted - found) > SLOPES * size + doubt:
            lost.append((wanted / (2 * step), found / (2 * step), bend / (2 * step)))
        elif doubt < 1e-4 * size:
            return ()
    for (wanted, found, bend), (again_wanted, again_found, _) in pairwise(lost):
        gap = wanted - found
        if abs(gap - again_wanted + again_found) > STEADY * abs(gap):
            continue
        if abs(gap) <= (1 + STEADY) * bend:
            return ("the function has a kink at the very values that were given, where no slope can be compared",)
        raise InputError(
            f"along a random direction the recorded loss has the slope {found:.6g}, plain runs have {wanted:.6g}: a "
            "gradient was lost on the way; look for what leaves NumPy, such as float(...), math.* or compiled code."
        )
    return ()
