"""A hand-built trace of two recurrences of their own length and batch: an encoder that is read both ways, a decoder."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from rnngraph.trace.consistent import check_trace
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import FORWARD, REVERSE, GateTrace, RecurrenceTrace, StateTrace, Trace
from tests.graph_table import Table
from tests.traces import BATCH, BUILT_IN, HIDDEN, record_layer, trace_of

SHORT, LONG, FEW = 4, 7, 2  # timesteps of the encoder and of the decoder; samples of the encoder
NOTHING = {"f": np.nan, "i": 0, "b": False}


def uneven_trace(short: int = SHORT, long: int = LONG) -> Trace:
    """Build the trace: `enc` is an LSTM both ways of two samples, of which one is padded, `dec` a GRU of three."""
    table = Table()
    source = table.add("input", name="source", shape=f"({FEW}, {short}, {HIDDEN})")
    states, outputs = [], []
    for direction in (FORWARD, REVERSE):
        found, output = record_layer(table, "lstm", 0, direction, source, short, 0.1, stem="enc", batch=FEW)
        states += [padded(state, long) for state in found]
        outputs.append(output)
    table.add("concatenate", *outputs, shape=f"({FEW}, {short}, {2 * HIDDEN})")
    target = table.add("input", name="target", shape=f"({BATCH}, {long}, {HIDDEN})")
    found, output = record_layer(table, "gru", 0, FORWARD, target, long, 0.5, stem="dec", batch=BATCH)
    table.add("temporal_softmax", output, scope="loss", shape=f"({BATCH}, {long})")
    states += found
    valid = {short: np.ones((FEW, short), dtype=np.bool_), long: np.ones((BATCH, long), dtype=np.bool_)}
    valid[short][:, short - 1] = False
    recurrences = []
    for state in states:
        steps = short if state.cell == "lstm" else long
        one = RecurrenceTrace(
            state.recurrence, 0, state.direction, state.cell, steps, int(steps == long), valid[steps], state.cut[:steps]
        )
        recurrences += [one] if one.name not in [other.name for other in recurrences] else []
    trace = trace_of(
        states,
        timesteps=long,
        batch=FEW,
        valid=np.pad(valid[short], ((0, 0), (0, long - short))),
        recurrences=tuple(recurrences),
        gates=tuple(gates(recurrences, long)),
        graph=table.trace(),
        loss_steps=np.full(long, 0.1),
        labels=tuple(f"w{t}" for t in range(long)),
    )
    check_trace(trace)
    return trace


def padded(state: StateTrace, timesteps: int) -> StateTrace:
    """Bring a state's columns to the length of the longest recurrence: what is added was not observed."""
    columns: dict[str, Any] = {}
    for field in fields(state):
        value = getattr(state, field.name)
        if isinstance(value, Magnitudes) and value.value.ndim:
            columns[field.name] = Magnitudes(
                longer(value.value, timesteps, np.nan), longer(value.status, timesteps, Status.UNOBSERVED)
            )
        elif isinstance(value, np.ndarray):
            columns[field.name] = longer(value, timesteps, -1 if field.name == "nodes" else NOTHING[value.dtype.kind])
    return replace(state, **columns)


def longer(column: Any, timesteps: int, filler: Any) -> Any:
    missing = (*column.shape[:-1], timesteps - column.shape[-1])
    return np.concatenate([column, np.full(missing, filler, dtype=column.dtype)], axis=-1)


def gates(recurrences: list[RecurrenceTrace], timesteps: int) -> list[GateTrace]:
    return [
        GateTrace(
            f"{one.name}.{gate}", one.name, 0, one.direction, gate,
            *(longer(np.full(one.timesteps, value), timesteps, np.nan) for value in (0.5, 0.1)), np.full(HIDDEN, -0.7),
        )
        for one in recurrences
        for gate in BUILT_IN[one.cell].gates
    ]  # fmt: skip
