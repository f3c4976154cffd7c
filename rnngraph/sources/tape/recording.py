"""A tape as a recording: what `measure` asks, answered by the reverse sweep.

In: a tape, and the cotangents of its loss by node id. Out: windows, norms and columns, as `measure.recording` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import Step, sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import Inner
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT, PARAMETER, Node
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import InputError
from rnngraph.measure.recording import Facts, Felt, Losses, See, Take
from rnngraph.norms import norm, row_norms
from rnngraph.sources.tape.changed import changed_tape, weight_nodes
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.cuts import cuts_of
from rnngraph.sources.tape.entering import Entering, find_entering
from rnngraph.sources.tape.fed import fed_inputs
from rnngraph.sources.tape.felt import feel
from rnngraph.sources.tape.graph import graph_columns
from rnngraph.sources.tape.joint import reads_many_steps
from rnngraph.sources.tape.nonfinite import first_nonfinite_backward, first_nonfinite_forward
from rnngraph.sources.tape.parameters import measure_parameter
from rnngraph.sources.tape.rows import Plan
from rnngraph.sources.tape.windows import NodeWindows, block_values, block_window
from rnngraph.trace.change import Change
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers, Magnitudes, Status
from rnngraph.trace.model import InputTrace, ParameterTrace


class TapeRecording:
    """One pass that was recorded on a tape."""

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
        self.labels: Sequence[str | None] = [*tape.step_labels, *[None] * _timesteps(tape)][: _timesteps(tape)]
        self.clocks = Clocks(tape)
        facts = [_facts(tape, number, one, self.clocks) for number, one in enumerate(tape.recurrences)]
        self.facts: Sequence[Facts] = facts
        self.batch = max((output.shape[0] for output in tape.outputs if output.ndim == 3), default=1)
        first = tape.entry(int(next(iter(self.facts[0].nodes.values()))[0])) if self.facts else tape.entries[-1]
        self.dtype = str(first.value.dtype)
        self._numbers = {one.block.id: number for number, one in enumerate(tape.recurrences) if one.block is not None}
        self._norms = np.zeros(tape.size)
        self._initial: dict[int, float] = {}
        self._parameters: dict[int, Step] = {}
        self._inputs: dict[int, Magnitudes] = {}
        self._broken = False  # whether something non-finite passed
        self._felt: Felt | None = None
        self._seen: dict[int, Booleans] = {}
        self._entering: Entering | None = None
        self._known_joint = joint
        self._states: dict[str, Magnitudes] = {}
        sizes = [(one.batch, one.timesteps) for one in self.facts]
        self.fed = {
            node: numbers
            for node, numbers in fed_inputs(tape, self._is_input).items()
            if tape.entry(node).value.shape[:2] == sizes[numbers[0]] and tape.entry(node).value.ndim == 3
        }
        for node, numbers in self.fed.items():
            for number in numbers:
                facts[number] = replace(facts[number], fed=self._input_name(node))

    # ---- the walk of the whole loss
    def walk(self, take: Take) -> None:
        """Walk the whole loss back once and lend every window."""
        tape = self.tape
        nodes = {
            number: NodeWindows(tape, number, take) for number, one in enumerate(tape.recurrences) if one.block is None
        }
        owners = {node_id: own for own in nodes.values() for node_id in own.times}
        starting = {node_id for one in tape.recurrences for node_id in one.initial.values()}
        reached: set[int] = set()

        def lend(inner: Inner) -> None:
            block, gates = inner.block, row_norms(inner.to_gates.reshape(len(inner.to_gates), -1))
            take(block_window(self._numbers[block.id], inner, gates))
            self._norms[block.first] = math.hypot(self._norms[block.first], *gates)
            for part in block.cell.facts.parts:
                if part.key not in block.columns:
                    self._norms[block.node_ids(part.key)[inner.steps]] = gates

        for step in sweep(tape, self.starts, lend=lend):
            entry = step.node
            if entry.id in owners:
                owners[entry.id].see(step)
                reached.add(entry.id)
            elif isinstance(entry, Block):
                reached.add(entry.id)
            else:
                self._see(entry, step, starting)
        for own in nodes.values():
            own.flush()
            own.rest({own.times[node_id][1] for node_id in own.times if node_id in reached}, walked=self.walked)
        for entry_id, number in self._numbers.items():
            if entry_id not in reached:
                block_values(number, self._block(number), take, walked=self.walked)

    def _see(self, node: Node, step: Step, starting: set[int]) -> None:
        if node.op is PARAMETER:
            self._parameters[node.id] = step
            self._norms[node.id] = norm(step.gradient)
        elif self._is_input(node):
            by_step = step.gradient.swapaxes(0, 1)
            norms = row_norms(by_step.reshape(len(by_step), -1))
            self._inputs[node.id], self._norms[node.id] = Magnitudes.of(norms), norm(norms)
        else:
            self._norms[node.id] = size = norm(step.gradient)
            if node.id in starting:
                self._initial[node.id] = size

    def _is_input(self, node: Node) -> bool:
        """Whether a node is what a recurrence or a model is fed over time: an input, or words that were looked up."""
        value = node.value
        over_time = (
            value.ndim == 3 and value.dtype.kind == "f" and value.shape[1] in {one.timesteps for one in self.facts}
        )
        leaf = node.op is INPUT or all(not self.tape.entry(i).value.dtype.kind == "f" for i in node.inputs[:1])
        return over_time and leaf and node.op.role != "constant" and not self._starts_states(node)

    def _starts_states(self, node: Node) -> bool:
        # Initial states of a stack, (layers, N, H), look like a sequence where N happens to be T.
        starting = [self.tape.entry(i) for one in self.tape.recurrences for i in one.initial.values()]
        return any(node.id == one.id or node.id in one.inputs for one in starting)

    def initial(self, recurrence: int, kind: str) -> float | None:
        """Give the norm of the gradient of an initial state."""
        one = self.tape.recurrences[recurrence]
        start = one.initial.get(kind)
        return None if start is None else self._initial.get(start, self._of_state(start))

    def _of_state(self, node_id: int) -> float:
        return float(self._norms[node_id])

    def felt(self) -> Felt:
        """Walk once more in numbers that cannot underflow."""
        watched = {node.id for node in self.tape.entries if isinstance(node, Node) and self._is_input(node)}
        watched |= {
            entry.id
            for step in self._parameters.values()
            for entry in step.consumers
            if isinstance(entry, Node) and entry.value.ndim == 3
        }
        plan = Plan(self.tape, self.clocks, watched)
        self._felt, self._seen = feel(self.tape, self.starts, plan.whole(), watched)
        return self._felt

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
                node, self._parameters.get(node.id), timesteps, total=float(self._norms[node.id]), walked=self.walked, eigenvalues=eigenvalues if node.name in recurrent else 0,
                lost=self._lost(node.id),
            )
            for node in self.tape.entries
            if node.op is PARAMETER and isinstance(node, Node)
        )  # fmt: skip

    def _lost(self, node_id: int) -> Booleans | None:
        """Say at which timesteps a zero of a parameter is an underflow, because a gradient arrived where it is used."""
        step = self._parameters.get(node_id)
        if self._felt is None or step is None:
            return None
        found = np.zeros(max((one.timesteps for one in self.facts), default=0), bool)
        for entry in step.consumers:
            if isinstance(entry, Block):
                number = self._numbers[entry.id]
                arrives = self._felt.total[number, "h"][1:].copy()
                name = next(key for key, source in entry.sources.items() if source == node_id)
                if name == "Wh":
                    before = np.stack([entry.order(entry.columns["h"])[:-1]])[0]
                    arrives &= entry.order(before.any(axis=(1, 2)))
                found[: entry.steps] |= arrives
            elif entry is not None and entry.id in self._seen:
                found[: len(self._seen[entry.id])] |= self._seen[entry.id]
        return found

    def inputs(self, timesteps: int) -> tuple[InputTrace, ...]:
        """Measure what enters."""
        found = []
        for node in self.tape.entries:
            if not isinstance(node, Node) or not self._is_input(node):
                continue
            steps = self._inputs.get(node.id)
            if steps is None:
                time = node.value.shape[1]
                steps = Magnitudes.of(np.zeros(time)) if self.walked else Magnitudes.unobserved((time,))
            if node.id in self._seen:
                steps.status[(steps.status == Status.ZERO) & self._seen[node.id]] = Status.UNDERFLOW
            found.append(InputTrace(self._input_name(node.id), _lengthened(steps, timesteps)))
        return tuple(found)

    def _input_name(self, node_id: int) -> str:
        entry = self.tape.entry(node_id)
        return str(entry.name or (entry.place[-1][1] if entry.place else entry.op.name))

    def graph(self, states: dict[str, Magnitudes]) -> GraphTrace:
        """Give the recorded graph."""
        for one, facts in zip(self.tape.recurrences, self.facts, strict=True):
            for kind, name in facts.states.items():
                self._norms[facts.nodes[kind]] = states[name].value
            if one.block is not None and "h" in facts.states:
                self._norms[one.block.id] = norm(states[facts.states["h"]].value)
        grad = Magnitudes.of(self._norms) if self.walked else Magnitudes.unobserved((self.tape.size,))
        for facts in self.facts:
            for kind, name in facts.states.items():
                grad.status[facts.nodes[kind]] = states[name].status
        forward = first_nonfinite_forward(self.tape)
        fine = not self.walked or bool((grad.status != Status.NONFINITE).all())
        backward = -1 if fine else first_nonfinite_backward(self.tape, self.starts)
        return graph_columns(self.tape, grad, forward=forward, backward=backward)

    # ---- losses one by one
    @property
    def entering(self) -> Entering:
        """What enters the recurrences from the loss."""
        if self._entering is None:
            self._entering = find_entering(self.tape, self.starts, self.clocks)
            known = self._known_joint
            self._entering.joint = reads_many_steps(self.tape, self.starts, self._entering) if known is None else known
        return self._entering

    @property
    def joint(self) -> bool:
        """Whether the loss reads many timesteps at once, and is one loss."""
        return self.entering.joint

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        return self.entering.losses()

    def pull(self, rows: Sequence[tuple[int, int]], samples: dict[int, Integers], see: See) -> None:
        """Walk losses back together."""
        Plan(self.tape, self.clocks, fed=self.fed).pull(self.entering, list(rows), samples, see)

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
        return Plan(self.tape, self.clocks).back(group, t, rows, samples)

    def units(self, recurrence: int, kind: str) -> int:
        """Give the number of units of a state."""
        one = self.tape.recurrences[recurrence]
        if one.block is not None:
            return int(one.block.columns[kind].shape[-1])
        return int(self.tape.entry(one.states[kind][0]).value.size) // self.facts[recurrence].batch

    def _block(self, number: int) -> Block:
        block = self.tape.recurrences[number].block
        assert block is not None  # numbers of blocks only
        return block


def _timesteps(tape: Tape) -> int:
    """Count the timesteps: the longest recurrence, else the largest `t` scope, else the time axis of the output."""
    declared = [one.timesteps for one in tape.recurrences]
    if declared:
        return max(declared)
    scoped = max((entry.timestep for entry in tape.entries), default=-1) + 1
    return scoped or max((output.shape[1] for output in tape.outputs if output.ndim == 3), default=0)


def _lengthened(column: Magnitudes, time: int) -> Magnitudes:
    missing = time - len(column.value)
    if not missing:
        return column
    rest = Magnitudes.unobserved((missing,))
    return Magnitudes(np.concatenate([column.value, rest.value]), np.concatenate([column.status, rest.status]))


def _facts(tape: Tape, number: int, one: Recurrence, clocks: Clocks) -> Facts:
    block = one.block
    if block is not None:
        batch, splits = block.sample_count, block.cell.splits_gain
    else:
        value, splits = tape.entry(next(iter(one.states.values()))[0]).value, False
        batch = 1 if one.batch_axis is None else value.shape[one.batch_axis]
    return Facts(
        one.name, one.stem, one.layer, one.direction, one.facts, {kind: one.state_name(kind) for kind in one.kinds},
        one.timesteps, batch, clocks.of(number), {kind: one.node_ids(kind) for kind in one.kinds}, one.mask,
        cuts_of(tape, one), splits,
    )  # fmt: skip


def describe(tape: Tape) -> str:
    """Say what the recurrences of a tape are, such as `LSTM, 64 units, 2 layers, bidirectional`."""
    if not tape.recurrences:
        return f"{len(tape)} nodes"
    groups: dict[str, list[Recurrence]] = {}
    for recurrence in tape.recurrences:
        groups.setdefault(recurrence.stem, []).append(recurrence)
    parts = []
    for group in groups.values():
        first = group[0]
        value = first.block.value if first.block is not None else tape.entry(next(iter(first.states.values()))[0]).value
        layers = len({recurrence.layer for recurrence in group})
        title = first.facts.title if first.cell is not None else first.stem
        both = ", bidirectional" if any(recurrence.reverse for recurrence in group) else ""
        size = f" {value.shape[-1]} units" if value.ndim else ""
        parts.append(f"{title},{size}" + (f", {layers} layers" if layers > 1 else "") + both)
    return " + ".join(parts)
