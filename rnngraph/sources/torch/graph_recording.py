"""A watched pass as a recording: what `measure` asks, answered by autograd and by blocks inside fused layers.

In: a pass and the recurrences that were found in it. Out: windows, norms and columns, as `measure.recording` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from rnngraph.measure.recording import Facts, Losses, Take
from rnngraph.sources.torch.autograd.edges import Edge, number_of
from rnngraph.sources.torch.autograd.gradient_norms import norm
from rnngraph.sources.torch.autograd.opaque_nodes import all_above, statistics_between, whole_at
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.fused_layers.unrolled_call import UnrolledCall
from rnngraph.sources.torch.gradients.certificate import Certificate
from rnngraph.sources.torch.gradients.state_gradients import walk_layer, walk_states
from rnngraph.sources.torch.gradients.step_jacobian import rows_through_step
from rnngraph.sources.torch.gradients.tracks import tracks_of
from rnngraph.sources.torch.gradients.unrolled_graph import graph_of, nodes_of
from rnngraph.sources.torch.gradients.weight_gradients import Weights
from rnngraph.sources.torch.inputs.entrance import Entrance
from rnngraph.sources.torch.inputs.network_inputs import (
    Steps,
    boundaries,
    edges_in,
    measured_inputs,
    network_inputs,
    step_inputs,
)
from rnngraph.sources.torch.losses.clocks import set_clocks
from rnngraph.sources.torch.losses.loss_shares import carried_and_immediate, find_shares
from rnngraph.sources.torch.losses.row_norms import felt_gradients, pull, pull_weighed
from rnngraph.sources.torch.recurrences.recurrence import Recurrence
from rnngraph.trace.magnitudes import Booleans, Floats, Magnitudes
from rnngraph.trace.model import InputTrace, ParameterTrace

State: TypeAlias = tuple[int, str, int]  # track, kind and timestep


class TorchRecording:
    """One pass of a PyTorch model, or several over the same calls."""

    walked, weighs_unasked = True, False
    labels: Sequence[str | None] = ()

    def __init__(
        self, run: BackwardPass, recurrences: Sequence[Recurrence], parameters: Mapping[int, str], *, model: str
    ) -> None:
        """Find clocks and shares; `parameters` are paths by id."""
        self.run, self.recurrences, self.model = run, list(recurrences), model
        self.ports = [edge for one in self.recurrences for edge in one.ports]
        # of a call of a fused layer: its recurrence, and the timestep of its first step
        self.owners = {
            call: (one, t)
            for one in self.recurrences
            if one.fused
            for call, t in zip(one.calls, one.starts, strict=True)
        }
        behind, walls = boundaries(run, self.recurrences)
        known = step_inputs(self.recurrences, behind, walls)
        clocks = set_clocks(run, self.recurrences, known)
        self.clocks = dict(zip(self.recurrences, clocks, strict=True))
        self.tracks = tracks_of(run, self.clocks)
        self.nodes = nodes_of(self.tracks)
        self.fed = network_inputs(self.recurrences, behind, known)
        self.entering = measured_inputs(self.recurrences, self.fed)
        read = {one: fed for fed in self.fed for one in fed.readers}
        self.facts: Sequence[Facts] = [
            track.facts(
                {kind: self.nodes[k][kind] for kind in track.cell.kinds},
                None if track.layer else read.get(track.recurrence),
            )
            for k, track in enumerate(self.tracks)
        ]
        self.batch, self.loss = self.tracks[0].batch, run.loss
        weights = (weight for one in self.recurrences if one.module is not None for weight in one.module.parameters())
        adding_up = next(weights, run.seeds[0]).dtype.to_real()  # the parts of a weight's gradient
        self.dtype = str(adding_up).removeprefix("torch.")
        self.shares = find_shares(run, self.clocks, {track.recurrence: track.batch for track in self.tracks}, behind)
        self.certificate = Certificate(run.tops)
        self.statistics = statistics_between(run, self.shares.ports)
        self.weights = Weights(run, self.recurrences, parameters)
        self._insides: dict[Call, UnrolledCall] = {}
        self._total: dict[Edge, Any] = {}
        self.samples: dict[tuple[int, str], Floats] = {}  # (T, N) norms of gradients, as the walk found them
        self.broken: dict[tuple[int, str], Booleans] = {}  # (T,) where a value is not finite
        self.initials: dict[tuple[int, str], float] = {}  # norms of the gradients of first states
        self.entered: dict[int, Magnitudes] = {}  # norms of what reaches an input by step

    # ---- looking things up
    def inside(self, call: Call) -> UnrolledCall:
        """Give the inside of a call of a fused layer."""
        if call not in self._insides:
            with self.run.as_it_was():
                self._insides[call] = UnrolledCall(call)
            self.certificate.step(self._insides[call])
        return self._insides[call]

    def number(self, one: Recurrence, place: int = 0) -> int:
        """Give the number of a track: of a fused layer, that of a layer and direction as their states are stacked."""
        return next(k for k, track in enumerate(self.tracks) if track.recurrence is one) + place

    def largest_of(self, number: int) -> Floats:
        """Give the norms by step and sample of a recurrence's largest state there."""
        largest: Floats = np.maximum.reduce([self.samples[number, kind] for kind in self.tracks[number].cell.kinds])
        return largest

    # ---- the walk of the whole loss
    def walk(self, take: Take) -> None:
        """Ask for the gradients of all states at once, and divide them."""
        states = [edge for one in self.recurrences for some in one.states for edge in some]
        others = (*all_above(states), *self.ports, *edges_in(self.entering.values()))
        wanted = list(dict.fromkeys([*states, *others]))
        self._total = vjp(
            self.run, loss_cotangents(self.run), wanted + self.weights.edges(), hooks=self.weights.hooks()
        )
        self.weights.settle(self._total)
        carried, immediate = carried_and_immediate(self.run, self._total, self.shares)
        for number, track in enumerate(self.tracks):
            if not track.recurrence.fused:
                walk_states(self, number, track, (carried, immediate), take)
        for one in self.recurrences:
            if one.fused:
                walk_layer(self, one, take)
            else:
                self._note_inputs(one, self.entering.get(one, []))

    def _note_inputs(self, one: Recurrence, steps: Steps) -> None:
        if steps:
            with self.run.as_it_was():
                self.entered[self.number(one)] = Magnitudes.of(
                    [math.hypot(*map(self._entered, some)) for some in steps]
                )

    def _entered(self, parts: Sequence[Entrance]) -> float:
        """Give the norm of what reaches one tensor that enters a step."""
        some = [part.back(self._total[part.edge][None]) for part in parts if part.edge in self._total]
        return norm(sum(some[1:], some[0])) if some else 0.0

    # ---- what the walk of a fused layer notes
    def total(self, edge: Edge) -> Any:
        """Give the gradient of the whole loss at an edge, asked here where no walk has; None where nothing arrives."""
        if not self._total:
            self._total = vjp(self.run, loss_cotangents(self.run), self.ports)
        return whole_at(edge, self._total)

    def note(self, number: int, kind: str, steps: slice, broken: Booleans, samples: Floats) -> None:
        """Note where values are not finite, (steps,), and the norms of gradients, (steps, N)."""
        shape = self.facts[number].timesteps, self.tracks[number].batch
        self.broken.setdefault((number, kind), np.zeros(shape[0], bool))[steps] = broken
        self.samples.setdefault((number, kind), np.zeros(shape))[steps, : samples.shape[1]] = samples

    def first_nonfinite(self) -> tuple[State | None, State | None]:
        """Find the first value that is not finite, and the first gradient on the way back."""
        gradients = {key: np.isnan(norms).any(axis=1) for key, norms in self.samples.items()}
        values, found = (
            [
                (_when(self.tracks[key[0]].recurrence, t), (*key, t))
                for key, steps in columns.items()
                for t in np.flatnonzero(steps).tolist()
            ]
            for columns in (self.broken, gradients)
        )
        return min(values, default=(None, None))[1], max(found, default=(None, None))[1]

    def initial(self, recurrence: int, kind: str) -> float | None:
        """Give the norm of the gradient of a first state; only fused layers tell."""
        return self.initials.get((recurrence, kind))

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
        return tuple(
            InputTrace(f"input of {self.tracks[number].recurrence.path}", steps.lengthened(timesteps))
            for number, steps in sorted(self.entered.items())
        )

    def units(self, recurrence: int, kind: str) -> int:
        """Give the number of units of a state."""
        return self.tracks[recurrence].units(kind)

    def read_as(self, joint: bool | None) -> None:
        """Take the loss for one that reads many steps at once, or not, as the user says."""
        self.shares.declared = joint

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        return Losses(self.shares.norms, self.shares.joint)

    # ---- what other files answer
    felt, back, graph, pull, pull_weighed = felt_gradients, rows_through_step, graph_of, pull, pull_weighed


def _when(one: Recurrence, t: int) -> tuple[int, int]:
    """Say when a step was taken, among all steps of all recurrences."""
    place = max((k for k, start in enumerate(one.starts) if start <= t), default=-1)
    return (one.calls[place].begin if place >= 0 else number_of(one.states[t][0][0])), t
