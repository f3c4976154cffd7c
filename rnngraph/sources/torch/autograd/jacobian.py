"""One step back: rows of the states at a step, multiplied by the transposed Jacobian of the step into it.

In: a recording and rows. Out: rows of the states before, for the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.many_losses import Entry, pull_rows
from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import like, shape_of
from rnngraph.sources.torch.autograd.question import ask, blocked
from rnngraph.sources.torch.finding.recurrence import SEQUENCE
from rnngraph.trace.magnitudes import Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def step_back(
    recording: TorchRecording, group: Sequence[int], t: int, rows: dict[tuple[int, str], Array], samples: Integers
) -> dict[tuple[int, str], Array]:
    """Walk the layers of a fused call back over one step, the last layer first; of others, ask autograd.

    Raises:
        InputError: the recurrence has no step of its own.
    """
    tracks = [recording.tracks[number] for number in group]
    one = tracks[0].recurrence
    if one.how == SEQUENCE:
        raise InputError(
            f"{one.path} takes a whole sequence at once and has no step of its own, so it has no spectrum."
        )
    if not one.fused:
        return _asked_back(recording, group[0], t, rows, samples)
    place = max(k for k, start in enumerate(one.starts) if start <= t)
    inside, local = recording.inside(one.calls[place]), t - one.starts[place]
    found: dict[tuple[int, str], Array] = {}
    below: list[Any] = []
    for number, track in sorted(zip(group, tracks, strict=True), key=lambda pair: -pair[1].layer):
        block = inside.blocks[track.layer][track.direction != "forward"]
        mask = inside.masks[track.layer]
        count = len(rows[number, "h"])
        carry = Carry.empty(count, len(samples), [column.shape[-1] for column in block.columns.values()])
        entering = [Entry(k, local, rows[number, kind].astype(np.float64)) for k, kind in enumerate(block.columns)]
        entering += [
            Entry(0, local, one.rows[:, :, 0] * (1 if mask is None else mask[local, samples]), one.low, one.band)
            for one in below
        ]
        where = block.place_of(local)
        below = pull_rows(block, entering, carry, window=(where, where + 1), to_input=len(group) > 1, samples=samples)
        for kind, state, band in zip(block.columns, carry.states, carry.bands, strict=True):
            scale = 0 if band is None else band[..., None] * 512
            held = np.zeros_like(state)
            held[carry.low : carry.high] = np.ldexp(state, np.asarray(scale, np.int32))[carry.low : carry.high]
            found[number, kind] = held
    return found


def _asked_back(
    recording: TorchRecording, number: int, t: int, rows: dict[tuple[int, str], Array], samples: Integers
) -> dict[tuple[int, str], Array]:
    """Ask what rows of the states at t become at those before, past no others."""
    track = recording.tracks[number]
    seeds, wanted, walls = {}, {}, []
    for kind in track.cell.kinds:
        edges = track.edges(kind)
        walls += [edge for k, edge in enumerate(edges) if edge is not None and k != t]
        before = edges[t - 1] if t else None
        if before is not None:
            wanted[before] = kind
        edge = edges[t]
        if edge is None:
            continue
        some = rows[number, kind]
        wide = torch.zeros((len(some), track.recurrence.batch_of(edge), some.shape[-1]), dtype=torch.float64)
        wide[:, torch.from_numpy(samples)] = torch.from_numpy(np.ascontiguousarray(some, np.float64))
        seeds[edge] = wide.reshape(len(some), *shape_of(edge)).to(like(edge, 0.0))
    with blocked(walls):
        found = ask(recording.run, seeds, list(wanted), rows=True)
    if not wanted:
        return {}
    back = {key: np.zeros(some.shape) for key, some in rows.items()}
    for edge, moved in found.items():
        back[number, wanted[edge]] = track.by_sample(moved, lead=1)[:, torch.from_numpy(samples)].double().cpu().numpy()
    return back
