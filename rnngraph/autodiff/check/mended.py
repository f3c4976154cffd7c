"""The mistakes that are mended without knowing more: a factor, a transposition, timesteps or gates in the wrong place.

In: a gradient that is wrong. Out: words, and the gradient as it would be without that mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np

from rnngraph.autodiff.contribution import Array

ZERO = "the gradient is zero throughout: it is not computed, or overwritten"
GATES = {2: "rz", 3: "rzn", 4: "ifog"}  # the usual names of blocks; they are numbered too, since orders differ


def mendings(gradient: Array, factor: float, axis: int | None, sizes: Iterable[int]) -> Iterator[tuple[str, Array]]:
    """Give what may have been done to a gradient, and what it would have been.

    Args:
        gradient: the wrong one.
        factor: how many times the right one it is along some direction.
        axis: its timesteps, where it has any.
        sizes: of a gate, in a gradient that has no timesteps.
    """
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
    for labels, at in block_labels(gradient.shape, sizes):
        for one, other in combinations(range(len(labels)), 2):
            parts = np.split(gradient, len(labels), axis=at)
            parts[one], parts[other] = parts[other], parts[one]
            yield f"the gate blocks {labels[one]} and {labels[other]} are swapped", np.concatenate(parts, axis=at)


def block_labels(shape: tuple[int, ...], sizes: Iterable[int]) -> Iterator[tuple[list[str], int]]:
    """Give the ways to see gate blocks of one of these sizes in a shape: their names and their axis."""
    known = set(sizes)
    for at in {len(shape) - 1, 0} if shape else ():
        count = next((n for n in (4, 3, 2) if any(shape[at] == n * size for size in known)), 0)
        if count:
            yield [f"{k} ({GATES[count][k]} of {', '.join(GATES[count])})" for k in range(count)], at


def blocks_wrong(labels: list[str], bad: list[int]) -> str:
    """Say which gate blocks are wrong, where others are right."""
    if not 0 < len(bad) < len(labels):
        return ""
    return f"gate block{'s' * (len(bad) > 1)} {', '.join(labels[k] for k in bad)} wrong, the others right"
