"""A tape as a recording: what `measure` asks, answered by the reverse sweep.

In: a tape, and the cotangents of its loss by node id. Out: windows, norms and columns, as `measure.recording` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import PARAMETER, Node
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import InputError
from rnngraph.measure.recording import Facts, Felt, Losses, See, Take, Weighed
from rnngraph.norms import all_finite
from rnngraph.sources.tape.changed import changed_tape, weight_nodes
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.entering import Entering, find_entering
from rnngraph.sources.tape.facts import blocks_of, describe, facts_of, timesteps_of
from rnngraph.sources.tape.felt import Arrives, feel, lost_steps
from rnngraph.sources.tape.graph_columns import noted_graph
from rnngraph.sources.tape.inputs import fed_inputs, input_name, inputs_of, read_by
from rnngraph.sources.tape.joint import reads_many_steps
from rnngraph.sources.tape.nonfinite import first_nonfinite_backward, first_nonfinite_forward
from rnngraph.sources.tape.one_step import OneStep
from rnngraph.sources.tape.parameters import measure_parameter
from rnngraph.sources.tape.plan import Plan
from rnngraph.sources.tape.total_walk import WholeLoss
from rnngraph.trace.change import Change
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes, Status
from rnngraph.trace.model import InputTrace, ParameterTrace

_text = cache(str)  # that of a dtype takes NumPy long


class TapeRecording:
    """One pass that was recorded on a tape."""

    weighs_unasked = True

    def __init__(
        self, tape: Tape, starts: Mapping[int, Array], *, loss: float = np.nan, joint: bool | None = None
    ) -> None:
        """Look at a tape; `starts` are the cotangents of its loss, none where nothing was walked back.

        Whether the loss reads many steps at once is found out where `joint` does not tell.

        Raises:
            InputError: the tape is empty.
        """
        if not tape.entries:
            raise InputError("the tape is empty; run the model on it before recording.")
        self.tape, self.starts, self.loss = tape, dict(starts), loss
        self.walked = bool(starts)
        self.model = tape.model or describe(tape)
        time = timesteps_of(tape)
        self.labels: Sequence[str | None] = [*tape.step_labels, *[None] * time][:time]
        self._inputs = inputs_of(tape)
        self.fed = fed_inputs(tape, self._inputs)
        self.clocks = Clocks(tape, self.fed)
        read = read_by(tape, self.fed)
        self.facts: Sequence[Facts] = [
            facts_of(tape, one, self.clocks.of(number), read.get(number, ("", np.nan)))
            for number, one in enumerate(tape.recurrences)
        ]
        self.batch = max((output.shape[0] for output in tape.outputs if output.ndim == 3), default=1)
        first = tape.entry(int(next(iter(self.facts[0].nodes.values()))[0])) if self.facts else tape.entries[-1]
        self.dtype = _text(first.value.dtype)
        self._numbers = blocks_of(tape)
        self._whole = WholeLoss(tape, self.starts, self._numbers, self._inputs)
        self._arrives: Arrives | None = None
        self._known_joint = joint

    # ---- the walk of the whole loss
    def walk(self, take: Take) -> None:
        """Walk the whole loss back once and lend every window."""
        self._whole.walk(take)

    def initial(self, recurrence: int, kind: str) -> float | None:
        """Give the norm of the gradient of an initial state."""
        one = self.tape.recurrences[recurrence]
        start = one.initial.get(kind)
        return None if start is None else self._whole.initial.get(start, float(self._whole.norms[start]))

    def felt(self) -> Felt:
        """Walk once more in numbers that cannot underflow."""
        watched = set(self._inputs) | {
            entry.id
            for step in self._whole.parameters.values()
            for entry in step.consumers
            if isinstance(entry, Node) and entry.value.ndim == 3
        }
        felt, self._arrives = feel(Plan(self.tape, self.clocks, watched), self.starts)
        return felt

    # ---- what stands beside the states
    def valid(self, recurrence: int) -> Booleans:
        """Tell data from padding, (N, T): a sample ends with its last loss; copied states do not count."""
        facts, mask = self.facts[recurrence], self.tape.mask
        valid = np.ones((facts.batch, facts.timesteps), dtype=bool)
        if mask is not None and mask.shape == valid.shape:
            valid &= np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
        return valid if facts.mask is None else valid & facts.mask

    def loss_steps(self, timesteps: int) -> Floats:
        """Give each timestep's part of the loss."""
        total = np.full(timesteps, np.nan)
        for node in self.tape.entries:
            if node.op.role == "loss" and node.value.shape[1:] == (timesteps,):
                total = np.where(np.isnan(total), 0, total) + node.value.sum(axis=0)
        return total

    def parameters(self, timesteps: int, *, eigenvalues: int) -> tuple[ParameterTrace, ...]:
        """Measure the parameters."""
        recurrent = {one.weight for one in self.tape.recurrences if one.weight}
        return tuple(
            measure_parameter(
                node, self._whole.parameters.get(node.id), timesteps,
                total=float(self._whole.norms[node.id]), walked=self.walked,
                eigenvalues=eigenvalues if node.name in recurrent else 0, lost=self._lost(node.id, timesteps),
            )
            for node in self.tape.entries
            if node.op is PARAMETER and isinstance(node, Node)
        )  # fmt: skip

    def _lost(self, node_id: int, timesteps: int) -> Booleans | None:
        step = self._whole.parameters.get(node_id)
        if self._arrives is None or step is None:
            return None
        return lost_steps(step, node_id, self._arrives, self._numbers, timesteps)

    def inputs(self, timesteps: int) -> tuple[InputTrace, ...]:
        """Measure what enters."""
        found = []
        for node_id in self._inputs:
            steps = self._whole.inputs.get(node_id)
            if steps is None:
                time = self.tape.entry(node_id).value.shape[1]
                steps = Magnitudes.of(np.zeros(time)) if self.walked else Magnitudes.unobserved((time,))
            if self._arrives is not None:
                steps.status[(steps.status == Status.ZERO) & self._arrives.watched[node_id]] = Status.UNDERFLOW
            found.append(InputTrace(input_name(self.tape, node_id), steps.lengthened(timesteps)))
        return tuple(found)

    def graph(self, states: dict[str, Magnitudes]) -> GraphTrace:
        """Give the recorded graph, whose columns are made when they are looked at."""
        fine = all_finite(self._whole.norms) and all(all_finite(one.value) for one in states.values())
        noted = noted_graph(self.tape, self.facts, states, norms=self._whole.norms, walked=self.walked)
        first = {
            "first_nonfinite_forward": first_nonfinite_forward(self.tape),
            "first_nonfinite_backward": -1
            if fine or not self.walked
            else first_nonfinite_backward(self.tape, self.starts),
        }
        return GraphTrace.later(lambda: noted() | first)

    @cached_property
    def plan(self) -> Plan:
        """Which entries a walk of many losses must pass."""
        return Plan(self.tape, self.clocks, fed=self.fed)

    # ---- losses one by one
    @cached_property
    def entering(self) -> Entering:
        """What enters the recurrences from the loss."""
        found, known = find_entering(self.tape, self.starts, self.clocks), self._known_joint
        found.joint = reads_many_steps(self.tape, self.starts, found) if known is None else known
        return found

    @property
    def joint(self) -> bool:
        """Whether the loss reads many timesteps at once, and is one loss."""
        return self.entering.joint

    def read_as(self, joint: bool | None) -> None:
        """Take the loss for one that reads many steps at once, or not, as the user says."""
        if joint is not None:
            self.entering.joint = joint

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        return Losses(self.entering.norms, self.entering.joint)

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk losses back together."""
        self.plan.pull(self.entering, list(rows), samples, see)

    def pull_weighed(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> Weighed:
        """Walk losses back together, and sum what the weights of every block get, by lag."""
        return self.plan.pull_weighed(self.entering, list(rows), samples, see)

    # ---- what becomes of it with other weights
    def changed(self, changes: Sequence[Change]) -> TapeRecording | None:
        """Run the pass again with changed weights."""
        again = changed_tape(self.tape, changes)
        return None if again is None else TapeRecording(again, self.starts, joint=self.joint)

    def gradients(self) -> dict[str, Array]:
        """Give the gradients of the recurrences' weights by name."""
        wanted = {i for one in self.tape.recurrences for i in weight_nodes(self.tape, one).values()}
        return {
            str(step.node.name): np.array(step.gradient)
            for step in sweep(self.tape, self.starts)
            if step.node.id in wanted
        }

    def back(self, group: Sequence[int], t: int, rows: dict[tuple[int, str], Array], samples: Integers) -> Any:
        """Multiply rows of the states at t by the transposed Jacobian of the step into t."""
        return OneStep(self.plan, group, t, samples).back(rows)

    def units(self, recurrence: int, kind: str) -> int:
        """Give the number of units of a state."""
        one = self.tape.recurrences[recurrence]
        if one.block is not None:
            return int(one.block.columns[kind].shape[-1])
        return int(self.tape.entry(one.states[kind][0]).value.size) // self.facts[recurrence].batch
