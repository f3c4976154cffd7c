"""Which scans take their steps together.

In: a recording. Out: a clock a scan. Scans of one length are together where one hands its steps to the other in step,
or where both read what the network is fed; a decoder that begins from an encoder's end has a clock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.tell.arrays import host

if TYPE_CHECKING:
    from rnngraph.sources.jax.tell.scan_recording import JaxRecording

_IN_STEP = 0.4  # of what a step hands down, the part that arrives at the same step


def clocks_of(recording: JaxRecording) -> list[int]:
    """Give every scan the number of its clock."""
    clocks: list[int] = []
    leaders: list[Site] = []
    for site in recording.sites:
        found = next((k for k, leader in enumerate(leaders) if _together(recording, site, leader, clocks)), None)
        if found is None:
            found = len(leaders)
            leaders.append(site)
        clocks.append(found)
    return clocks


def _together(recording: JaxRecording, site: Site, leader: Site, clocks: list[int]) -> bool:
    batches = [recording.layouts[one.number].batch for one in (site, leader)]
    if site.length != leader.length or batches[0] != batches[1]:
        return False
    below = [one for one in recording.sites[: site.number] if one.number in site.below]
    if not below:
        return bool(site.inputs and leader.inputs)
    clock = clocks[leader.number]
    return any(_in_step(recording, site, one) for one in below if clocks[one.number] == clock)


def _in_step(recording: JaxRecording, upper: Site, lower: Site) -> bool:
    """Ask what the middle step of one hands down to the steps of the other, past no other scan."""
    if not lower.emitted:
        return False
    middle, last = upper.length // 2, upper.first + upper.count
    results = {site.number: recording.found[site.number]["results"] for site in recording.sites}
    here, draw = upper.length - 1 - middle if upper.flipped else middle, np.random.default_rng(0)
    seeds = {}
    for k in (one for one in upper.handed if one >= last):
        aval = upper.equation.invars[k].aval
        seed = np.zeros((1, *aval.shape), np.float32)
        seed[0, here] = draw.normal(size=aval.shape[1:])
        seeds[k] = jnp.asarray(seed, aval.dtype)
    if not seeds:
        return False
    found = recording.programs.handed_down(upper.number, recording.arrays, results, seeds)[lower.number]
    places = lower.emitted
    sizes = sum(np.abs(host(found[k])[0]).reshape(lower.length, -1).sum(axis=1, dtype=float) for k in places)
    sizes = sizes[::-1] if lower.flipped else sizes
    return bool(sizes[middle] >= _IN_STEP * sizes.sum() > 0)
