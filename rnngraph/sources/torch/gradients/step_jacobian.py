"""The Jacobian of one step, for the spectrum: what rows of the states at a step become at those before.

In: a recording and rows. Out: rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.one_step import OneStep
from rnngraph.sources.tape.plan import Plan
from rnngraph.sources.torch.autograd.edges import cast_to, to_float64
from rnngraph.sources.torch.autograd.vjp import vjp
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE
from rnngraph.trace.magnitudes import Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def rows_through_step(
    recording: TorchRecording, group: Sequence[int], t: int, rows: dict[tuple[int, str], Array], samples: Integers
) -> dict[tuple[int, str], Array]:
    """Walk the layers of a fused call back over one step; of others, ask autograd.

    Raises:
        InputError: the recurrence has no step of its own.
    """
    one = recording.tracks[group[0]].recurrence
    if one.how == SEQUENCE:
        raise InputError(
            f"{one.path} takes a whole sequence at once and has no step of its own, so it has no spectrum."
        )
    if not one.fused:
        return _asked_back(recording, group[0], t, rows, samples)
    place = max(k for k, start in enumerate(one.starts) if start <= t)
    inside, first = recording.inside(one.calls[place]), recording.number(one)
    step = OneStep(
        Plan(inside.tape, Clocks(inside.tape)), [number - first for number in group], t - one.starts[place], samples
    )
    found = step.back({(number - first, kind): some for (number, kind), some in rows.items()})
    return {(number + first, kind): some for (number, kind), some in found.items()}


def _asked_back(
    recording: TorchRecording, number: int, t: int, rows: dict[tuple[int, str], Array], samples: Integers
) -> dict[tuple[int, str], Array]:
    """Ask what rows of the states at t become at those before, past no others."""
    track = recording.tracks[number]
    seeds, wanted, walls = {}, {}, []
    for kind in track.cell.kinds:
        edges = track.edges(kind)
        walls += [edge for k, edge in enumerate(edges) if edge is not None and k != t]
        place = track.recurrence.before(t)
        before = None if place is None else edges[place]
        if before is not None:
            wanted[before] = kind
        edge = edges[t]
        if edge is None:
            continue
        some = rows[number, kind]
        all_ = np.zeros((len(some), track.recurrence.batch_of(edge), some.shape[-1]))
        all_[:, samples] = some
        seeds[edge] = cast_to(edge, track.as_state(torch.from_numpy(all_), edge))
    found = vjp(recording.run, seeds, list(wanted), walls=walls, rows=True)
    if not wanted:
        return {}
    back = {key: np.zeros(some.shape) for key, some in rows.items()}
    for edge, moved in found.items():
        back[number, wanted[edge]] = to_float64(track.by_sample(moved, lead=1))[:, samples].cpu().numpy()
    return back
