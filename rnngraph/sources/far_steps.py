"""Whether one number that a loss sums up is made of far steps, as pooling and attention make it: the loss is one then.

In: how much of the number enters at every step, and how much of the whole loss does. Out: yes or no. Of a sum of losses
of single steps every number is made of one step, or of neighbours, as under a convolution.
"""

from __future__ import annotations

import numpy as np

from rnngraph.trace.magnitudes import Floats

ASKED = 3  # numbers, the largest first: of one alone a step may make next to nothing by chance
_READS = 0.05  # how much must enter at a step that counts, beside the most
_ALONE = 3.0  # how much more than in other samples, which statistics of a batch reach alike
_MOST = 0.5  # how much, beside the most, where samples are compared with each other


def made_of_far_steps(found: Floats, entered: Floats) -> bool:
    """Tell whether the steps of a sample at which a number enters span more than half of those that the loss enters.

    Args:
        found: (T, N) norms of what enters of the number.
        entered: (T, N) norms of what enters of the loss.
    """
    sample = int(found.max(axis=0).argmax())
    own, others = found[:, sample], np.square(np.delete(found, sample, axis=1)).sum(axis=1)
    alone = own > np.minimum(_ALONE * np.sqrt(others / max(found.shape[1] - 1, 1)), _MOST * own.max())
    steps = np.flatnonzero(alone & (own > _READS * own.max()))
    every = np.flatnonzero(entered[:, sample] > _READS * entered[:, sample].max())
    return bool(min(steps.size, every.size) > 1 and 2 * np.ptp(steps) > np.ptp(every) > 1)
