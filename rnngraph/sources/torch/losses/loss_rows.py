"""Many losses walked back at once: through autograd between the layers, through blocks of our own inside fused ones.

In: shares, and which losses of which steps are wanted. Out: rows at the edges of states and inputs; what is inside a
fused layer is told by steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.sources.torch.autograd.edge_index import EdgeIndex
from rnngraph.sources.torch.autograd.edges import (
    WRITTEN,
    Edge,
    age,
    at_and_below,
    bytes_of,
    home_of_float64,
    oldest,
)
from rnngraph.sources.torch.autograd.opaque_nodes import all_above, frozen_statistics
from rnngraph.sources.torch.autograd.vjp import vjp
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.fused_layers.layout import array
from rnngraph.sources.torch.fused_layers.rows_inside import RowsIn, RowsOut, rows_inside
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
    """One walk of losses over all recurrences of a recording."""

    def __init__(self, recording: TorchRecording) -> None:
        """Look at what there is to walk."""
        self.recording, self.run = recording, recording.run
        fused = [one for one in recording.recurrences if one.fused]
        self.calls = sorted((call for one in fused for call in one.calls), key=lambda call: -call.begin)
        self.ports = {edge: port for edge, port in recording.shares.ports.items() if port.call is not None}
        self.states = [edge for one in recording.recurrences for some in one.states for edge in some]
        self.inputs = [one.input for one in recording.recurrences if one.how == SEQUENCE]
        self.extra = all_above(self.states)  # further edges whose rows are wanted
        nodes = {*self.states, *self.ports, *self.inputs}
        behind = recurrences_behind(self.run, nodes) if self.calls else nodes.__contains__
        self.onward = {  # by fused call, the edges into it behind which there is more
            call: [edge for edge in (call.layer.x_edge, *call.layer.initial_edges) if edge is not None and behind(edge)]
            for call in self.calls
        }
        self.alone: set[Call] = set()  # the fused calls whose input nothing else reads, which is told step by step
        self.summed: dict[Call, Any] = {}  # those whose input is summed, with what names it
        self.entering = edges_in(fed.steps for fed in recording.fed)
        for fed in recording.fed:
            self._part_inputs(fed)
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
        below = (
            at_and_below((node for node, _ in self.states), oldest(node for node, _ in nodes)) if self.states else ()
        )
        self.tables = [(node, 0) for node in below if node.name() == WRITTEN]

    def _part_inputs(self, fed: NetworkInput) -> None:
        """Part the fused layers whose input is told at once from those to which others add, or which hand it on."""
        alone = len(fed.readers) == 1 and not read_elsewhere(self.run, fed.readers[0])
        for call, key in ((call, key) for one in fed.readers for call, key in zip(one.calls, fed.edges, strict=False)):
            edge = call.layer.fed_edge
            if alone and edge not in self.onward[call]:
                self.alone.add(call)
                continue
            if edge not in self.onward[call]:  # else what is handed on is counted where it enters
                self.summed[call] = key
            self.entering += [edge] if edge else []

    def chunks(self, rows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Sequence[tuple[int, int]]]]:
        """Divide rows so that their gradients at all states fit."""
        ports = (
            self.ports if len(self.calls) > 1 or self.states or self.inputs else ()
        )  # else nothing is above the only one
        held = {*self.states, *ports, *self.inputs, *self.entering, *self.tables}
        size = sum(bytes_of(edge) for edge in held)
        count = max(1, min(len(rows), _MOST, _BYTES // max(size, 1)))
        for low in range(0, len(rows), count):
            yield low, rows[low : low + count]

    def walk(self, rows: Sequence[tuple[int, int]], tell: RowNorms, *, piece: int = 0) -> EdgeRows:
        """Walk some rows, (clock, timestep), back; the insides of fused layers are told to `tell`.

        Autograd carries them from station to station: the calls of fused layers, and where a `piece` of so many steps
        is given, the states between pieces. There every row is brought to a size near one.
        """
        at = EdgeRows()
        entering = {call: self._entering(call, tell) for call in self.calls}
        seeds: dict[Edge, Any] = {}
        shares = self.recording.shares
        for number, row in enumerate(rows):
            whole = row == ALL or shares.joint
            for port in [shares.ports[edge] for edge in shares.at] if whole else self.by_step.get(row, ()):
                self._enter(port, None if whole else row[1], number, len(rows), seeds, entering)
        ends = [step for one in self.recording.recurrences for step in one.states[::piece]] if piece else []
        cuts = dict.fromkeys([*(edge for step in ends for edge in step), *(self.tables[::piece] if piece else ())])
        wanted = dict.fromkeys([*self.states, *self.inputs, *self.ports, *self.extra, *self.entering])
        self._wanted = EdgeIndex([*wanted, *cuts])
        self._walls = EdgeIndex([*self.ports, *cuts])
        self._through(seeds, np.zeros(len(rows), np.int64), at, entering)
        stations = [(call.begin, call) for call in self.calls] + [(age(edge), edge) for edge in cuts]
        for _, station in sorted(stations, key=lambda one: -one[0]):
            onward = {}
            if not isinstance(station, Call):
                onward = {station: total} if (total := at.total(station)) is not None else {}
                if station not in wanted:  # a table, which is large
                    at.at.pop(station, None)
                self._wanted.remove(station)  # which counts what arrives there already
                self._walls.remove(station)
            elif entering[station]:
                leaving = self._inside(station, entering[station], len(rows), tell)
                if station in self.summed:
                    for some, exponents in self._to_input(station, leaving):
                        at.add(self.summed[station], some, exponents)
                onward = self._onward(station, leaving)
            if onward:
                self._through(*rescaled(onward), at, entering)
        return at

    def _enter(
        self, port: Port, t: int | None, number: int, rows: int, seeds: dict[Edge, Any], entering: dict[Call, RowsIn]
    ) -> None:
        """Let the share at a port enter in one row: a step's, or for None that of all of its steps."""
        share, call = self.recording.shares.at[port.edge], port.call
        if call is None:
            if port.edge not in seeds:
                seeds[port.edge] = share.new_zeros((rows, *share.shape))
            here = ... if t is None or port.kind != "sequence" else (slice(None), t)
            seeds[port.edge][number][here] += share[here]
        elif port.kind != "out":
            states = array(call.layer.layout.states(share), torch.float64)
            entering[call].at_ends(port.kind, number, states[None], np.zeros(1, np.int64))
        elif t is None:
            field = array(self.outputs[port.edge], self.recording.inside(call).wide).swapaxes(0, 1)
            entering[call].at_all_steps(number, field[None], np.zeros(1, np.int64))
        else:
            one = array(self.outputs[port.edge][t - port.first], torch.float64)
            if one.any():
                entering[call].at_step(number, t - port.first, one)

    def _through(self, seeds: dict[Edge, Any], exponents: Integers, at: EdgeRows, entering: dict[Call, RowsIn]) -> None:
        """Let autograd carry rows to states and to the ports of fused layers, past none of these and no wall."""
        still = frozen_statistics(self.recording.statistics)
        found = vjp(self.run, seeds, self._wanted, walls=self._walls, hooks=still, rows=True)
        for edge, rows in found.items():
            port = self.ports.get(edge)
            if port is None or edge in self.extra:
                at.add(edge, rows, exponents)
            if port is None or port.call is None:
                continue
            layout = port.call.layer.layout
            if port.kind == "out":
                wide = array(layout.spread(rows, lead=1).transpose(1, 2), torch.float64)
                entering[port.call].at_all_steps(0, wide, exponents)
            else:
                ends = array(layout.states(rows, lead=1), torch.float64)
                entering[port.call].at_ends(port.kind, 0, ends, exponents)

    def _entering(self, call: Call, tell: RowNorms) -> RowsIn:
        """Let nothing enter a call yet."""
        batch = call.layer.layout.batch
        samples = np.arange(batch) if self.walks_all(call) else tell.chosen(batch)
        return RowsIn(self.recording.inside(call), samples)

    def _inside(self, call: Call, entering: RowsIn, rows: int, tell: RowNorms) -> RowsOut:
        near = tell.chosen(call.layer.layout.batch) if self.walks_all(call) else slice(None)
        one, start = self.recording.owners[call]

        def told(place: int, kind: str, t: int, low: int, logs: Floats) -> None:
            if t >= 0 or not start:  # else a first state is the last one of the call before
                tell(self.recording.number(one, place), kind, t + start if t >= 0 else t, low, logs[..., near])

        onward, to_input = self.walks_all(call), call in self.alone
        return rows_inside(
            entering, rows, told, onward=onward, to_input=to_input, weigh=tell.weigh, ignored=int(tell.base < 0)
        )

    def walks_all(self, call: Call) -> bool:
        """Whether all samples of a fused layer are walked, as something below it takes its gradient."""
        return bool(self.onward[call]) or call in self.summed

    def _onward(self, call: Call, leaving: RowsOut) -> dict[Edge, tuple[Any, Integers]]:
        """Give what a fused layer hands on, by the edges that lead to it."""
        layer, found, inside, onward = call.layer, EdgeRows(), self.recording.inside(call), self.onward[call]
        for rows, exponents in self._to_input(call, leaving) if layer.x_edge in onward else ():
            found.add(layer.x_edge, rows, exponents)
        for edge, kind, kept in zip(layer.initial_edges, ("h", "c"), layer.initial, strict=False):
            for place, one in enumerate(inside.recurrences) if edge in onward else ():
                for states, exponents in leaving.of(one.initial[kind]):
                    all_ = np.zeros((len(states), len(inside.recurrences), *states.shape[1:]))
                    all_[:, place] = states
                    home = torch.from_numpy(all_).to(home_of_float64(kept.tensor.device))
                    found.add(edge, home.squeeze(2) if inside.layout.unbatched else home, exponents)
        return {edge: total for edge in found.at if (total := found.total(edge)) is not None}

    def _to_input(self, call: Call, leaving: RowsOut) -> Iterator[tuple[Any, Integers]]:
        """Give what a fused layer hands to its input in the form of the input, in float64."""
        inside = self.recording.inside(call)
        for rows, exponents in leaving.of(inside.x):
            wide = torch.from_numpy(rows).to(home_of_float64(inside.layer.x.tensor.device)).transpose(1, 2)
            yield inside.layout.gathered(wide, lead=1), exponents
