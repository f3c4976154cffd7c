"""What of the loss enters at which step of which scan, without having passed another scan.

In: a recording. Out: `Shares`. What a step emits is entered at that step, the last states at the last step, and a sum
or a buffer in the carry at every step, because each adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.measure.recording import Losses
from rnngraph.norms import norm
from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.tell.arrays import host, sample_norms
from rnngraph.trace.magnitudes import Floats

if TYPE_CHECKING:
    from rnngraph.sources.jax.tell.scan_recording import JaxRecording


@dataclass(frozen=True, slots=True)
class Shares:
    """What enters, by scan and place among its results; norms by clock, (T, N)."""

    at: Mapping[int, Mapping[int, Any]]
    norms: dict[int, Floats]

    @staticmethod
    def of(recording: JaxRecording) -> Shares:
        """Ask for all of them in one pass; losses that the user gives for every step are taken instead."""
        if recording.steps:
            return Shares({}, _given(recording))
        results = {site.number: recording.found[site.number]["results"] for site in recording.sites}
        at = recording.programs.shares(recording.arrays, results)
        norms: dict[int, Floats] = {}
        for clock, sites in recording.by_clock():
            squares = [_entering(recording, site, at[site.number]) for site in sites]
            norms[clock] = np.asarray(np.hypot.reduce(squares, axis=0))
        return Shares(at, norms)

    def losses(self, recording: JaxRecording) -> Losses:
        """Say which steps a loss enters."""
        pairs = [
            (clock, t) for clock, one in self.norms.items() for t in np.flatnonzero((one != 0).any(axis=1)).tolist()
        ]
        steps, clocks = (np.array([pair[k] for pair in pairs], np.int64) for k in (1, 0))
        return Losses(steps, clocks, self.norms)


def _entering(recording: JaxRecording, site: Site, shares: Mapping[int, Any]) -> Floats:
    """Give the norm of what enters at every step and sample of a scan, (T, N)."""
    layout = recording.layouts[site.number]
    found = np.zeros((site.length, layout.batch))
    last = 0 if site.reverse else site.length - 1
    for k, share in shares.items():
        if k >= site.count:
            np.hypot(found, sample_norms(share, layout.emitted.get(k), layout.batch, flipped=site.flipped), out=found)
        elif k in site.states:
            axis = layout.axes[site.states.index(k)]
            own = sample_norms(share[None], axis, layout.batch, flipped=False)[0]
            found[last] = np.hypot(found[last], own)
        else:  # every step adds to it
            found = np.hypot(found, norm(host(share)))
    return found


def _given(recording: JaxRecording) -> dict[int, Floats]:
    steps = len(recording.steps[0])
    fitting = [clock for clock, sites in recording.by_clock() if sites[0].length == steps]
    if len(fitting) != 1:
        lengths = ", ".join(f"{site.name} {site.length}" for site in recording.sites)
        raise InputError(
            f"per_step gives {steps} losses, which must be those of the steps of one recurrence; there are: {lengths}."
        )
    batch = recording.layouts[next(s.number for c, some in recording.by_clock() if c == fitting[0] for s in some)].batch
    return {fitting[0]: np.ones((steps, batch))}
