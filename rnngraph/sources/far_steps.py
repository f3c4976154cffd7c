"""Whether the numbers that a loss sums up are made of far steps, as by pooling and attention: the loss is one then.

In: how much of the number enters at every step, and how much of the whole loss does. Out: yes or no. Of a sum of losses
of single steps every number is made of one step, or of neighbours, as under a convolution.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rnngraph.trace.magnitudes import Floats

ASKED = 5  # numbers, the largest first: of a single one a step may make next to nothing by chance
_READS = 0.05  # how much must enter at a step that counts, beside the most
_ALONE = 3.0  # how much more than in other samples, which statistics of a batch reach alike
_MOST = 0.5  # how much, beside the most, where samples are compared with each other


def made_of_far_steps(numbers: Iterable[tuple[Floats, Floats]]) -> bool:
    """Tell whether most numbers enter at steps of a sample that span more than half of those that the loss enters.

    Args:
        numbers: for each, (T, N) norms of what enters of the number, and of what enters of the loss. What enters
            nowhere, as behind a hinge, says nothing. No more are asked than decide it.
    """
    said = [0, 0]
    for found, entered in numbers:
        if found.any():
            said[_spans(found, entered)] += 1
        if max(said) > ASKED // 2:
            break
    return said[True] >= max(said[False], 1)


def _spans(found: Floats, entered: Floats) -> bool:
    sample = int(found.max(axis=0).argmax())
    own, others = found[:, sample], np.square(np.delete(found, sample, axis=1)).sum(axis=1)
    alone = own > np.minimum(_ALONE * np.sqrt(others / max(found.shape[1] - 1, 1)), _MOST * own.max())
    steps = np.flatnonzero(alone & (own > _READS * own.max()))
    every = np.flatnonzero(entered[:, sample] > _READS * entered[:, sample].max())
    return bool(min(steps.size, every.size) > 1 and 2 * np.ptp(steps) > np.ptp(every) > 1)
