"""The windows of states that stand in PyTorch's graph themselves, from the gradients that autograd gave.

In: a recording that has asked, and a track. Out: what is lent to `measure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import Take
from rnngraph.sources.torch.by_step import time_first
from rnngraph.sources.torch.columns import Columns
from rnngraph.sources.torch.edges import Edge
from rnngraph.sources.torch.operations import squashed
from rnngraph.sources.torch.tracks import Track

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def walk_states(
    recording: TorchRecording,
    number: int,
    track: Track,
    parts: tuple[Mapping[Edge, Any], Mapping[Edge, Any]],
    take: Take,
) -> None:
    """Lend the states of a recurrence that is called step by step; `parts` are the carried and immediate gradients."""
    one = track.recurrence
    gates = squashed(one, track.cell)
    for kind in track.cell.kinds:
        columns = Columns(one.steps, track.batch)
        for t, edge in enumerate(track.edges(kind)):
            if edge is None:
                continue
            value = one.value(edge, t)
            if value is not None and not bool(value.isfinite().all()):
                recording.broken.forward(recording.order_of(one, t), number, kind, t)
            given = (recording.total(edge), parts[0].get(edge), parts[1].get(edge), value)
            columns.see(t, *(None if g is None else track.by_sample(g) for g in given))
        recording.note_norms(number, kind, slice(None), columns.samples)
        for t in np.flatnonzero(columns.nonfinite).tolist():
            recording.broken.backward(recording.order_of(one, t), number, kind, t)
        take(columns.reduced(number, kind, None if kind != "h" else gates))


def walk_sequence(recording: TorchRecording, number: int, track: Track, take: Take) -> None:
    """Lend the positions of a module that is called once, which have no carried part."""
    one = track.recurrence
    columns = Columns(one.steps, track.batch)
    total = recording.total(one.input)
    for t in range(one.steps):
        columns.see(t, None if total is None else time_first(total)[t].flatten(1), None, None, None)
    columns.carried[:] = columns.immediate[:] = np.nan
    recording.note_norms(number, "h", slice(None), columns.samples)
    take(columns.reduced(number, "h", None))
