"""Throwaway: what the new waist asks and the old engine does not say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnngraph.autodiff.tape import Tape
from rnngraph.measure.names import layer_name
from rnngraph.measure.overview import valid_steps
from rnngraph.measure.shim_cells import CELLS
from rnngraph.trace.cell import CellTrace, custom_cell
from rnngraph.trace.magnitudes import Integers, Magnitudes
from rnngraph.trace.model import GraphTrace, RecurrenceTrace, StateTrace, Trace

MOVES = ("project", "stack", "reshape", "transpose", "index", "sum", "mean", "negate")
RENAMED = {
    "rnn_tanh_step": ("tanh", "h"), "rnn_relu_step": ("relu", "h"),
    "lstm_gates": ("lstm", "gates"), "lstm_cell": ("lstm", "c"), "lstm_hidden": ("lstm", "h"),
    "gru_gates": ("gru", "gates"), "gru_state": ("gru", "h"),
}  # fmt: skip
DROPPED = "gru_hidden"
FORMULAS = {
    "input": "given", "parameter": "given, learned", "constant": "given",
    "embedding": "y[t] = W[token[t]]", "project": "y[t] = x[t]·Wx + b, for all t at once",
    "linear": "y[t] = x[t]·W + b",
    "temporal_softmax": "L[t] = -Σ log softmax(scores[t])[target[t]], where the mask is true",
    "add": "y = a + b", "subtract": "y = a - b", "multiply": "y = a · b, element by element", "divide": "y = a / b",
    "negate": "y = -a", "power": "y = a^p", "matmul": "y = a · b, a matrix product",
    "tanh": "y = tanh(a),  dy/da = 1 - y²", "sigmoid": "y = 1 / (1 + e^-a),  dy/da = y(1 - y)",
    "relu": "y = max(0, a)", "exp": "y = e^a", "log": "y = ln a", "sum": "y = Σ a", "mean": "y = the mean of a",
    "reshape": "the same numbers in another shape", "transpose": "the same numbers with other axes",
    "index": "a part of a", "concatenate": "inputs joined along an axis", "stack": "inputs joined along a new axis",
    "where": "y = a where the condition holds, else b", "detach": "y = a; no gradient passes",
}  # fmt: skip


def role(op: str) -> str:
    if op in ("input", "parameter", "constant"):
        return op
    if op in MOVES:
        return "move"
    if op == "detach":
        return "cut"
    return "loss" if "softmax" in op or "loss" in op or "entropy" in op else "compute"


def recurrences(tape: Tape, states: tuple[StateTrace, ...]) -> tuple[RecurrenceTrace, ...]:
    found: dict[str, RecurrenceTrace] = {}
    clocks: dict[int, int] = {}
    for one in tape.recurrences:
        ids = next(iter(one.states.values()))
        value = tape.nodes[ids[0]].value
        batch, time, name = value.shape[0] if value.ndim > 1 else 1, len(ids), layer_name(one)
        cut = next(state.cut for state in states if state.recurrence == name)[:time]
        if name not in found:
            found[name] = RecurrenceTrace(
                name, one.layer, one.direction, one.cell, time, clocks.setdefault(time, len(clocks)),
                valid_steps(tape, batch, time), cut,
            )  # fmt: skip
    return tuple(found.values())


def clocks_of(tape: Tape, losses: Integers) -> Integers:
    lengths = list(dict.fromkeys(len(next(iter(one.states.values()))) for one in tape.recurrences))
    last = len(next(iter(tape.recurrences[-1].states.values())))
    return np.full(len(losses), lengths.index(last), dtype=np.int64)


def cells(states: tuple[StateTrace, ...]) -> tuple[CellTrace, ...]:
    kinds: dict[str, dict[str, None]] = {}
    for state in states:
        kinds.setdefault(state.cell, {})[state.kind] = None
    return tuple(CELLS.get(name) or replace(custom_cell(tuple(own)), name=name) for name, own in kinds.items())


def finished(trace: Trace, tape: Tape) -> Trace:
    graph, new = renumbered(trace.graph)
    states = tuple(
        replace(state, nodes=np.where(state.nodes < 0, -1, new[state.nodes])) if len(new) else state
        for state in trace.states
    )
    return replace(trace, graph=graph, states=states, cells=cells(states), recurrences=recurrences(tape, states))


def renumbered(graph: GraphTrace) -> tuple[GraphTrace, Integers]:
    kept = np.array([op != DROPPED for op in graph.ops], dtype=bool)[graph.op]
    new: Integers = np.cumsum(kept) - 1
    inputs: dict[int, list[int]] = {}
    for node in range(len(kept)):
        own = graph.inputs[graph.offsets[node] : graph.offsets[node + 1]].tolist()
        inputs[node] = [deep for source in own for deep in ([source] if kept[source] else inputs[source])]
    left = np.flatnonzero(kept)
    flat = [int(new[source]) for node in left for source in inputs[int(node)]]
    ops = [RENAMED.get(op) for op in graph.ops]
    parts = [next(p for p in CELLS[found[0]].parts if p.key == found[1]) if found else None for found in ops]
    used = [number for number, op in enumerate(graph.ops) if op != DROPPED]
    pick = lambda values: tuple(values[number] for number in used)  # noqa: E731
    first = [graph.first_nonfinite_forward, graph.first_nonfinite_backward]
    return replace(
        graph,
        ops=pick([".".join(found) if found else op for op, found in zip(graph.ops, ops, strict=True)]),
        labels=pick([part.label if part else label for label, part in zip(graph.labels, parts, strict=True)]),
        formulas=pick([part.formula if part else FORMULAS.get(op, "") for op, part in zip(graph.ops, parts, strict=True)]),
        roles=pick([role(op) for op in graph.ops]),
        names={str(new[int(node)]): name for node, name in graph.names.items()},
        op=np.array([used.index(op) for op in graph.op[left]], dtype=np.int64),
        scope=graph.scope[left], shape=graph.shape[left], timestep=graph.timestep[left],
        inputs=np.array(flat, dtype=np.int64),
        offsets=np.concatenate([[0], np.cumsum([len(inputs[int(node)]) for node in left])]).astype(np.int64),
        grad=Magnitudes(graph.grad.value[left], graph.grad.status[left]),
        first_nonfinite_forward=first[0] if first[0] < 0 else int(new[first[0]]),
        first_nonfinite_backward=first[1] if first[1] < 0 else int(new[first[1]]),
    ), new  # fmt: skip
