"""Rows of losses told to whoever measures: the norms at every state, and at what the network is fed.

In: a recording, and which losses of which steps are wanted. Out: logarithms of norms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import FED, See
from rnngraph.sources.torch.arrived import Arrived, logs_of, of_samples, summed
from rnngraph.sources.torch.calls import Call
from rnngraph.sources.torch.fed_inputs import Fed
from rnngraph.sources.torch.layout import Layout
from rnngraph.sources.torch.rows import ALL, Rows
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def pull(recording: TorchRecording, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
    """Walk all rows back, a chunk at a time, and tell the norms."""
    walk = Rows(recording)
    for base, chunk in walk.chunks(rows):
        checked = base == 0
        tell = Teller(recording, base - checked, samples, see)
        arrived = walk.walk([ALL, *chunk] if checked else chunk, tell, samples)
        for number, track in enumerate(recording.tracks):
            for kind, t, edge in recording.state_edges(track):
                total = arrived.total(edge)
                if total is not None:
                    tell(number, kind, t, 0, logs_of(track.by_sample(total[0], lead=1), total[1], samples[track.batch]))
        for edge, one in walk.inputs.items():
            total, number = arrived.total(edge), recording.number(one)
            if total is None:
                continue
            for t in range(one.steps):
                logs = logs_of(total[0][:, :, t].flatten(2), total[1], samples[recording.tracks[number].batch])
                tell(number, "h", t, 0, logs)
                if recording.facts[number].fed:
                    tell(number, FED, t, 0, logs)
        with recording.run.as_it_was():
            for fed in recording.fed:
                _tell_fed(recording, fed, arrived, tell)


def _tell_fed(recording: TorchRecording, fed: Fed, arrived: Arrived, tell: Teller) -> None:
    """Tell of an input, but that of a fused layer that alone reads it: its inside has told."""
    one = fed.readers[0]
    number = recording.number(one)
    track = recording.tracks[number]
    chosen = tell.samples[track.batch]
    for t, tensors in enumerate(fed.steps):
        for some in tensors:
            parts = [(part, rows, e) for part in some for rows, e in arrived.at.get(part.edge, ())]
            early = all(part.by_row and chosen.max() < rows.shape[1] for part, rows, _ in parts)
            total = summed([(part.back(of_samples(rows, chosen) if early else rows), e) for part, rows, e in parts])
            if total is not None:
                samples = np.arange(len(chosen)) if early else chosen
                tell(number, FED, t, 0, logs_of(track.by_sample(total[0], lead=1), total[1], samples))
    for key, call, start in zip(fed.edges, one.calls, one.starts, strict=False):
        total = arrived.total(key)
        if total is not None and call.layer is not None:
            wide = Layout(call.module, call.layer).spread(total[0], lead=1)
            for t in range(call.steps):
                tell(number, FED, t + start, 0, logs_of(wide[:, t], total[1], chosen))


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells norms to whoever measures, and those of all losses together to the certificate."""

    recording: TorchRecording
    base: int  # the row that the first of the chunk is; -1 where it is that of all losses
    samples: dict[int, Integers]
    see: See

    def __call__(self, number: int, kind: str, t: int, low: int, logs: Floats) -> None:
        """Tell rows of one state, or of an input, at one step."""
        first = self.base + low
        if first < 0:
            known = self.recording.norms_of(number, kind)
            if t >= 0 and known is not None:
                track = self.recording.tracks[number]
                self.recording.certificate.rows(logs[0], known[t], self.samples[track.batch], self.recording.dtype)
            first, logs = 0, logs[1:]
        if len(logs):
            self.see(number, kind, t, first, logs)

    def inside(self, call: Call, layer: int, direction: int, t: int, low: int, logs: list[Floats]) -> None:
        """Tell of states inside a fused layer."""
        one, first = self.recording.owner(call)
        if t < 0 and call is not one.calls[0]:
            return
        number = self.recording.number(one, layer, direction)
        for kind, log in zip(self.recording.tracks[number].cell.kinds, logs, strict=True):
            self(number, kind, t + first if t >= 0 else -1, low, log)

    def input(self, call: Call, t: int, low: int, logs: Any) -> None:
        """Tell of the input of a fused layer that alone reads it, at steps from t on."""
        one, first = self.recording.owner(call)
        for k, some in enumerate(logs):
            self(self.recording.number(one), FED, t + first + k, low, some)
