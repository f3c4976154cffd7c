"""The mistakes that can be mended without knowing more: a factor, a transposition, timesteps or gates elsewhere.

In: a gradient that is wrong, and the right one. Out: words.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array

GATES = {2: "rz", 3: "rzn", 4: "ifog"}  # the usual names of blocks; they are numbered too, since orders differ
EXPLAINED = 0.01  # the most that a mended gradient leaves of what was wrong


def off(one: Array, other: Array) -> float:
    """Give the largest difference."""
    return float(np.abs(one - other).max(initial=0.0))


def explains(mended: Array, wanted: Array, was_off: float) -> bool:
    """Tell whether next to nothing is left of what was wrong."""
    return off(mended, wanted) <= EXPLAINED * min(was_off, float(np.abs(wanted).max(initial=0.0)))


def mistake(claimed: Array, right: Array, sizes: Collection[int], axis: int | None) -> str:
    """Name what was done to the right gradient; `axis` holds its timesteps, and otherwise `sizes` may be a gate's."""
    if not claimed.any():
        return "the gradient is zero throughout: it is not computed, or overwritten"
    was_off, bound = off(claimed, right), float(np.abs(claimed).max())
    for words, mended in _mendings(claimed, right, sizes, axis):
        if explains(mended, right, was_off):
            return words
    if explains(np.clip(right, -bound, bound), claimed, was_off):
        return f"it is clipped at {bound:.6g}; check it before it is clipped"
    if explains(np.full(right.shape, right.sum()), claimed, was_off):
        return "every element of it is the sum of all: it is summed over the units too, and not over the batch alone"
    return ""


def _mendings(gradient: Array, right: Array, sizes: Collection[int], axis: int | None) -> Iterator[tuple[str, Array]]:
    """Give mistakes, and what a gradient is without them."""
    factor = float((gradient * right).sum()) / (float((right * right).sum()) or 1.0)
    if factor:
        words = "the sign is wrong" if abs(factor + 1) < 1e-4 else f"it is {factor:.4g} times the right one"
        yield words, gradient / factor
    if gradient.ndim == 2 and gradient.shape[0] == gradient.shape[1]:
        yield "it is transposed", gradient.T
    if axis is not None:
        yield "its timesteps are reversed", np.flip(gradient, axis)
        yield "it stands one timestep too late", np.roll(gradient, -1, axis)
        yield "it stands one timestep too early", np.roll(gradient, 1, axis)
        return
    for blocks in _blocks(gradient.shape, sizes):
        for (one, here), (other, there) in combinations(blocks.items(), 2):
            mended = gradient.copy()
            mended[here], mended[there] = gradient[there], gradient[here]
            yield f"the gate blocks {one} and {other} are swapped", mended


def _blocks(shape: tuple[int, ...], sizes: Collection[int]) -> Iterator[dict[str, Any]]:
    """Give the ways to see gate blocks of one of these sizes in a shape: their names and their places."""
    for at in {len(shape) - 1, 0} if shape else ():
        count = next((n for n in (4, 3, 2) if any(shape[at] == n * size for size in sizes)), 0)
        labels = [f"{k} ({GATES[count][k]} of {', '.join(GATES[count])})" for k in range(count)]
        size = shape[at] // max(count, 1)
        if count:
            yield {one: (*[slice(None)] * at, slice(k * size, k * size + size)) for k, one in enumerate(labels)}


def blocks_wrong(shape: tuple[int, ...], sizes: Collection[int], is_wrong: Callable[[Any], bool]) -> Iterator[str]:
    """Say which gate blocks are wrong where others are right; `is_wrong` is asked for a part."""
    for blocks in _blocks(shape, sizes):
        bad = [label for label, part in blocks.items() if is_wrong(part)]
        if 0 < len(bad) < len(blocks):
            yield f"gate block{'s' * (len(bad) > 1)} {', '.join(bad)} wrong, the others right"
