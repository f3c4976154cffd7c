"""The steps at which samples keep their states, as those behind the end of a short one.

In: a recording. Out: a mask, (N, T), True where a step is taken; None where a step does not choose so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.tell.arrays import by_sample
from rnngraph.trace.magnitudes import Booleans

if TYPE_CHECKING:
    from rnngraph.sources.jax.tell.scan_recording import JaxRecording


def mask_of(recording: JaxRecording, site: Site) -> Booleans | None:
    """Ask the step's own choice, of every sample; where it keeps some units alone, no step is a copy."""
    layout = recording.layouts[site.number]
    if not site.choices or None in layout.axes[: len(site.states)]:
        return None
    kept = np.ones((site.length, layout.batch), bool)
    for place, one in enumerate(recording.programs.kept(site.number, recording.arrays, recording.found)):
        shape = recording.found[site.number]["carried"][site.states[place]].shape
        choice = np.asarray(one).reshape(*one.shape, *[1] * (len(shape) - one.ndim))  # a scalar or all of a state
        column = by_sample(np.broadcast_to(choice, shape), layout.axes[place], flipped=site.flipped)
        if (column.any(axis=2) != column.all(axis=2)).any():
            return None
        kept &= column.all(axis=2)
    return ~kept.T if kept.any() else None
