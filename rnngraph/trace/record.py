"""Record a trace: walk the tape in reverse once and measure what passes. The only place that measures.

In: a scalar loss, or the tape that a function of the functional interface returned as its cache. Out: a `Trace`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnngraph.autodiff.backward import Step, scalar_cotangent, sweep
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT, PARAMETER, Node, Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.nn.layers import EMBEDDING
from rnngraph.nn.losses import TEMPORAL_SOFTMAX
from rnngraph.nn.recurrent import suffix
from rnngraph.trace.columns import first_nonfinite_backward, first_nonfinite_forward, graph_columns
from rnngraph.trace.cuts import cuts
from rnngraph.trace.gates import measure_gates
from rnngraph.trace.model import (
    Booleans,
    Floats,
    GateTrace,
    InputTrace,
    Magnitudes,
    ParameterTrace,
    StateTrace,
    Trace,
)
from rnngraph.trace.norms import norm, row_norms
from rnngraph.trace.padding import padded_gate, padded_state
from rnngraph.trace.parameters import measure_parameter
from rnngraph.trace.states import StateObserver
from rnngraph.trace.underflow import follow_underflow

if TYPE_CHECKING:
    from rnngraph.trace.lag_options import LagOptions


def record(loss: Tensor | Tape, *, lags: LagOptions | bool = False, spectrum: int = 0, source: str = "") -> Trace:
    """Walk back from `loss` once and measure every state, parameter and input at every timestep.

    Args:
        loss: a scalar tensor; or a tape (the `cache` of the functional interface), walked from the upstream gradients
            that its last backward was given. A tape that no backward has walked gives a trace of "not observed".
        lags: also measure the lag matrix, with the default bounds or with the given `LagOptions`.
        spectrum: how many Lyapunov exponents to measure.
        source: where the model comes from, for display.

    Raises:
        InputError: the loss is not a scalar, or neither a tensor nor a tape; or an option of another kind.
    """
    options = _lag_options(lags)
    if isinstance(spectrum, bool) or not isinstance(spectrum, int | np.integer) or spectrum < 0:
        raise InputError(f"spectrum is {spectrum!r}; pass how many Lyapunov exponents to measure, 0 for none.")
    cotangent = None if isinstance(loss, Tape) else scalar_cotangent(loss)
    tape = loss if isinstance(loss, Tape) else loss.tape
    starts = dict(tape.starts) if isinstance(loss, Tape) else {loss.id: np.asarray(cotangent)}
    with np.errstate(all="ignore"):  # overflow is a finding, not a warning
        observer = Observer(tape, starts)
        for step in sweep(tape, starts):
            observer.see(step)
        trace = observer.trace(None if isinstance(loss, Tape) else float(loss.value.reshape(())), source)
        if options is not None:
            from rnngraph.trace.lags import measure

            trace = replace(trace, lags=measure(tape, starts, options))
        if spectrum:
            from rnngraph.trace.spectrum import measure as measure_spectrum

            trace = replace(trace, spectrum=measure_spectrum(tape, spectrum))
        if options is not None or spectrum:
            from rnngraph.trace.weights import AUTOMATIC, weigh

            trace = replace(trace, parameters=weigh(tape, trace.parameters, largest=None if spectrum else AUTOMATIC))
    return trace


def _lag_options(lags: LagOptions | bool) -> LagOptions | None:
    if lags is False:
        return None
    from rnngraph.trace.lag_options import LagOptions

    if lags is True:
        return LagOptions()
    if not isinstance(lags, LagOptions):
        raise InputError(f"lags is {lags!r}; pass True, or rnngraph.LagOptions(losses=..., samples=...).")
    return lags


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
            measured = measure_gates(tape, recurrence, prefix(recurrence), valid)
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
        return Trace(
            model=tape.model or describe(tape), source=source, batch=batch, timesteps=self.time,
            dtype=str(nodes[first].value.dtype), loss=np.nan if loss is None else loss, loss_steps=self._loss_steps(),
            labels=labels(tape, self.time), valid=valid, states=states, gates=tuple(gates), parameters=parameters,
            inputs=tuple(self._inputs()),
            graph=graph_columns(tape, grad, forward=forward, backward=backward),
        )  # fmt: skip

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
        name = f"{recurrence.name}.{observer.kind}"
        if recurrence.cell != "custom":
            name += suffix(recurrence.layer, recurrence.direction)
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


def timesteps(tape: Tape) -> int:
    """Count the timesteps: the longest recurrence, else the largest `t` scope, else the time axis of the output."""
    declared = [len(ids) for recurrence in tape.recurrences for ids in recurrence.states.values()]
    if declared:
        return max(declared)
    scoped = max((node.timestep for node in tape.nodes), default=-1) + 1
    return scoped or max((output.shape[1] for output in tape.outputs if output.ndim == 3), default=0)


def prefix(recurrence: Recurrence) -> str:
    """Name a layer and direction as its parameters are named."""
    return recurrence.name + suffix(recurrence.layer, recurrence.direction)


def labels(tape: Tape, time: int) -> tuple[str | None, ...]:
    """Give the text under each timestep."""
    given = list(tape.step_labels)[:time]
    return tuple(given + [None] * (time - len(given)))


def valid_steps(tape: Tape, batch: int, time: int) -> Booleans:
    """Tell padding from data, (N, T): a sample ends with its last loss; copied states do not count."""
    valid = np.ones((batch, time), dtype=bool)
    if tape.mask is not None and tape.mask.shape == valid.shape:
        valid &= np.logical_or.accumulate(tape.mask[:, ::-1], axis=1)[:, ::-1]
    if tape.keep is not None and tape.keep.shape == valid.shape:
        valid &= tape.keep
    return valid


def describe(tape: Tape) -> str:
    """Say what the recurrences of a tape are, such as `LSTM 2×64 bidirectional`."""
    if not tape.recurrences:
        return f"{len(tape)} nodes"
    texts: dict[str, list[Recurrence]] = {}
    for recurrence in tape.recurrences:
        texts.setdefault(recurrence.name, []).append(recurrence)
    parts = []
    for group in texts.values():
        first = group[0]
        units = tape.nodes[next(iter(first.states.values()))[0]].value.shape[-1:]
        layers = len({recurrence.layer for recurrence in group})
        cell = {"tanh": "tanh RNN", "relu": "ReLU RNN", "lstm": "LSTM", "gru": "GRU"}.get(first.cell, first.name)
        both = ", bidirectional" if any(recurrence.direction == "reverse" for recurrence in group) else ""
        size = f" {units[0]} units" if units else ""
        parts.append(f"{cell},{size}" + (f", {layers} layers" if layers > 1 else "") + both)
    return " + ".join(parts)
