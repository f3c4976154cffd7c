"""Take the steps of one sweep, hand each to what measures its kind of node, and assemble the trace.

In: a tape, the cotangents of its loss, and `Step`s in reverse tape order. Out: a `Trace` without lags and spectrum.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.backward import Step
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT, PARAMETER, Node, Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import InputError
from rnngraph.nn.layers import EMBEDDING
from rnngraph.nn.losses import TEMPORAL_SOFTMAX
from rnngraph.measure.columns import first_nonfinite_backward, first_nonfinite_forward, graph_columns
from rnngraph.measure.cuts import cuts
from rnngraph.measure.gates import measure_gates
from rnngraph.trace.magnitudes import Booleans, Floats, Magnitudes
from rnngraph.trace.model import GateTrace, InputTrace, ParameterTrace, StateTrace, Trace
from rnngraph.measure.names import layer_name, state_name
from rnngraph.measure.norms import norm, row_norms
from rnngraph.measure.overview import describe, labels, timesteps, valid_steps
from rnngraph.measure.padding import padded_gate, padded_state
from rnngraph.measure.parameters import measure_parameter
from rnngraph.measure.shim import finished
from rnngraph.measure.states import StateObserver
from rnngraph.measure.underflow import follow_underflow


class Observer:
    """Takes the steps of one sweep and assembles the trace."""

    def __init__(self, tape: Tape, starts: dict[int, Array]) -> None:
        """Find out what is to be observed."""
        if not tape.nodes:
            raise InputError("the tape is empty; run the model on it before recording.")
        self.tape, self.starts = tape, starts
        self.walked = bool(starts)
        self.time = timesteps(tape)
        self.states: dict[int, StateObserver] = {}
        self.observers: list[tuple[Recurrence, StateObserver]] = []
        for recurrence in tape.recurrences:
            for kind, ids in recurrence.states.items():
                observer = StateObserver(tape, recurrence, kind)
                self.observers.append((recurrence, observer))
                self.states.update(dict.fromkeys(ids, observer))
        self.projections = {recurrence.projection: recurrence for recurrence in tape.recurrences}
        self.initial: dict[int, Array | None] = {
            node_id: None for recurrence in tape.recurrences for node_id in recurrence.initial.values()
        }
        # Initial states of a stack, (layers, N, H), look like a sequence where N happens to be T.
        self.starting = set(self.initial) | {
            tape.nodes[node_id].inputs[0] for node_id in self.initial if _is_part(tape.nodes[node_id])
        }
        self.parameters: dict[int, ParameterTrace] = {}
        self.inputs: dict[int, InputTrace] = {}
        self.norms = np.zeros(len(tape.nodes))

    def see(self, step: Step) -> None:
        """Measure one step."""
        node = step.node
        state = self.states.get(node.id)
        if state is not None:
            state.see(step)
            return
        if node.op is PARAMETER:
            measured = self.parameters[node.id] = measure_parameter(node, step, self.time)
            self.norms[node.id] = measured.grad.value
            return
        if node.id in self.initial:
            self.initial[node.id] = np.array(step.gradient)
        if node.op in (INPUT, EMBEDDING) and self._is_sequence(node):
            self._see_input(step)
        recurrence = self.projections.get(node.id)
        if recurrence is not None and recurrence.cell in ("tanh", "relu"):
            by_step = step.gradient.swapaxes(0, 1)
            projected = row_norms(by_step.reshape(len(by_step), -1))
            next(one for owner, one in self.observers if owner is recurrence).projected = projected
            self.norms[node.id] = norm(projected)
            return
        self.norms[node.id] = norm(step.gradient)

    def _is_sequence(self, node: Node) -> bool:
        value = node.value
        over_time = value.ndim == 3 and value.shape[1] == self.time and value.dtype.kind == "f"
        return over_time and node.id not in self.starting

    def _see_input(self, step: Step) -> None:
        by_step = step.gradient.swapaxes(0, 1)
        name = step.node.name or (step.node.place[-1][1] if step.node.place else "embedding")
        magnitudes = Magnitudes.of(row_norms(by_step.reshape(len(by_step), -1)))
        self.inputs[step.node.id] = InputTrace(str(name), magnitudes)

    def trace(self, loss: float | None, source: str) -> Trace:
        """Assemble what was seen."""
        tape, nodes = self.tape, self.tape.nodes
        batch = self._batch()
        valid = valid_steps(tape, batch, self.time)
        states = tuple(self._state(recurrence, observer, valid) for recurrence, observer in self.observers)
        gates: list[GateTrace] = []
        for recurrence in tape.recurrences:
            measured = measure_gates(tape, recurrence, layer_name(recurrence), valid)
            gates.extend(padded_gate(gate, self.time) for gate in measured)
        follow_underflow(tape, states, parameters=self.parameters, inputs=self.inputs)
        for state in states:
            here = state.nodes >= 0
            self.norms[state.nodes[here]] = state.grad.value[here]
        grad = Magnitudes.of(self.norms) if self.walked else Magnitudes.unobserved((len(nodes),))
        for state in states:
            grad.status[state.nodes[state.nodes >= 0]] = state.grad.status[state.nodes >= 0]
        parameters = tuple(
            self.parameters.get(node.id) or measure_parameter(node, None, self.time, walked=self.walked)
            for node in nodes
            if node.op is PARAMETER
        )
        first = states[0].nodes[0] if states else len(nodes) - 1
        forward, backward = self._nonfinite(states)
        trace = Trace(
            model=tape.model or describe(tape), source=source, batch=batch, timesteps=self.time,
            dtype=str(nodes[first].value.dtype), loss=np.nan if loss is None else loss, loss_steps=self._loss_steps(),
            labels=labels(tape, self.time), valid=valid, states=states, gates=tuple(gates), parameters=parameters,
            inputs=tuple(self._inputs()),
            graph=graph_columns(tape, grad, forward=forward, backward=backward), cells=(), recurrences=(),
        )  # fmt: skip
        return finished(trace, tape)

    def _inputs(self) -> list[InputTrace]:
        found = []
        for node in self.tape.nodes:
            if node.id in self.inputs:
                found.append(self.inputs[node.id])
            elif node.op is INPUT and self._is_sequence(node):
                nothing = Magnitudes.of(np.zeros(self.time)) if self.walked else Magnitudes.unobserved((self.time,))
                found.append(InputTrace(str(node.name), nothing))
        return found

    def _batch(self) -> int:
        if self.observers:
            return self.observers[0][1].batch
        return max((output.shape[0] for output in self.tape.outputs if output.ndim == 3), default=1)

    def _state(self, recurrence: Recurrence, observer: StateObserver, valid: Booleans) -> StateTrace:
        name = state_name(recurrence, observer.kind)
        cut = cuts(self.tape, recurrence, observer.kind)
        start = recurrence.initial.get(observer.kind)
        gradient = None if start is None else self.initial.get(start)
        return padded_state(observer.finish(name, gradient, valid, cut, walked=self.walked), self.time)

    def _loss_steps(self) -> Floats:
        total = np.full(self.time, np.nan)
        for node in self.tape.nodes:
            if node.op is TEMPORAL_SOFTMAX and node.value.shape[1:] == (self.time,):
                total = np.where(np.isnan(total), 0, total) + node.value.sum(axis=0)
        return total

    def _nonfinite(self, states: tuple[StateTrace, ...]) -> tuple[int, int]:
        values_fine = all(np.isfinite(state.activation).all() for state in states)
        others_fine = all(
            node.value.dtype.kind != "f" or np.isfinite(node.value.sum()) or bool(np.isfinite(node.value).all())
            for node in self.tape.nodes
            if node.id not in self.states
        )
        forward = -1 if values_fine and others_fine else first_nonfinite_forward(self.tape)
        fine = np.isfinite(self.norms).all() and all(state.nonfinite.sum() == 0 for state in states)
        return forward, -1 if fine or not self.walked else first_nonfinite_backward(self.tape, self.starts)


def _is_part(node: Node) -> bool:
    index = node.options.get("index", ())
    return node.op.name == "index" and len(index) == 1 and isinstance(index[0], int)
