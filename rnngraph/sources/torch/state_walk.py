"""The windows of states that stand in PyTorch's graph themselves, from the gradients that autograd gave.

In: a recording that has asked, and a track. Out: columns that are lent to `measure`, and where in the run a number was
not finite for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import Reduced, Take
from rnngraph.sources.torch.by_step import time_first
from rnngraph.sources.torch.edges import Edge
from rnngraph.sources.torch.operations import squashed
from rnngraph.sources.torch.row_norms import norm, sample_norms
from rnngraph.sources.torch.tracks import Track

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


@dataclass(slots=True)
class Broken:
    """The first state in the forward pass that is not finite, and the first gradient in the backward pass."""

    value: tuple[tuple[int, int], int, str, int] | None = None  # when, track, kind, timestep
    gradient: tuple[tuple[int, int], int, str, int] | None = None

    def forward(self, when: tuple[int, int], number: int, kind: str, t: int) -> None:
        """Note a value that is not finite."""
        if self.value is None or when < self.value[0]:
            self.value = when, number, kind, t

    def backward(self, when: tuple[int, int], number: int, kind: str, t: int) -> None:
        """Note a gradient that is not finite."""
        if self.gradient is None or when > self.gradient[0]:
            self.gradient = when, number, kind, t


class Columns:
    """The columns of one state under way."""

    def __init__(self, time: int, batch: int) -> None:
        """Start with nothing observed."""
        self.samples = np.zeros((time, batch))
        self.carried, self.immediate = np.zeros(time), np.zeros(time)
        self.zeros, self.nonfinite = np.zeros(time, np.int64), np.zeros(time, np.int64)
        self.activation = np.full(time, np.nan)

    def see(self, t: int, total: Any, carried: Any, immediate: Any, value: Any) -> None:
        """Measure one step: tensors (samples, units), or None where there is nothing."""
        if total is not None:
            found = sample_norms(total)
            self.samples[t, : len(total)] = found
            self.zeros[t] = total.numel() - int(total.count_nonzero())
            if np.isnan(found).any():
                self.nonfinite[t] = int((~total.isfinite()).sum())
        if carried is not None:
            self.carried[t] = norm(carried)
        if immediate is not None:
            self.immediate[t] = norm(immediate)
        if value is not None:
            self.activation[t] = norm(value) / np.sqrt(value.numel())

    def reduced(self, number: int, kind: str, gates: Any) -> Reduced:
        """Give the columns."""
        more = (None, None, None, None) if gates is None else (gates.state, gates.mean, gates.share, gates.kept)
        return Reduced(
            number, kind, self.samples, self.immediate, self.carried, self.zeros, self.nonfinite, self.activation, *more
        )


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
