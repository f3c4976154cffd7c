"""A watched pass as a recording: what `measure` asks, answered by autograd and by blocks inside fused layers.

In: a pass and the recurrences that were found in it. Out: windows, norms and columns, as `measure.recording` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnngraph import norms
from rnngraph.autodiff.block.backward import Inner
from rnngraph.autodiff.contribution import Array
from rnngraph.measure.recording import Facts, Felt, Losses, Reduced, See, Take
from rnngraph.sources.tape.windows import block_window
from rnngraph.sources.torch.calls import Call
from rnngraph.sources.torch.certificate import Certificate
from rnngraph.sources.torch.clocks import ports_of, set_clocks
from rnngraph.sources.torch.edges import Edge
from rnngraph.sources.torch.inside import Inside
from rnngraph.sources.torch.layout import array
from rnngraph.sources.torch.norms import norm, row_norms_there, sample_norms
from rnngraph.sources.torch.operations import squashed
from rnngraph.sources.torch.passes import Pass
from rnngraph.sources.torch.picture import Numbers, graph_of
from rnngraph.sources.torch.question import ask
from rnngraph.sources.torch.recurrence import SEQUENCE, Recurrence
from rnngraph.sources.torch.rows import Rows
from rnngraph.sources.torch.shares import Shares, time_first, whole
from rnngraph.sources.torch.split import split
from rnngraph.sources.torch.tracks import Track, tracks_of
from rnngraph.sources.torch.weights import Weights
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes
from rnngraph.trace.model import InputTrace, ParameterTrace


class TorchRecording:
    """One pass of a PyTorch model, or several over the same calls."""

    walked = True

    def __init__(
        self,
        run: Pass,
        recurrences: Sequence[Recurrence],
        names: Mapping[int, str],
        *,
        model: str,
        labels: Sequence[str | None] = (),
    ) -> None:
        """Find clocks and shares; `names` are the paths of parameters by id."""
        self.run, self.recurrences, self.model, self.labels = run, list(recurrences), model, labels
        self.clocks = set_clocks(run, self.recurrences)
        self.tracks = tracks_of(self.recurrences)
        for track in self.tracks:
            track.clock = self.clocks[self.recurrences.index(track.recurrence)]
        self.numbers = Numbers.of(self.tracks)
        self.facts: Sequence[Facts] = [track.facts(self.numbers.of_track(k)) for k, track in enumerate(self.tracks)]
        self.batch, self.loss = self.tracks[0].batch, run.loss
        self.dtype = str(run.seeds[0].dtype).removeprefix("torch.")
        batches = [max(t.batch for t in self.tracks if t.recurrence is one) for one in self.recurrences]
        self.shares = Shares.of(run, ports_of(self.recurrences, run.calls), self.recurrences, self.clocks, batches)
        self.certificate = Certificate()
        self.broken = Broken()
        self.weights = Weights(run, self.recurrences, names)
        self._insides: dict[Call, Inside] = {}
        self._total: dict[Edge, Any] = {}
        self._samples: dict[tuple[int, str], Floats] = {}  # what the walk found, to compare rows with
        self._initial: dict[tuple[int, str], float] = {}
        self._inputs: dict[int, Magnitudes] = {}

    # ---- looking things up
    def inside(self, call: Call) -> Inside:
        """Give the inside of a call of a fused layer."""
        if call not in self._insides:
            with self.run.as_it_was():
                self._insides[call] = Inside(call)
            self.certificate.step(self._insides[call])
        return self._insides[call]

    def owner(self, call: Call) -> tuple[Recurrence, int]:
        """Give the recurrence of a call of a fused layer, and the timestep of its first step."""
        return next(
            (one, start)
            for one in self.recurrences
            for other, start in zip(one.calls, one.starts, strict=True)
            if other is call
        )

    def number(self, one: Recurrence, layer: int = 0, direction: int = 0) -> int:
        """Give the number of a track."""
        return next(
            k
            for k, track in enumerate(self.tracks)
            if track.recurrence is one and track.layer == layer and (track.direction != "forward") == bool(direction)
        )

    def norms_of(self, number: int, kind: str) -> Floats | None:
        """Give the norms by step and sample that the walk of the whole loss found."""
        return self._samples.get((number, kind))

    def state_edges(self, track: Track) -> Iterator[tuple[str, int, Edge]]:
        """Yield every state of a track that stands in the graph."""
        if track.recurrence.states:
            for kind in track.cell.kinds:
                for t, edge in enumerate(track.edges(kind)):
                    if edge is not None:
                        yield kind, t, edge

    # ---- the walk of the whole loss
    def walk(self, take: Take) -> None:
        """Ask for the gradients of all states at once, and divide them."""
        states = [edge for one in self.recurrences for some in one.states for edge in some]
        layers = [
            edge
            for one in self.recurrences
            for call in one.calls
            if one.fused and call.layer
            for edge in call.layer.ports.values()
        ]
        entering = self.entering_edges()
        wanted = list(dict.fromkeys([*states, *layers, *entering]))
        with self.weights.watched():
            self._total = ask(self.run, whole(self.run), wanted + self.weights.edges())
        self.weights.settle(self._total)
        carried, immediate = split(self.run, self.recurrences, self.clocks, self._total)
        self.certificate.sums(self._total, carried, immediate)
        for number, track in enumerate(self.tracks):
            if track.recurrence.how == SEQUENCE:
                self._take_sequence(number, track, take)
            elif not track.recurrence.fused:
                self._take_states(number, track, (carried, immediate), take)
        for one in self.recurrences:
            if one.fused:
                self._take_layer(one, take)
            else:
                self._note_input(one, entering)

    def _take_states(
        self, number: int, track: Track, parts: tuple[Mapping[Edge, Any], Mapping[Edge, Any]], take: Take
    ) -> None:
        one = track.recurrence
        gates = squashed(one, track.cell)
        for kind in track.cell.kinds:
            columns = _Columns(one.steps, track.batch)
            for t, edge in enumerate(track.edges(kind)):
                if edge is None:
                    continue
                value = one.value(edge, t)
                if value is not None and not bool(value.isfinite().all()):
                    self.broken.forward(self.order_of(one, t), number, kind, t)
                columns.see(t, *(None if g is None else track.by_sample(g) for g in (
                    self._total.get(edge), parts[0].get(edge), parts[1].get(edge), value
                )))  # fmt: skip
            self._samples[number, kind] = columns.samples
            for t in np.flatnonzero(columns.nonfinite).tolist():
                self.broken.backward(self.order_of(one, t), number, kind, t)
            more = None if kind != "h" or gates is None else gates
            take(columns.reduced(number, kind, more))

    def _take_sequence(self, number: int, track: Track, take: Take) -> None:
        one = track.recurrence
        columns = _Columns(one.steps, track.batch)
        total = self._total.get(one.input)
        for t in range(one.steps):
            columns.see(t, None if total is None else time_first(total)[t].flatten(1), None, None, None)
        columns.carried[:] = columns.immediate[:] = np.nan
        self._samples[number, "h"] = columns.samples
        take(columns.reduced(number, "h", None))

    def _take_layer(self, one: Recurrence, take: Take) -> None:
        behind: dict[str, Array] = {}  # what the call after this one hands back to its first states
        inputs: list[Any] = []
        for call, start in zip(reversed(one.calls), reversed(one.starts), strict=True):
            inside = self.inside(call)
            arrived = self.arrived(inside)

            def lend(
                inner: Inner,
                inside: Inside = inside,
                arrived: Mapping[str, Array] = arrived,
                start: int = start,
                last: bool = call is one.calls[-1],
            ) -> None:
                layer, d = next(
                    (k, row.index(inner.block)) for k, row in enumerate(inside.blocks) if inner.block in row
                )
                number = self.number(one, layer, d)
                gates = norms.row_norms(inner.to_gates.reshape(len(inner.to_gates), -1))
                window = block_window(number, inner, gates)
                if not last and inner.steps.stop == inner.block.steps and not inner.block.reverse:
                    _carry_on(window, arrived, layer * inside.directions + d)
                shifted = slice(window.steps.start + start, window.steps.stop + start)  # type: ignore[union-attr]
                take(_at(window, shifted))
                self._look(number, one, window, start)
                for kind, total in window.total.items():
                    samples = self._samples.setdefault((number, kind), np.zeros((one.steps, self.tracks[number].batch)))
                    samples[shifted] = norms.row_norms(total)

            dx, weights, behind = inside.walk(arrived, lend=lend, to_input=True)
            self.weights.add_layer(one, call, start, inside, weights)
            inputs.insert(0, dx)
        self.certificate.weights(self.run, one, self.weights)
        for kind, states in behind.items():
            for place in range(len(states)):
                number = self.number(one, place // inside.directions, place % inside.directions)
                self._initial[number, kind] = norms.norm(states[place])
        by_step = [norms.row_norms(dx.reshape(len(dx), -1)) for dx in inputs if dx is not None]
        self._inputs[self.number(one)] = Magnitudes.of(np.concatenate(by_step))

    def order_of(self, one: Recurrence, t: int) -> tuple[int, int]:
        """Say when a step was taken, among all steps of all recurrences."""
        place = max((k for k, start in enumerate(one.starts) if start <= t), default=-1)
        return (one.calls[place].begin, t) if place >= 0 else (int(one.states[t][0][0]._sequence_nr()), t)

    def _look(self, number: int, one: Recurrence, window: Any, start: int) -> None:
        for columns, note in ((window.values, self.broken.forward), (window.total, self.broken.backward)):
            for kind, column in columns.items():
                for k in np.flatnonzero(~np.isfinite(column).all(axis=(1, 2))).tolist():
                    t = window.steps.start + k + start
                    note(self.order_of(one, t), number, kind, t)

    def arrived(self, inside: Inside) -> dict[str, Array]:
        """Give what the whole loss hands to a fused call, in our layout."""
        found, layout = {}, inside.layout
        for kind, edge in inside.layer.ports.items():
            if edge in self._total:
                total = self._total[edge]
                found[kind] = array(layout.spread(total) if kind == "out" else layout.states(total), inside.wide)
        if "out" not in found:
            block = inside.blocks[-1]
            found["out"] = np.zeros(
                (*block[0].value.shape[1::-1], sum(one.value.shape[-1] for one in block)), block[0].dtype
            )
        return found

    def entering_edges(self) -> dict[Edge, tuple[Recurrence, int]]:
        """Find what is given to every step besides states: the first of its inputs that is none."""
        found = {}
        for one in self.recurrences:
            if one.how == SEQUENCE:
                found[one.input] = one, 0
                continue
            for t, call in enumerate(one.calls if not one.fused else ()):
                states = {edge for some in one.states for edge in some}
                edge = next((edge for edge in call.given if edge not in states), None)
                if edge is not None:
                    found[edge] = one, t
        return found

    def _note_input(self, one: Recurrence, entering: Mapping[Edge, tuple[Recurrence, int]]) -> None:
        mine = {t: self._total[edge] for edge, (other, t) in entering.items() if other is one and edge in self._total}
        if not mine:
            return
        steps = np.zeros(one.steps)
        for t, total in mine.items():
            if one.how == SEQUENCE:
                steps = sample_norms(time_first(total))
            else:
                steps[t] = norm(total)
        self._inputs[self.number(one)] = Magnitudes.of(steps)

    def initial(self, recurrence: int, kind: str) -> float | None:
        """Give the norm of the gradient of a first state; only fused layers tell."""
        return self._initial.get((recurrence, kind))

    def felt(self) -> Felt:
        """Walk once more in numbers that cannot underflow."""
        from rnngraph.sources.torch.felt import feel

        return feel(self)

    # ---- what stands beside the states
    def valid(self, recurrence: int) -> Booleans:
        """Tell data from padding, (N, T)."""
        return self.tracks[recurrence].valid()

    def loss_steps(self, timesteps: int) -> Floats:
        """Give each timestep's part of the loss: PyTorch knows the sum alone."""
        return np.full(timesteps, np.nan)

    def parameters(self, timesteps: int, *, eigenvalues: int) -> tuple[ParameterTrace, ...]:
        """Measure the parameters."""
        return self.weights.traces(timesteps, eigenvalues)

    def inputs(self, timesteps: int) -> tuple[InputTrace, ...]:
        """Measure what enters."""
        found = []
        for number, steps in sorted(self._inputs.items()):
            missing = Magnitudes.unobserved((timesteps - len(steps.value),))
            column = Magnitudes(
                np.concatenate([steps.value, missing.value]), np.concatenate([steps.status, missing.status])
            )
            found.append(InputTrace(f"input of {self.tracks[number].recurrence.path}", column))
        return tuple(found)

    def graph(self, states: dict[str, Magnitudes]) -> GraphTrace:
        """Give the recurrences as a graph, step by step."""
        return graph_of(self, states)

    def units(self, recurrence: int, kind: str) -> int:
        """Give the number of units of a state."""
        track = self.tracks[recurrence]
        if track.recurrence.fused:
            inside = self.inside(track.recurrence.calls[0])
            block = inside.blocks[track.layer][track.direction != "forward"]
            return int(block.columns[kind].shape[-1])
        return track.units(kind)

    # ---- losses one by one
    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        return self.shares.losses()

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk losses back together."""
        Rows(self).pull(rows, samples, see)

    def back(self, group: Sequence[int], t: int, rows: dict[tuple[int, str], Array], samples: Integers) -> Any:
        """Multiply rows of the states at t by the transposed Jacobian of the step into t."""
        from rnngraph.sources.torch.jacobian import step_back

        return step_back(self, group, t, rows, samples)


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


class _Columns:
    """The columns of one state under way."""

    def __init__(self, time: int, batch: int) -> None:
        self.samples = np.zeros((time, batch))
        self.carried, self.immediate = np.zeros(time), np.zeros(time)
        self.zeros, self.nonfinite = np.zeros(time, np.int64), np.zeros(time, np.int64)
        self.activation = np.full(time, np.nan)

    def see(self, t: int, total: Any, carried: Any, immediate: Any, value: Any) -> None:
        """Measure one step: tensors (samples, units), or None where there is nothing."""
        if total is not None:
            self.samples[t, : len(total)] = sample_norms(total)
            self.zeros[t], self.nonfinite[t] = int((total == 0).sum()), int((~total.isfinite()).sum())
        if carried is not None:
            self.carried[t] = norm(carried)
        if immediate is not None:
            self.immediate[t] = norm(immediate)
        if value is not None:
            self.activation[t] = float(row_norms_there(value.reshape(1, -1))) / np.sqrt(value.numel())

    def reduced(self, number: int, kind: str, gates: Any) -> Reduced:
        """Give the columns."""
        more = (None, None, None, None) if gates is None else (gates.state, gates.mean, gates.share, gates.kept)
        return Reduced(
            number, kind, self.samples, self.immediate, self.carried, self.zeros, self.nonfinite, self.activation, *more
        )


def _at(window: Any, steps: slice) -> Any:
    return replace(window, steps=steps)


def _carry_on(window: Any, arrived: Mapping[str, Array], place: int) -> None:
    """Count what comes back to the last states from the next call as carried, and not as immediate."""
    for kind, total in window.carried.items():
        if kind in arrived:
            total[-1] += arrived[kind][place]
            if window.immediate[kind].flags.writeable:
                window.immediate[kind][-1] -= arrived[kind][place]
