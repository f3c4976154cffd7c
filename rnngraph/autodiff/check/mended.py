"""The mistakes that are mended without knowing more: a factor, a transposition, timesteps or gates in the wrong place.

In: a gradient that is wrong. Out: words, and the gradient as it would be without that mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array

Index: TypeAlias = tuple[Any, ...]
GATES = {2: "rz", 3: "rzn", 4: "ifog"}  # the usual names of blocks; they are numbered too, since orders differ


def mistake(
    gradient: Array, factor: float, is_wrong: Callable[[Array], bool], axis: int | None, sizes: Collection[int]
) -> str:
    """Name the mistake of which the mending makes the gradient right.

    Args:
        gradient: the wrong one.
        factor: how many times the right one it is along some direction.
        is_wrong: whether a gradient is.
        axis: its timesteps, where it has any.
        sizes: of a gate, in a gradient that has no timesteps.
    """
    if not gradient.any():
        return "the gradient is zero throughout: it is not computed, or overwritten"
    for words, mended in _mendings(gradient, factor, axis, sizes):
        if not np.array_equal(mended, gradient) and not is_wrong(mended):
            return words
    return ""


def _mendings(gradient: Array, factor: float, axis: int | None, sizes: Collection[int]) -> Iterator[tuple[str, Array]]:
    if factor:
        words = "the sign is wrong" if abs(factor + 1) < 1e-4 else f"it is {factor:.4g} times the right one"
        yield words, gradient / factor
    if gradient.ndim == 2 and gradient.shape[0] == gradient.shape[1]:
        yield "it is transposed", gradient.T
    if axis is not None:
        yield "its timesteps are reversed", np.flip(gradient, axis)
        for by, words in ((-1, "late"), (1, "early")):
            yield f"it stands one timestep too {words}", np.roll(gradient, by, axis)
        return
    for labels, at in _block_labels(gradient.shape, sizes):
        for one, other in combinations(range(len(labels)), 2):
            parts = np.split(gradient, len(labels), axis=at)
            parts[one], parts[other] = parts[other], parts[one]
            yield f"the gate blocks {labels[one]} and {labels[other]} are swapped", np.concatenate(parts, axis=at)


def _block_labels(shape: tuple[int, ...], sizes: Collection[int]) -> Iterator[tuple[list[str], int]]:
    """Give the ways to see gate blocks of one of these sizes in a shape: their names and their axis."""
    for at in {len(shape) - 1, 0} if shape else ():
        count = next((n for n in (4, 3, 2) if any(shape[at] == n * size for size in sizes)), 0)
        if count:
            yield [f"{k} ({GATES[count][k]} of {', '.join(GATES[count])})" for k in range(count)], at


def blocks_wrong(
    shape: tuple[int, ...], sizes: Collection[int], is_wrong: Callable[[Index], bool]
) -> Iterator[tuple[str, int]]:
    """Say which gate blocks are wrong where others are right, and how many; `is_wrong` is asked for a part."""
    for labels, at in _block_labels(shape, sizes):
        size = shape[at] // len(labels)
        parts = [(*(slice(None),) * at, slice(k * size, (k + 1) * size)) for k in range(len(labels))]
        bad = [label for label, part in zip(labels, parts, strict=True) if is_wrong(part)]
        if 0 < len(bad) < len(labels):
            yield f"gate block{'s' * (len(bad) > 1)} {', '.join(bad)} wrong, the others right", len(bad)


def right_and_wrong(wrong: Collection[str], right: Collection[str]) -> Iterator[str]:
    """Say which gradients are wrong, where others are right."""
    if right:
        yield f"wrong: {', '.join(wrong)}; right: {', '.join(right)}."
