"""Many losses walked back at once: through autograd between the layers, through blocks of our own inside fused ones.

In: shares, and which losses of which steps are wanted. Out: rows at the edges of states and inputs; what is inside a
fused layer is told by steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.sources.torch.autograd.edges import (
    Edge,
    age,
    at_and_below,
    bytes_of,
    oldest,
)
from rnngraph.sources.torch.autograd.opaque_nodes import all_above, frozen_statistics
from rnngraph.sources.torch.autograd.tables import WRITTEN
from rnngraph.sources.torch.autograd.vjp import EdgeIndex, vjp
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.fused_layers.layout import array
from rnngraph.sources.torch.fused_layers.rows_inside import RowsIn, rows_inside
from rnngraph.sources.torch.inputs.network_inputs import NetworkInput, edges_in, read_elsewhere, recurrences_behind
from rnngraph.sources.torch.losses.edge_rows import EdgeRows, rescaled
from rnngraph.sources.torch.losses.ports import Port
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording
    from rnngraph.sources.torch.losses.row_norms import RowNorms

_BYTES = 40_000_000  # of the gradients of a chunk of losses at all states
_MOST = 64  # losses of a chunk
ALL = (-1, -1)  # a row that is the losses of all steps together: it must be the whole, which was measured by itself


class LossRows:
    """What losses of a recording are walked over, and where their rows are wanted."""

    def __init__(self, recording: TorchRecording, extra: Sequence[Edge] = ()) -> None:
        """Look at what there is to walk; `extra` are further edges whose rows are wanted."""
        self.recording, self.run = recording, recording.run
        fused = [one for one in recording.recurrences if one.fused]
        self.calls = sorted((call for one in fused for call in one.calls), key=lambda call: -call.begin)
        self.ports = {edge: port for edge, port in recording.shares.ports.items() if port.call is not None}
        self.states = [edge for one in recording.recurrences for some in one.states for edge in some]
        self.inputs = [one.input for one in recording.recurrences if one.how == SEQUENCE]
        self.extra = [*all_above(self.states), *extra]
        alone = {fed: len(fed.readers) == 1 and not read_elsewhere(self.run, fed.readers[0]) for fed in recording.fed}
        self.entering = edges_in(fed.steps for fed in recording.fed)
        for one in (one for fed, own in alone.items() if fed.edges and not own for one in fed.readers):
            self.entering += [call.layer.fed_edge for call in one.calls if call.layer.fed_edge]
        reached = {*self.states, *self.ports, *self.inputs}
        self.onward = self._lead_on(reached)
        self.alone: set[Call] = set()  # the fused calls whose input nothing else reads, which is told step by step
        self.summed: dict[Call, Any] = {}  # those whose input is summed, with what names it
        for fed, own in alone.items():
            self._part_inputs(fed, alone=own)
        self.by_step: dict[tuple[int, int], list[Port]] = {}
        self.outputs: dict[Edge, Any] = {}  # what enters at those of fused layers, (T, N, ·) on this machine
        for edge, share in recording.shares.at.items():
            port = recording.shares.ports[edge]
            if port.call is not None and port.kind == "out":
                self.outputs[edge] = port.call.layer.layout.spread(share).cpu()
            for t in range(port.first, port.last + 1):
                self.by_step.setdefault((recording.shares.clock(port), t), []).append(port)
        # Of tables from which states are read each is made of the one before: what goes through them would go through
        # all below again in every piece.
        below = at_and_below((node for node, _ in self.states), oldest(node for node, _ in reached), tables=True)
        self.tables = [(node, 0) for node in below if node.name() == WRITTEN]

    def _lead_on(self, reached: set[Edge]) -> dict[Call, list[Edge]]:
        """Find the edges into fused calls from which rows must go on, as something of what is `reached` lies behind."""
        behind = recurrences_behind(self.run, {*reached, *self.entering}) if self.calls else reached.__contains__
        found: dict[Call, list[Edge]] = {}
        for call in self.calls:
            x = call.layer.x_edge
            found[call] = [edge for edge in call.layer.initial_edges if edge is not None and behind(edge)]
            # What a layer hands to its own input needs no walk: it is added there, and nothing underflows.
            if x is not None and (x in reached or any(behind(tuple(below)) for below in x[0].next_functions)):
                found[call].append(x)
        return found

    def _part_inputs(self, fed: NetworkInput, *, alone: bool) -> None:
        """Part the fused layers whose input is told at once from those to which others add, or which hand it on."""
        for call, key in ((call, key) for one in fed.readers for call, key in zip(one.calls, fed.edges, strict=False)):
            goes_on = call.layer.x_edge in self.onward[call]
            if alone and not goes_on:
                self.alone.add(call)
            elif alone or not goes_on:  # else it is among what enters, where the walk onward counts it
                self.summed[call] = key

    def chunks(self, rows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Sequence[tuple[int, int]]]]:
        """Divide rows so that their gradients at all states fit."""
        above = len(self.calls) > 1 or self.states or self.inputs  # whether anything reaches a port but losses
        held = {*self.states, *(self.ports if above else ()), *self.inputs, *self.entering, *self.tables}
        size = sum(bytes_of(edge) for edge in held)
        count = max(1, min(len(rows), _MOST, _BYTES // max(size, 1)))
        for low in range(0, len(rows), count):
            yield low, rows[low : low + count]

    def walks_all(self, call: Call) -> bool:
        """Whether all samples of a fused layer are walked, as something below it takes its gradient."""
        return bool(self.onward[call]) or call in self.summed

    def walk(self, rows: Sequence[tuple[int, int]], tell: RowNorms, *, piece: int = 0) -> EdgeRows:
        """Walk some rows, (clock, timestep), back; the insides of fused layers are told to `tell`.

        Autograd carries them from station to station: the calls of fused layers, and where a `piece` of so many steps
        is given, the states between pieces. There every row is brought to a size near one.
        """
        return _Walk(self, len(rows), tell, piece).walk(rows)


class _Walk:
    """Some rows under way."""

    def __init__(self, over: LossRows, count: int, tell: RowNorms, piece: int) -> None:
        self.over, self.count, self.tell, self.recording = over, count, tell, over.recording
        self.at, self.seeds = EdgeRows(), dict[Edge, Any]()
        self.entering = {call: RowsIn(self.recording.inside(call), self._samples(call)) for call in over.calls}
        ends = [step for one in self.recording.recurrences for step in one.states[::piece]] if piece else []
        tables = over.tables[::piece] if piece else ()
        self.cuts = dict.fromkeys([*(edge for step in ends for edge in step), *tables])
        self.kept = dict.fromkeys([*over.states, *over.inputs, *over.extra, *over.entering])
        self.wanted = EdgeIndex(dict.fromkeys([*self.kept, *over.ports, *self.cuts]))
        self.walls = EdgeIndex([*over.ports, *self.cuts])

    def _samples(self, call: Call) -> Integers:
        batch = call.layer.layout.batch
        return np.arange(batch) if self.over.walks_all(call) else self.tell.chosen(batch)

    def walk(self, rows: Sequence[tuple[int, int]]) -> EdgeRows:
        """Walk from station to station."""
        shares = self.recording.shares
        for number, row in enumerate(rows):
            whole = row == ALL or shares.joint
            for port in [shares.ports[edge] for edge in shares.at] if whole else self.over.by_step.get(row, ()):
                self._enter(port, None if whole else row[1], number)
        self._through(self.seeds, np.zeros(len(rows), np.int64))
        stations = [(call.begin, call) for call in self.over.calls] + [(age(edge), edge) for edge in self.cuts]
        for _, station in sorted(stations, key=lambda one: -one[0]):
            onward = self._inside(station) if isinstance(station, Call) else self._from_cut(station)
            if onward:
                self._through(*rescaled(onward))
        return self.at

    def _enter(self, port: Port, t: int | None, number: int) -> None:
        """Let the share at a port enter in one row: a step's, or for None that of all of its steps."""
        share, call = self.recording.shares.at[port.edge], port.call
        if call is None:
            if port.edge not in self.seeds:
                self.seeds[port.edge] = share.new_zeros((self.count, *share.shape))
            here = ... if t is None or port.kind != "sequence" else (slice(None), t)
            self.seeds[port.edge][number][here] += share[here]
        elif t is None or port.kind != "out":
            self.entering[call].add(port.kind, share[None], np.zeros(1, np.int64), number)
        else:
            one = array(self.over.outputs[port.edge][t - port.first], torch.float64)
            if one.any():
                self.entering[call].at_step(number, t - port.first, one)

    def _through(self, seeds: dict[Edge, Any], exponents: Integers) -> None:
        """Let autograd carry rows to states and to the ports of fused layers, past none of these and no wall."""
        still = frozen_statistics(self.recording.statistics)
        found = vjp(self.over.run, seeds, self.wanted, walls=self.walls, hooks=still, rows=True)
        for edge, rows in found.items():
            if edge in self.kept or edge in self.cuts:
                self.at.add(edge, rows, exponents)
            port = self.over.ports.get(edge)
            if port is not None and port.call is not None:
                self.entering[port.call].add(port.kind, rows, exponents)

    def _from_cut(self, edge: Edge) -> dict[Edge, tuple[Any, Integers]]:
        """Give what goes on from an edge between pieces."""
        total = self.at.total(edge)
        if edge not in self.kept:  # a table, which is large
            self.at.at.pop(edge, None)
        self.wanted.remove(edge)  # which counts what arrives there already
        self.walls.remove(edge)
        return {} if total is None else {edge: total}

    def _inside(self, call: Call) -> dict[Edge, tuple[Any, Integers]]:
        """Walk a fused layer, and give what it hands on by the edges that lead to it."""
        over, layer, onward = self.over, call.layer, self.over.onward[call]
        if not self.entering[call]:
            return {}
        one, start = self.recording.owners[call]
        near = self.tell.chosen(layer.layout.batch) if over.walks_all(call) else slice(None)

        def told(place: int, kind: str, t: int, low: int, logs: Floats) -> None:
            if t >= 0 or not start:  # else a first state is the last one of the call before
                self.tell(self.recording.number(one, place), kind, t + start if t >= 0 else t, low, logs[..., near])

        leaving = rows_inside(
            self.entering[call], self.count, told, onward=over.walks_all(call), to_input=call in over.alone,
            weigh=self.tell.weigh, ignored=int(self.tell.base < 0),
        )  # fmt: skip
        for some in leaving.at_input() if call in over.summed else ():
            self.at.add(over.summed[call], *some)
        found = EdgeRows()
        for some in leaving.at_input() if layer.x_edge in onward else ():
            found.add(layer.x_edge, *some)
        for edge, kind in zip(layer.initial_edges, ("h", "c"), strict=False):
            for some in leaving.at_start(kind) if edge in onward else ():
                found.add(edge, *some)
        return {edge: total for edge in found.at if (total := found.total(edge)) is not None}
