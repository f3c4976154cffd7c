"""What is known of every scan before anything is measured: its clock, and the steps at which it keeps or forgets.

In: a recording. Out: `Facts`, and the gate that keeps a state. Scans of one length take their steps together where one
hands its steps to the other in step, or where both read what the network is fed; a decoder that begins from an
encoder's end has a clock of its own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from rnngraph.measure.recording import Array, Facts
from rnngraph.norms import norm
from rnngraph.sources.jax.finding.sites import Site
from rnngraph.sources.jax.running.samples import by_sample, host
from rnngraph.sources.jax.scan_weights import slices
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.magnitudes import Booleans
from rnngraph.trace.model import FORWARD, REVERSE

if TYPE_CHECKING:
    from rnngraph.sources.jax.scan_recording import JaxRecording

_IN_STEP = 0.4  # of what a step hands down, the part that arrives at the same step


def facts_of(recording: JaxRecording, site: Site) -> Facts:
    """Say what is known of a scan."""
    layout, name = recording.layouts[site.number], site.name
    kept, of_some_units = _chosen(recording, site, "kept")
    forgotten, _ = _chosen(recording, site, "forgotten")
    stopped, _ = _chosen(recording, site, "stopped")
    cuts: Booleans = np.asarray(stopped.all(axis=1))  # of all samples, as to truncate
    anew = forgotten | stopped & ~cuts[:, None]
    axes = layout.axes[len(site.states) :]
    heard = bool(axes) and (layout.batch == 1 or None not in axes)  # its input's credit, sample by sample
    cell = CellTrace(name, f"scan of {name}", site.kinds)
    if gate_of(recording, site) is not None and site.gate is not None:
        cell = replace(cell, gates=("keep",), keeps="keep", keeps_title=f"gate on {site.kinds[site.gate.state]}")
    return Facts(
        name, name, 0, REVERSE if site.reverse else FORWARD, cell, {kind: f"{name}.{kind}" for kind in site.kinds},
        site.length, layout.batch, recording.clocks[site.number], recording.nodes[site.number],
        ~kept.T if kept.any() and not of_some_units else None, cuts[None] if cuts.any() else None,
        anew.T if anew.any() else None,
        fed=input_name(site) if heard else "", fed_weight=_weight(recording, site),
    )  # fmt: skip


def _weight(recording: JaxRecording, site: Site) -> float:
    """Give the norm of what the inputs are multiplied by; NaN where no product of a step shows it."""
    parts = [host(recording.arrays[one.leaf])[slices(one.spans)] for one in site.reading]
    return math.hypot(*map(norm, parts)) if parts else math.nan


def input_name(site: Site) -> str:
    """Name what a scan reads."""
    return f"input of {site.name}"


def _chosen(recording: JaxRecording, site: Site, what: str) -> tuple[Booleans, bool]:
    """Say where a sample keeps, or forgets, all of its states, (T, N); and whether some units alone ever do."""
    layout, found, spots = recording.layouts[site.number], recording.found[site.number], site.spots[what]
    every, mixed = np.full((site.length, layout.batch), bool(spots)), False
    for place, some in enumerate(spots):
        shape, units = found["carried"][site.states[place]].shape, np.zeros(1, bool)
        for one, spot in zip(map(np.asarray, found["inside"][what][place]), some, strict=True):
            like = spot.shape or shape[1:]
            choice = one.reshape(*one.shape, *[1] * (1 + len(like) - one.ndim))  # a scalar or all of a state
            choice = np.broadcast_to(choice, (len(one), *like)).reshape(shape)
            own = by_sample(choice, layout.axes[place], flipped=site.flipped)
            units = units | own
        own = np.asarray(units.all(axis=2))
        mixed |= bool((units.any(axis=2) != own).any())
        if some[0].ends is not None:  # the step that is processed next is the one that starts anew
            own = site.from_next(own[::-1])[::-1]
        every &= own
    if what == "forgotten":
        every[-1 if site.reverse else 0] = False  # there is nothing to forget
    return every, mixed


def gate_of(recording: JaxRecording, site: Site) -> Array | None:
    """Give the gate that keeps a state, (T, N, units), where it is one number a unit."""
    gate, found = site.gate, recording.found[site.number]
    if gate is None or found["inside"]["gate"].shape != found["carried"][site.states[gate.state]].shape:
        return None
    axis = recording.layouts[site.number].axes[gate.state]
    return by_sample(found["inside"]["gate"], axis, flipped=site.flipped)


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
    if not site.below:
        return site.placed and leader.placed and bool(site.inputs and leader.inputs)
    below = [one for one in recording.sites if one.number in site.below and clocks[one.number] == clocks[leader.number]]
    return any(_in_step(recording, site, one) for one in below)


def _in_step(recording: JaxRecording, upper: Site, lower: Site) -> bool:
    """Ask what the middle step of one hands down to the steps of the other, past no other scan."""
    middle, draw, seeds = upper.length // 2, np.random.default_rng(0), {}
    for k in (one for one in upper.handed if one >= upper.first + upper.count):
        aval = upper.equation.invars[k].aval
        seed = np.zeros((1, *aval.shape), np.float32)
        seed[0, upper.length - 1 - middle if upper.flipped else middle] = draw.normal(size=aval.shape[1:])
        seeds[k] = jnp.asarray(seed, aval.dtype)
    if not seeds or not lower.emitted:
        return False
    found = recording.programs.handed_down(upper.number, recording.arrays, recording.results, seeds)[lower.number]
    columns = [np.abs(host(found[k])[0]).reshape(lower.length, -1).sum(axis=1, dtype=float) for k in lower.emitted]
    sizes = np.sum(columns, axis=0)[:: -1 if lower.flipped else 1]
    return bool(sizes[middle] >= _IN_STEP * sizes.sum() > 0)
