"""Where losses stand: steps that bear none have no circle.

In: a trace. Out: booleans a position. Only clocks on which a loss was measured bear any: what enters an encoder is its
decoder's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.graph.build.loss_circles import entering
from rnngraph.graph.one_loss.view import Segment
from rnngraph.trace.magnitudes import Booleans
from rnngraph.trace.model import Trace


def bearing(trace: Trace, segments: Sequence[Segment]) -> Booleans:
    """Say where a loss stands on the time axis."""
    lags = trace.lags[0]
    found = np.zeros(segments[-1].stop, bool)
    for segment in segments:
        measured = lags.losses[lags.clocks == segment.clock]
        found[segment.start + measured] = True
        if measured.size and len(measured) < lags.available:  # only some were taken
            own = entering(trace, segment.clock)[: segment.timesteps]
            found[segment.start : segment.start + len(own)] |= own
    return found
