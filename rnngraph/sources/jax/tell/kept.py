"""What is kept from step to step: states of samples that have ended, and how much of a state a gate keeps.

In: a recording. Out: a mask, (N, T), True where a step is taken; and gates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import Array
from rnngraph.nn.cells.gate import SATURATED
from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.tell.arrays import by_sample
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.magnitudes import Booleans

if TYPE_CHECKING:
    from rnngraph.sources.jax.tell.scan_recording import JaxRecording


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one scan; None where a step has no such choice, or no such gate."""

    mask: Booleans | None = None  # (N, T)
    gate: Array | None = None  # (T, N, units) between 0 and 1

    def cell(self, site: Site) -> CellTrace:
        """Say what is known of the cell: its states, and the gate that keeps one."""
        cell = CellTrace(site.name, f"scan of {site.name}", site.kinds)
        if self.gate is None or site.keeper is None:
            return cell
        title = f"gate on {site.kinds[site.keeper.state]}"
        return replace(cell, gates=("keep",), keeps="keep", keeps_title=title)

    def columns(self) -> dict[str, Array]:
        """Give the gate as a window takes it, (T, N, 1, units)."""
        if self.gate is None:
            return {}
        gates = self.gate[:, :, None]
        return {"gates": gates, "gates_saturated": gates * (1 - gates) < SATURATED}


def kept_of(recording: JaxRecording, site: Site) -> Kept:
    """Ask the steps themselves, of every sample."""
    layout = recording.layouts[site.number]
    if not (site.choices or site.keeper) or None in layout.axes[: len(site.states)]:
        return Kept()
    choices, gate = recording.found[site.number]["inside"]
    keeper = site.keeper
    if keeper is None or gate.shape != recording.found[site.number]["carried"][site.states[keeper.state]].shape:
        return Kept(_mask(recording, site, choices))
    axis = layout.axes[keeper.state]
    return Kept(_mask(recording, site, choices), by_sample(gate, axis, flipped=site.flipped))


def _mask(recording: JaxRecording, site: Site, choices: list[Any]) -> Booleans | None:
    """Give the steps that are taken; where a choice is of some units alone, no step is a copy."""
    layout = recording.layouts[site.number]
    kept = np.ones((site.length, layout.batch), bool)
    for place, one in enumerate(choices):
        shape = recording.found[site.number]["carried"][site.states[place]].shape
        choice = np.asarray(one).reshape(*one.shape, *[1] * (len(shape) - one.ndim))  # a scalar or all of a state
        column = by_sample(np.broadcast_to(choice, shape), layout.axes[place], flipped=site.flipped)
        if (column.any(axis=2) != column.all(axis=2)).any():
            return None
        kept &= column.all(axis=2)
    return ~kept.T if choices and kept.any() else None
