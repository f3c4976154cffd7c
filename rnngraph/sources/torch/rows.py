"""Many losses walked back at once: through autograd between the layers, through blocks of our own inside fused ones.

In: shares, and which losses of which steps are wanted. Out: logarithms of norms at every state, told to whoever
measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.sources.torch.calls import Call
from rnngraph.sources.torch.clocks import Port
from rnngraph.sources.torch.edges import Edge, shape_of, walk_down
from rnngraph.sources.torch.inside_rows import Arriving, Leaving, rows_inside
from rnngraph.sources.torch.layout import Layout, array
from rnngraph.sources.torch.norms import row_norms
from rnngraph.sources.torch.question import ask, blocked
from rnngraph.sources.torch.recurrence import SEQUENCE
from rnngraph.sources.torch.shares import only_step
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.recording import TorchRecording

_BYTES = 96_000_000  # of the gradients of a chunk of losses at all states

_MOST = 64  # losses of a chunk
_ALL = (-1, -1)  # a row that is the losses of all steps together: it must be the whole, which was measured by itself
# (track, kind, t or -1, first row, logs of norms (rows, samples))
See = Callable[[int, str, int, int, Floats], None]


@dataclass(slots=True)
class Felt:
    """What rows become at edges: tensors with an axis of rows, each row times a power of two of its own."""

    at: dict[Edge, list[tuple[Any, Integers]]] = field(default_factory=dict)

    def add(self, edge: Edge, rows: Any, exponents: Integers) -> None:
        """Add what arrives."""
        self.at.setdefault(edge, []).append((rows, exponents))

    def total(self, edge: Edge) -> tuple[Any, Integers] | None:
        """Sum what arrived."""
        some = self.at.get(edge)
        if not some or len(some) == 1:
            return None if not some else some[0]
        top = np.maximum.reduce([exponents for _, exponents in some])
        parts = [_scaled(rows.double(), exponents - top) for rows, exponents in some]
        return sum(parts[1:], parts[0]), top


class Rows:
    """One walk of losses over all recurrences of a recording."""

    def __init__(self, recording: TorchRecording) -> None:
        """Look at what there is to walk."""
        self.recording, self.run = recording, recording.run
        fused = [one for one in recording.recurrences if one.fused]
        self.calls = sorted((call for one in fused for call in one.calls), key=lambda call: -call.begin)
        self.ports = {edge: call for call in self.calls if call.layer for edge in call.layer.ports.values()}
        self.states = [edge for one in recording.recurrences for some in one.states for edge in some]
        self.inputs = {one.input: one for one in recording.recurrences if one.how == SEQUENCE}
        self.extra: list[Edge] = []  # further edges whose rows are wanted
        self.by_step: dict[tuple[int, int], list[Port]] = {}
        for edge in recording.shares.at:
            port = recording.shares.ports.found[edge]
            for t in range(port.first, port.last + 1) if port.kind in ("out", "sequence") else (port.last,):
                self.by_step.setdefault((recording.shares.clock(port), t), []).append(port)
        self._leads = {call: self._leads_on(call) for call in self.calls}

    def chunks(self, rows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Sequence[tuple[int, int]]]]:
        """Divide rows so that their gradients at all states fit."""
        ports = (
            self.ports if len(self.calls) > 1 or self.states or self.inputs else ()
        )  # else nothing is above the only one
        size = sum(8 * int(np.prod(shape_of(edge))) for edge in (*self.states, *ports, *self.inputs))
        count = max(1, min(len(rows), _MOST, _BYTES // max(size, 1)))
        for low in range(0, len(rows), count):
            yield low, rows[low : low + count]

    def walk(
        self, rows: Sequence[tuple[int, int]], see: Callable[..., None] | None, samples: dict[int, Integers]
    ) -> Felt:
        """Walk some rows, (clock, timestep), back; the insides of fused layers are told to `see`."""
        felt = Felt()
        arriving = {call: Arriving() for call in self.calls}
        seeds: dict[Edge, Any] = {}
        for number, row in enumerate(rows):
            for step in self.by_step if row == _ALL else (row,):
                for port in self.by_step.get(step, ()):
                    self._enter(port, step[1], number, len(rows), seeds, arriving)
        self._through(seeds, np.zeros(len(rows), np.int64), felt, arriving)
        for call in self.calls:
            if arriving[call]:
                leaving = self._inside(call, arriving[call], len(rows), see, samples)
                self._through(self._onward(call, leaving), leaving.exponents, felt, arriving)
        return felt

    def _enter(
        self, port: Port, t: int, number: int, rows: int, seeds: dict[Edge, Any], arriving: dict[Call, Arriving]
    ) -> None:
        share, call = self.recording.shares.at[port.edge], port.call
        if call is not None and call in arriving and call.layer is not None:
            layout = Layout(call.module, call.layer)
            if port.kind == "out":
                one = array(layout.spread(share)[t - port.first], torch.float64)
                if one.any():
                    arriving[call].shares.append((number, t - port.first, one))
            else:
                states = array(layout.states(share), torch.float64)
                arriving[call].ends.append((port.kind, number, states[None], np.zeros(1, np.int64)))
            return
        if port.edge not in seeds:
            seeds[port.edge] = share.new_zeros((rows, *share.shape))
        seeds[port.edge][number] += only_step(share, t) if port.kind == "sequence" else share

    def _through(self, seeds: dict[Edge, Any], exponents: Integers, felt: Felt, arriving: dict[Call, Arriving]) -> None:
        """Let autograd carry rows to states and to the ports of fused layers, past no fused layer."""
        wanted = list(dict.fromkeys([*self.states, *self.inputs, *self.ports, *self.extra]))
        with blocked(self.ports):
            found = ask(self.run, seeds, wanted, rows=True)
        for edge, rows in found.items():
            call = self.ports.get(edge)
            if call is None or edge in self.extra:
                felt.add(edge, rows, exponents)
            if call is None or call.layer is None:
                continue
            layout = Layout(call.module, call.layer)
            kind = next(kind for kind, one in call.layer.ports.items() if one == edge)
            if kind == "out":
                wide = array(layout.spread(rows, lead=1).transpose(1, 2), torch.float64)
                arriving[call].fields.append((wide, exponents))
            else:
                arriving[call].ends.append((kind, 0, array(layout.states(rows, lead=1), torch.float64), exponents))

    def _inside(
        self, call: Call, arriving: Arriving, rows: int, see: Callable[..., None] | None, samples: dict[int, Integers]
    ) -> Leaving:
        inside = self.recording.inside(call)
        batch = inside.layout.batch
        chosen = samples.get(batch, np.arange(batch))
        walked = np.arange(batch) if self._leads[call] else chosen

        def told(layer: int, direction: int, t: int, low: int, logs: list[Floats]) -> None:
            if see is not None:
                see(call, layer, direction, t, low, [one[:, chosen] if self._leads[call] else one for one in logs])

        return rows_inside(inside, arriving, rows, walked, told, to_input=self._leads[call])

    def _leads_on(self, call: Call) -> bool:
        """Whether another state, or another layer, lies below a fused layer."""
        layer = call.layer
        roots = [edge for edge in (layer.x_edge, *layer.initial_edges) if edge is not None] if layer else []
        nodes = {edge[0] for edge in (*self.states, *self.ports, *self.inputs, *self.extra)}
        least = min((int(node._sequence_nr()) for node in nodes), default=0)
        return any(edge[0] in nodes for edge in roots) or any(
            node in nodes for _, node, _ in walk_down([edge[0] for edge in roots], least)
        )

    def _onward(self, call: Call, leaving: Leaving) -> dict[Edge, Any]:
        layer, seeds = call.layer, {}
        if layer is None or not self._leads[call]:
            return {}
        layout, like = Layout(call.module, layer), layer.x.tensor
        if layer.x_edge is not None and leaving.to_input is not None:
            wide = torch.from_numpy(leaving.to_input).to(like.device, like.dtype).transpose(1, 2)
            seeds[layer.x_edge] = layout.gathered(wide, lead=1)
        for edge, kind, kept in zip(layer.initial_edges, ("h", "c"), layer.initial, strict=False):
            if edge is not None:
                states = torch.from_numpy(leaving.initial[kind]).to(kept.tensor.device, kept.tensor.dtype)
                one = layout.as_given(states, lead=1)
                seeds[edge] = seeds[edge] + one if edge in seeds else one
        return seeds

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk all rows back, a chunk at a time, and tell the norms at every state."""
        for base, chunk in self.chunks(rows):
            checked = base == 0
            tell = _Teller(self.recording, base - checked, samples, see)
            felt = self.walk([_ALL, *chunk] if checked else chunk, tell.inside, samples)
            for number, track in enumerate(self.recording.tracks):
                for kind, t, edge in self.recording.state_edges(track):
                    total = felt.total(edge)
                    if total is not None:
                        tell(
                            number, kind, t, 0, _logs(track.by_sample(total[0], lead=1), total[1], samples[track.batch])
                        )
            for edge, one in self.inputs.items():
                total = felt.total(edge)
                number = self.recording.number(one)
                if total is None:
                    continue
                for t in range(one.steps):
                    chosen = samples[self.recording.tracks[number].batch]
                    tell(number, "h", t, 0, _logs(total[0][:, :, t].flatten(2), total[1], chosen))


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells norms to whoever measures, and those of all losses together to the certificate."""

    recording: TorchRecording
    base: int  # the row that the first of the chunk is; -1 where it is that of all losses
    samples: dict[int, Integers]
    see: See

    def __call__(self, number: int, kind: str, t: int, low: int, logs: Floats) -> None:
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
        """Tell what is inside a fused layer."""
        one, first = self.recording.owner(call)
        if t < 0 and call is not one.calls[0]:
            return
        number = self.recording.number(one, layer, direction)
        for kind, log in zip(self.recording.tracks[number].cell.kinds, logs, strict=True):
            self(number, kind, t + first if t >= 0 else -1, low, log)


def _logs(rows: Any, exponents: Integers, samples: Integers) -> Floats:
    """Give ln of the norms of rows (rows, N, units) at chosen samples; a batch that has shrunk gives nothing there."""
    count = rows.shape[1]
    norms = np.zeros((len(rows), len(samples)))
    inside = samples < count
    norms[:, inside] = row_norms(rows[:, torch.from_numpy(samples[inside]).to(rows.device)])
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(norms) + (exponents * np.log(2))[:, None])


def _scaled(rows: Any, bits: Integers) -> Any:
    factor = torch.from_numpy(np.ldexp(1.0, np.clip(bits, -1070, 1000).astype(np.int32)))
    return rows * factor.to(rows.device).reshape(-1, *[1] * (rows.dim() - 1))
