"""Rows of losses told to whoever measures: the norms at every state, and at what the network is fed.

In: a recording, and which losses of which steps are wanted. Out: logarithms of norms.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.weight_lags import WeightLags
from rnngraph.measure.recording import FED, See, Weighed
from rnngraph.sources.torch.answers.rows import ALL, Rows
from rnngraph.sources.torch.answers.tracks import Track
from rnngraph.sources.torch.autograd.arrived import Arrived, logs_of, of_samples, summed
from rnngraph.sources.torch.finding.fed_inputs import Fed
from rnngraph.sources.torch.fused.layout import Layout
from rnngraph.sources.torch.watching.calls import Call
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def pull(
    recording: TorchRecording, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See, *,
    weighed: bool = False,
) -> Weighed:  # fmt: skip
    """Walk all rows back, a chunk at a time, and tell the norms; sum what the weights get where that is `weighed`."""
    walk = Rows(recording)
    sums = _sums(recording, walk, samples) if weighed else {}
    weigh = {weight.block: weight for weight in sums.values()}
    for base, chunk in walk.chunks(rows):
        checked = base == 0
        for weight in weigh.values():
            weight.begin(len(chunk) + checked, ignored=int(checked))
        tell = Teller(recording, base - checked, samples, see, weigh)
        arrived = walk.walk([ALL, *chunk] if checked else chunk, tell, samples)
        for number, track in enumerate(recording.tracks):
            for kind in track.cell.kinds if track.recurrence.states else ():
                _tell_states(tell, number, track, kind, arrived)
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
    return {number: (weight.lags, weight.logs()) for number, weight in sums.items()}


def _sums(recording: TorchRecording, walk: Rows, samples: dict[int, Integers]) -> dict[int, WeightLags]:
    """Prepare sums of what the weights of fused layers get, of those that are called once: a lag counts one call's."""
    found: dict[int, WeightLags] = {}
    for call in walk.calls:
        one, _ = recording.owner(call)
        if len(one.calls) > 1:
            continue
        inside = recording.inside(call)
        chosen = samples.get(inside.layout.batch, np.arange(inside.layout.batch))
        among = chosen if walk.walks_all(call) else None
        for layer, row in enumerate(inside.blocks):
            for d, block in enumerate(row):
                fixed = () if inside.module.bias else ("b", "bh")
                found[recording.number(one, layer, d)] = WeightLags(block, chosen, among=among, fixed=fixed)
    return found


def _tell_states(tell: Teller, number: int, track: Track, kind: str, arrived: Arrived) -> None:
    """Tell of one state."""
    totals = [(t, arrived.total(edge)) for t, edge in enumerate(track.edges(kind)) if edge is not None]
    _tell_steps(tell, number, kind, [(t, *total) for t, total in totals if total is not None])


def _tell_steps(
    tell: Teller, number: int, kind: str, found: Sequence[tuple[int, Any, Integers]], samples: Integers | None = None
) -> None:
    """Tell rows by step: of steps that follow one another and are alike, at once."""
    track = tell.recording.tracks[number]
    place = itertools.count()
    for _, group in itertools.groupby(found, lambda one: (one[0] - next(place), one[1].shape, one[2].tobytes())):
        steps, rows, exponents = zip(*group, strict=True)
        stacked = track.by_sample(torch.stack(rows), lead=2)
        chosen = tell.samples[track.batch] if samples is None else samples
        tell(number, kind, steps[0], 0, logs_of(stacked, exponents[0], chosen))


def _tell_fed(recording: TorchRecording, fed: Fed, arrived: Arrived, tell: Teller) -> None:
    """Tell of an input, but that of a fused layer that alone reads it: its inside has told."""
    one = fed.readers[0]
    number = recording.number(one)
    chosen = tell.samples[recording.tracks[number].batch]
    for place in range(max(map(len, fed.steps), default=0)):
        entered = [
            (t, [(part, rows, e) for part in some[place] for rows, e in arrived.at.get(part.edge, ())])
            for t, some in enumerate(fed.steps)
            if place < len(some)
        ]
        early = all(part.by_row and chosen.max() < rows.shape[1] for _, some in entered for part, rows, _ in some)
        totals = [
            (t, summed([(part.back(of_samples(rows, chosen) if early else rows), e) for part, rows, e in some]))
            for t, some in entered
        ]
        samples = np.arange(len(chosen)) if early else chosen
        _tell_steps(tell, number, FED, [(t, *total) for t, total in totals if total is not None], samples)
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
    weigh: Mapping[Block, WeightLags] = field(default_factory=dict)

    def __call__(self, number: int, kind: str, t: int, low: int, logs: Floats) -> None:
        """Tell rows of one state, or of an input: (rows, samples) of one step, or (steps, rows, samples) from t on."""
        first = self.base + low
        if first < 0:
            known = self.recording.norms_of(number, kind)
            if t >= 0 and known is not None:
                whole = np.atleast_2d(logs[..., 0, :])
                samples = self.samples[self.recording.tracks[number].batch]
                self.recording.certificate.rows(whole, known[t : t + len(whole), samples], self.recording.dtype)
            first, logs = 0, logs[..., 1:, :]
        if logs.shape[-2]:
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
