"""The mistakes that are told from a gradient alone: a factor, a transposition, places or gates in another order.

In: a gradient that is wrong, and the right one. Out: words, and what the mistake makes of the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array

GATES = {2: "rz", 3: "rzn", 4: "ifog"}  # the usual names of blocks; they are numbered too, since orders differ
Candidate: TypeAlias = tuple[str, Mapping[int, Any]]  # a mistake, and what it makes of some gradients, by place
EXPLAINED = 0.001  # the most that a mistake leaves of what was wrong


def off(one: Array, other: Array) -> float:
    """Give the largest difference."""
    return float(np.abs(one - other).max(initial=0.0))


def explains(made: Array, claimed: Array, right: Array) -> bool:
    """Tell whether a mistake makes what is claimed, but for next to nothing of what is wrong."""
    return off(made, claimed) <= EXPLAINED * min(off(claimed, right), float(np.abs(claimed).max(initial=0.0)))


def mistakes(
    claimed: Array, right: Array, sizes: Collection[int], time: int | None, hint: Callable[[float], str] = lambda _: ""
) -> Iterator[tuple[str, Array]]:
    """Give mistakes, and what they make of the right gradient.

    `time` is the axis of its timesteps, and where there is none `sizes` may be a gate's; `hint` says whence a factor.
    """
    yield "the gradient is zero throughout: it is not computed, or overwritten", np.zeros_like(right)
    factor = float((claimed * right).sum()) / (float((right * right).sum()) or 1.0)
    times = f"it is {factor:.4g} times the right one{hint(factor)}"
    yield "the sign is wrong" if abs(factor + 1) < 1e-4 else times, factor * right
    if right.ndim == 2 and right.shape[0] == right.shape[1]:
        yield "it is transposed", right.T
    for axis in range(right.ndim):
        along = "over time" if axis == time else f"along axis {axis}"
        yield f"it is reversed {along}", np.flip(right, axis)
        yield f"it stands one place too late {along}", np.roll(right, 1, axis)
        yield f"it stands one place too early {along}", np.roll(right, -1, axis)
    for blocks in gate_blocks(right.shape, sizes) if time is None else ():
        for (one, here), (other, there) in combinations(blocks.items(), 2):
            swapped = right.copy()
            swapped[here], swapped[there] = right[there], right[here]
            yield f"the gate blocks {one} and {other} are swapped", swapped
    bound = float(np.abs(claimed).max())
    yield f"it is clipped at {bound:.6g}; check it before it is clipped", np.clip(right, -bound, bound)
    summed = "every element of it is the sum of all: it is summed over the units too, and not over the batch alone"
    yield summed, np.full(right.shape, right.sum())


def gate_blocks(shape: tuple[int, ...], sizes: Collection[int]) -> Iterator[dict[str, Any]]:
    """Give the ways to see gate blocks of one of these sizes in a shape: their names and their places."""
    for at in {len(shape) - 1, 0} if shape else ():
        count = next((n for n in (4, 3, 2) if any(shape[at] == n * size for size in sizes)), 0)
        labels = [gate(k, count) for k in range(count)]
        size = shape[at] // max(count, 1)
        if count:
            yield {one: (*[slice(None)] * at, slice(k * size, k * size + size)) for k, one in enumerate(labels)}


def gate(place: int, count: int) -> str:
    """Name one of so many blocks of gates."""
    return f"{place} ({GATES[count][place]} of {', '.join(GATES[count])})"
