"""Hand-built traces for the tests of everything below the waist: plausible, small, and with every status in them.

No model is run: the numbers are made up so that a test knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rnngraph.measure.shim_cells import CELLS as BUILT_IN

from rnngraph.trace.cell import CUSTOM, custom_cell
from rnngraph.trace.consistent import check_trace
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import (
    FORWARD,
    REVERSE,
    GateTrace,
    InputTrace,
    ParameterTrace,
    RecurrenceTrace,
    StateTrace,
    Trace,
)
from tests.graph_table import Table

# What one step records: the parts of a known cell, primitives of a custom one, each with the kind of its state.
STEPS = {
    cell.name: tuple((f"{cell.name}.{part.key}", part.key if part.role == "state" else "") for part in cell.parts)
    for cell in BUILT_IN.values()
} | {CUSTOM: (("matmul", ""), ("add", ""), ("tanh", "h"))}
CELLS = tuple(STEPS)
HIDDEN, BATCH = 4, 3


def state_of(name: str, grad: Any, **changes: Any) -> StateTrace:
    """Build the `h` of a forward tanh layer with this gradient, of which nothing else was observed."""
    magnitudes = grad if isinstance(grad, Magnitudes) else Magnitudes.of(grad)
    steps = len(magnitudes.value)
    nothing, none, nan = Magnitudes.unobserved((steps,)), np.zeros(steps, dtype=np.int64), np.full(steps, np.nan)
    stem, _, last = name.rpartition(".")
    state = StateTrace(
        name=name,
        recurrence=stem + last.removeprefix(changes.get("kind", "h")),
        layer=0,
        direction=FORWARD,
        kind="h",
        cell="tanh",
        initial=Magnitudes.unobserved(()),
        grad=magnitudes,
        immediate=nothing,
        carried=nothing,
        quantiles=Magnitudes.unobserved((3, steps)),
        gain=nan,
        gain_activation=nan,
        gain_weights=nan,
        saturated=nan,
        activation=nan,
        zeros=none,
        nonfinite=none,
        cut=np.zeros(steps, dtype=np.bool_),
        nodes=np.full(steps, -1, dtype=np.int64),
    )
    return replace(state, **changes)


def recurrences_of(states: Sequence[StateTrace], valid: Any, **changes: Any) -> tuple[RecurrenceTrace, ...]:
    """Build the recurrences that states belong to, all of the same length and batch."""
    found = {
        one.recurrence: RecurrenceTrace(
            one.recurrence, one.layer, one.direction, one.cell, len(one.cut), 0, valid, one.cut
        )
        for one in states
    }
    return tuple(replace(one, **changes) for one in found.values())


def trace_of(
    states: Sequence[StateTrace], *, timesteps: int | None = None, batch: int = BATCH, **changes: Any
) -> Trace:
    """Build a trace of these states, without padding unless `valid` says so; nothing else was observed."""
    steps = len(states[0].grad.value) if timesteps is None else timesteps
    valid = changes.setdefault("valid", np.ones((batch, steps), dtype=np.bool_))
    trace = Trace(
        model="a model",
        source="test",
        batch=batch,
        timesteps=steps,
        dtype="float64",
        loss=float("nan"),
        loss_steps=np.full(steps, np.nan),
        labels=(None,) * steps,
        valid=valid,
        graph=Table().trace(),
        cells=tuple(
            BUILT_IN.get(name) or replace(custom_cell(tuple(one.kind for one in states if one.cell == name)), name=name)
            for name in dict.fromkeys(one.cell for one in states)
        ),
        recurrences=recurrences_of(states, valid) if steps else (),
        states=tuple(states),
        gates=(),
        parameters=(),
        inputs=(),
    )
    return replace(trace, **changes)


def make_trace(
    cell: str = "tanh",
    timesteps: int = 6,
    *,
    layers: int = 1,
    bidirectional: bool = False,
    decay: float = 0.1,
    graph: bool = True,
    **changes: Any,
) -> Trace:
    """Build a trace whose carried norm is `decay` to the power of the steps still walked, from 1 at the last one."""
    table = Table()
    whole = f"({BATCH}, {timesteps}, {HIDDEN})"
    below = table.add("embedding", table.add("parameter", name="embedding.W"), scope="embedding", shape=whole)
    states: list[StateTrace] = []
    for layer in range(layers):
        outputs = []
        for direction in (FORWARD, REVERSE) if bidirectional else (FORWARD,):
            found, output = record_layer(table, cell, layer, direction, below, timesteps, decay)
            states.extend(found)
            outputs.append(output)
        below = outputs[0] if len(outputs) == 1 else table.add("concatenate", *outputs, shape=whole)
    scores = table.add("linear", below, table.add("parameter", name="scores.W"), scope="scores", shape=whole)
    losses = table.add("temporal_softmax", scores, scope="loss", shape=f"({BATCH}, {timesteps})")
    table.add("sum", losses, scope="loss")
    recorded = table.trace()
    if not graph:
        recorded = Table().trace()
        states = [replace(state, nodes=np.full(timesteps, -1, dtype=np.int64)) for state in states]
    trace = trace_of(
        states,
        model=f"{layers}-layer {cell}",
        loss=2.5,
        loss_steps=np.full(timesteps, 2.5 / max(timesteps, 1)),
        labels=tuple(f"w{t}" for t in range(timesteps)),
        gates=tuple(_gates(cell, states, timesteps)),
        parameters=(
            _parameter("rnn.Wh", (HIDDEN, HIDDEN), timesteps),
            _parameter("scores.W", (HIDDEN, 5), timesteps),
        ),
        inputs=(InputTrace("x", Magnitudes.of(np.full(timesteps, 0.3))),),
        graph=recorded,
    )
    trace = replace(trace, **changes)
    if trace.timesteps:
        check_trace(trace)
    return trace


def with_state(trace: Trace, number: int = 0, **changes: Any) -> Trace:
    """Replace fields of one state."""
    states = list(trace.states)
    states[number] = replace(states[number], **changes)
    return replace(trace, states=tuple(states))


def with_status(magnitudes: Magnitudes, statuses: dict[int, Status]) -> Magnitudes:
    """Give some timesteps another status."""
    value, status = magnitudes.value.copy(), magnitudes.status.copy()
    for step, one in statuses.items():
        status[step] = one
        value[step] = 0.0 if one in (Status.ZERO, Status.UNDERFLOW) else np.nan
    return Magnitudes(value, status)


def every_status() -> Trace:
    """Build a trace of eight steps in which every state of a magnitude, a cut, padding and saturation occur."""
    trace = make_trace("tanh", 9)
    statuses = {0: Status.UNOBSERVED, 1: Status.NONFINITE, 2: Status.ZERO, 3: Status.UNDERFLOW}
    state = trace.states[0]
    saturated = np.zeros(9)
    saturated[5] = 0.83
    valid = trace.valid.copy()
    valid[:, 8] = False
    valid[0, 7] = False
    trace = replace(trace, recurrences=recurrences_of(trace.states, valid))
    return replace(
        with_state(
            trace,
            grad=with_status(state.grad, statuses),
            carried=with_status(state.carried, statuses),
            cut=np.arange(9) == 5,
            saturated=saturated,
        ),
        valid=valid,
        graph=replace(trace.graph, first_nonfinite_backward=int(state.nodes[1])),
        loss_steps=np.array([0.1] * 7 + [0.4, 0.0]),
        labels=(
            "<START>",
            'a "quoted" \\N',
            "new\nline",
            "&amp; <b>",
            "Größe",
            "日本語のとても長い単語",
            "a very long word indeed",
            "",
            None,
        ),
    )


def record_layer(
    table: Table,
    cell: str,
    layer: int,
    direction: str,
    below: int,
    timesteps: int,
    decay: float,
    *,
    stem: str = "rnn",
    batch: int = BATCH,
) -> tuple[list[StateTrace], int]:
    """Record one layer in one direction; return its states and the node of its output."""
    scope = f"{stem}.{layer}/{direction}"
    suffix = (f"_l{layer}" if layer or direction == REVERSE else "") + ("_reverse" if direction == REVERSE else "")
    weight = table.add("parameter", name=f"{stem}.Wh{suffix}")
    project = table.add("project", below, scope=scope, shape=f"({batch}, {timesteps}, {HIDDEN})")
    order = range(timesteps) if direction == FORWARD else range(timesteps - 1, -1, -1)
    nodes = {kind: np.full(timesteps, -1, dtype=np.int64) for _, kind in STEPS[cell] if kind}
    previous: list[int] = []
    for t in order:
        made: list[int] = []
        for op, kind in STEPS[cell]:
            sources = ([project, weight] if not made else made[-2:]) + previous
            made.append(table.add(op, *sources, scope=scope, shape=f"({batch}, {HIDDEN})", t=t))
            if kind:
                nodes[kind][t] = made[-1]
        previous = [int(found[t]) for found in nodes.values()]
    output = table.add("stack", *nodes["h"].tolist(), scope=scope, shape=f"({batch}, {timesteps}, {HIDDEN})")
    walked = np.arange(timesteps - 1, -1, -1) if direction == FORWARD else np.arange(timesteps)
    states = [
        _state(f"{stem}.{kind}{suffix}", layer, direction, kind, cell, walked, decay, found)
        for kind, found in nodes.items()
    ]
    return states, output


def _state(
    name: str, layer: int, direction: str, kind: str, cell: str, walked: Any, decay: float, nodes: Any
) -> StateTrace:
    steps = len(walked)
    carried = decay ** walked.astype(float)
    carried[walked == 0] = 0.0
    return state_of(
        name,
        2 * decay ** walked.astype(float),
        layer=layer,
        direction=direction,
        kind=kind,
        cell=cell,
        initial=Magnitudes.of(decay**steps),
        immediate=Magnitudes.of(np.full(steps, 0.5)),
        carried=Magnitudes.of(carried),
        gain=np.where(walked == 0, np.nan, decay),
        saturated=np.linspace(0, 0.4, steps),
        activation=np.linspace(0.1, 0.9, steps),
        nodes=nodes,
    )


def _gates(cell: str, states: list[StateTrace], timesteps: int) -> list[GateTrace]:
    letters = BUILT_IN[cell].gates if cell in BUILT_IN else ()
    return [
        GateTrace(
            f"{state.recurrence}.{letter}", state.recurrence, state.layer, state.direction, letter,
            np.full(timesteps, 0.5), np.full(timesteps, 0.1), np.full(HIDDEN, -0.7),
        )
        for state in states
        if state.kind == "h"
        for letter in letters
    ]  # fmt: skip


def _parameter(name: str, shape: tuple[int, ...], timesteps: int) -> ParameterTrace:
    steps = Magnitudes.of(np.linspace(0.1, 1, timesteps))
    return ParameterTrace(name, shape, Magnitudes.of(1.5), steps, 0.9, 2.0, np.nan, np.nan)
