"""Rows of losses told to whoever measures: the norms at every state, and at what the network is fed.

In: a recording, and which losses of which steps are wanted. Out: logarithms of norms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.weight_lags import WeightLags
from rnngraph.measure.recording import FED, Felt, See, Weighed
from rnngraph.sources.torch.gradients.tracks import Track
from rnngraph.sources.torch.inputs.network_inputs import NetworkInput
from rnngraph.sources.torch.losses.edge_rows import EdgeRows, logs_of, of_samples, summed
from rnngraph.sources.torch.losses.loss_rows import ALL, LossRows
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording

_ROOM = 1e8  # from the smallest number of a type, where rows are walked again in pieces
_PIECE = 8  # steps of one


def pull(recording: TorchRecording, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
    """Walk all rows back, and tell the norms."""
    _walk_back(LossRows(recording), rows, samples, see, {})


def pull_weighed(
    recording: TorchRecording, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See
) -> Weighed:
    """Walk all rows back, tell the norms, and sum what the weights of fused layers get, by lag."""
    walk = LossRows(recording)
    sums = _sums(recording, walk, samples)
    _walk_back(walk, rows, samples, see, {weight.block: weight for weight in sums.values()})
    return {number: (weight.lags, weight.logs()) for number, weight in sums.items()}


def felt_gradients(recording: TorchRecording) -> Felt:
    """Walk all losses together as one row, which is brought to a size near one at every state."""
    total = {
        (number, kind): np.zeros(track.recurrence.steps + 1, bool)
        for number, track in enumerate(recording.tracks)
        for kind in track.cell.kinds
    }

    def see(number: int, kind: str, t: int, low: int, logs: Floats) -> None:
        if (number, kind) in total:
            arrives = np.atleast_1d(((logs > -np.inf) | np.isnan(logs)).any(axis=(-2, -1)))
            total[number, kind][t + 1 : t + 1 + len(arrives)] |= arrives

    samples = {track.batch: np.arange(track.batch) for track in recording.tracks}
    walk = LossRows(recording)
    walk.entering.clear()  # for what enters, which has nothing below, PyTorch would look at all steps before each time
    _walk_chunk(walk, [ALL], RowNorms(recording, 0, samples, see), piece=1)
    carried, immediate = {}, {}
    for key, column in total.items():
        track = recording.tracks[key[0]]
        stride = track.recurrence.stride if track.direction == "forward" else -1
        later = np.zeros(len(column) - 1, bool)
        later[max(-stride, 0) : len(later) - max(stride, 0)] = column[1 + max(stride, 0) : len(column) + min(stride, 0)]
        carried[key] = later & column[1:]
        immediate[key] = column[1:] if key[1] == "c" else np.zeros(len(later), bool)
    return Felt(total, immediate, carried)


def _walk_back(
    walk: LossRows,
    rows: Sequence[tuple[int, int]],
    samples: dict[int, Integers],
    see: See,
    weigh: dict[Block, WeightLags],
) -> None:
    """Walk a chunk of rows at a time."""
    for base, chunk in walk.chunks(rows):
        checked = base == 0 and not walk.recording.statistics  # without which the losses are not the whole
        tell = RowNorms(walk.recording, base - checked, samples, see, weigh)
        _walk_chunk(walk, [ALL, *chunk] if checked else chunk, tell)


def _walk_chunk(walk: LossRows, rows: Sequence[tuple[int, int]], tell: RowNorms, piece: int = 0) -> None:
    """Walk rows and tell of them; nothing of them is held when the next ones are walked."""
    recording, arrived = walk.recording, walk.walk(rows, tell, piece=piece)
    states = _of_states(recording, arrived, tell.samples)
    if not walk.calls and not piece and any(_is_faint(logs, smallest) for *_, logs, smallest in states):
        arrived = walk.walk(rows, tell, piece=_PIECE)
        states = _of_states(recording, arrived, tell.samples)
    for number, kind, t, logs, _ in states:
        tell(number, kind, t, 0, logs)
    with recording.run.as_it_was():
        for fed in recording.fed:
            _tell_fed(recording, fed, arrived, tell)


def _sums(recording: TorchRecording, walk: LossRows, samples: dict[int, Integers]) -> dict[int, WeightLags]:
    """Prepare sums of what the weights of fused layers get, of those that are called once: a lag counts one call's."""
    found: dict[int, WeightLags] = {}
    for call in walk.calls:
        one, _ = recording.owners[call]
        if len(one.calls) > 1:
            continue
        inside = recording.inside(call)
        chosen = samples.get(inside.layout.batch, np.arange(inside.layout.batch))
        among = chosen if walk.walks_all(call) else None
        fixed = () if inside.module.bias else ("b", "bh")
        for place, block in enumerate(inside.blocks):
            found[recording.number(one, place)] = WeightLags(block, chosen, among=among, fixed=fixed)
    return found


_Told: TypeAlias = tuple[int, str, int, Floats, float]
# A track, a kind or an input, from which step on, logs of norms (steps, rows, samples), and the smallest of their type.


def _is_faint(logs: Floats, smallest: float) -> bool:
    """Whether a row has fallen so low that its type may have rounded it."""
    return bool(((logs > -np.inf) & (logs < np.log(smallest * _ROOM))).any())


def _of_states(recording: TorchRecording, arrived: EdgeRows, samples: dict[int, Integers]) -> list[_Told]:
    found: list[_Told] = []
    for number, track in enumerate(recording.tracks):
        for kind in track.cell.kinds if not track.recurrence.fused else ():
            edges = track.edges(kind)
            wholes = {edge: arrived.whole(edge) for edge in dict.fromkeys(edges) if edge is not None}
            totals = [(t, wholes[edge]) for t, edge in enumerate(edges) if edge is not None]
            some = [(t, track.part(total[0], t, lead=1), total[1]) for t, total in totals if total is not None]
            found += _of_steps(track, number, kind, some, samples[track.batch])
    return found


def _of_steps(
    track: Track, number: int, kind: str, found: Sequence[tuple[int, Any, Integers]], samples: Integers
) -> Iterator[_Told]:
    """Measure rows by step: of steps that follow one another and are alike, at once."""
    place = itertools.count()

    def kind_of(one: tuple[int, Any, Integers]) -> tuple[Any, ...]:
        return one[0] - next(place), one[1].shape, one[1].dtype, one[1].device, one[2].tobytes()

    for _, group in itertools.groupby(found, kind_of):
        steps, rows, exponents = zip(*group, strict=True)
        logs = logs_of([track.by_sample(one, lead=1, fed=kind == FED) for one in rows], exponents[0], samples)
        yield number, kind, steps[0], logs, torch.finfo(rows[0].dtype).tiny


def _tell_fed(recording: TorchRecording, fed: NetworkInput, arrived: EdgeRows, tell: RowNorms) -> None:
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
        parts = [(part, rows) for _, some in entered for part, rows, _ in some]
        early = one.axis is not None and all(part.by_row and chosen.max() < rows.shape[1] for part, rows in parts)
        totals = [
            (t, summed([(part.back(of_samples(rows, chosen) if early else rows), e) for part, rows, e in some]))
            for t, some in entered
        ]
        samples = np.arange(len(chosen)) if early else chosen
        told = [(t, *total) for t, total in totals if total is not None]
        for _, _, t, logs, _ in _of_steps(recording.tracks[number], number, FED, told, samples):
            tell(number, FED, t, 0, logs)
    for key, call, start in zip(fed.edges, one.calls, one.starts, strict=False):
        total = arrived.total(key)
        if total is not None:
            wide = call.layer.layout.spread(total[0], lead=1)
            tell(number, FED, start, 0, logs_of(wide.unbind(1), total[1], chosen))


@dataclass(frozen=True, slots=True)
class RowNorms:
    """Tells norms to whoever measures, and those of all losses together to the certificate."""

    recording: TorchRecording
    base: int  # the row that the first of the chunk is; -1 where it is that of all losses
    samples: dict[int, Integers]
    see: See
    weigh: Mapping[Block, WeightLags] = field(default_factory=dict)

    def chosen(self, batch: int) -> Integers:
        """Give the samples of a batch that are told."""
        return self.samples.get(batch, np.arange(batch))

    def __call__(self, number: int, kind: str, t: int, low: int, logs: Floats) -> None:
        """Tell rows of one state, or of an input: (rows, samples) of one step, or (steps, rows, samples) from t on."""
        first = self.base + low
        if first < 0:
            known = self.recording.samples.get((number, kind))
            if t >= 0 and known is not None:
                whole = np.atleast_2d(logs[..., 0, :])
                samples = self.samples[self.recording.tracks[number].batch]
                run = slice(t, t + len(whole))
                self.recording.certificate.rows(
                    whole, known[run, samples], self.recording.largest_of(number)[run, samples], self.recording.dtype
                )
            first, logs = 0, logs[..., 1:, :]
        if logs.shape[-2]:
            self.see(number, kind, t, first, logs)
