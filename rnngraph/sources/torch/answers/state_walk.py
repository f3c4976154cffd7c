"""The windows of states that stand in PyTorch's graph themselves, from the gradients that autograd gave.

In: a recording that has asked, and a track. Out: columns that are lent to `measure`, and where in the run a number was
not finite for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph import norms
from rnngraph.measure.recording import Reduced, Take
from rnngraph.sources.torch.answers.by_step import alike, norms_by_step, time_first
from rnngraph.sources.torch.answers.squashed import squashed
from rnngraph.sources.torch.answers.tracks import Track
from rnngraph.sources.torch.autograd.edges import Edge

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
    """The columns of one state."""

    def __init__(self, time: int, batch: int, totals: Sequence[Any], values: Sequence[Any] = ()) -> None:
        """Measure gradients, and values where they are known, by step: (samples, units), or None."""
        self.samples = norms_by_step(totals, (time, batch))
        self.carried, self.immediate = np.full(time, np.nan), np.full(time, np.nan)
        self.zeros, self.nonfinite = np.zeros(time, np.int64), np.zeros(time, np.int64)
        for first, some in alike(totals):
            self.zeros[first : first + len(some)] = (some == 0).flatten(1).sum(dim=1).cpu().numpy()
        for t in np.flatnonzero(np.isnan(self.samples).any(axis=1)).tolist():
            self.nonfinite[t] = int((~totals[t].isfinite()).sum())
        sizes = np.array([np.nan if one is None else one.numel() for one in values] or [np.nan] * time)
        self.activation = norms.row_norms(norms_by_step(values, (time, batch))) / np.sqrt(sizes)

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
        edges = track.edges(kind)
        values = [None if edge is None else one.value(edge, t) for t, edge in enumerate(edges)]
        total, carried, immediate, value = (
            [None if given is None else track.by_sample(given) for given in some]
            for some in (
                [edge and recording.total(edge) for edge in edges],
                *([edge and part.get(edge) for edge in edges] for part in parts),
                values,
            )
        )
        recording.certificate.sums(total, carried, immediate)
        columns = Columns(one.steps, track.batch, total, value)
        columns.carried, columns.immediate = (
            norms.row_norms(norms_by_step(some, columns.samples.shape)) for some in (carried, immediate)
        )
        for t, known in enumerate(values):
            if known is not None and not np.isfinite(columns.activation[t]):
                recording.broken.forward(recording.order_of(one, t), number, kind, t)
        recording.note_norms(number, kind, slice(None), columns.samples)
        for t in np.flatnonzero(columns.nonfinite).tolist():
            recording.broken.backward(recording.order_of(one, t), number, kind, t)
        take(columns.reduced(number, kind, None if kind != "h" else gates))


def walk_sequence(recording: TorchRecording, number: int, track: Track, take: Take) -> None:
    """Lend the positions of a module that is called once, which have no carried part."""
    one = track.recurrence
    total = recording.total(one.input)
    steps = [None] * one.steps if total is None else [some.flatten(1) for some in time_first(total)]
    columns = Columns(one.steps, track.batch, steps)
    recording.note_norms(number, "h", slice(None), columns.samples)
    take(columns.reduced(number, "h", None))
