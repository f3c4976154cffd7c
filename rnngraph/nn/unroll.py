"""The walk over timesteps of one layer and direction, fused (one to three nodes a step) or as primitive operations."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Recurrence, Scope, Tape
from rnngraph.autodiff.tensor import Tensor, stack, where
from rnngraph.nn import cells
from rnngraph.nn.cells import Cell


@dataclass(slots=True)
class Unrolled:
    """A walk under way: `h` and `c` are the current states."""

    tape: Tape
    cell: Cell
    recurrence: Recurrence
    projection: Tensor
    weights: tuple[Tensor, ...]  # Wh, and a GRU's bh
    h: Tensor
    c: Tensor


StepRule: TypeAlias = Callable[[Unrolled, int, Scope, dict[str, Array]], None]


def unroll(
    run: Unrolled,
    *,
    truncate: int | None,
    detail: str,
    mask: Array | None,
    cuts: Collection[int] = (),
    step: StepRule | None = None,
) -> Tensor:
    """Record every step and return the stacked hidden states, (N, T, H).

    `cuts` are places in processing order before which the recurrence is cut; `step` replaces the cell's fused step.
    """
    batch, time, _ = run.projection.shape
    tape, base = run.tape, run.tape.here
    order = range(time) if run.recurrence.direction == "forward" else range(time - 1, -1, -1)
    for ids in (*run.recurrence.states.values(),):
        ids.extend([-1] * time)
    run.recurrence.gates = [-1] * time if run.recurrence.gate_names and detail == "step" else []
    widths = {"h": run.h.shape[-1], "c": run.c.shape[-1] if "c" in run.recurrence.states else 0}
    buffers = {kind: np.empty((time, batch, widths[kind]), run.h.dtype) for kind in run.recurrence.states}
    step = step or (_composed if detail == "op" else _FUSED[run.cell.name])
    for position, t in enumerate(order):
        scope = (*base, ("t", t))
        before = run.h, run.c
        if (truncate is not None and position and position % truncate == 0) or position in cuts:
            with tape.scope(t=t):
                run.h = run.h.detach()
                run.c = run.c.detach() if "c" in buffers else run.c
        step(run, t, scope, {kind: buffer[t] for kind, buffer in buffers.items()})
        if mask is not None and not mask[:, t].all():
            with tape.scope(t=t):
                run.h = where(mask[:, t, None], run.h, before[0])
                run.c = where(mask[:, t, None], run.c, before[1]) if "c" in buffers else run.c
        run.recurrence.states["h"][t] = run.h.id
        if "c" in buffers:
            run.recurrence.states["c"][t] = run.c.id
    return _stacked(run, buffers["h"], whole=mask is None and detail == "step")


def _stacked(run: Unrolled, buffer: Array, *, whole: bool) -> Tensor:
    ids = tuple(run.recurrence.states["h"])
    if not whole:
        return stack([run.tape.tensor(node_id) for node_id in ids], axis=1)
    # The steps wrote into one time-major buffer: the stacked value is a view of it.
    return run.tape.tensor(run.tape.append(ops.STACK, ids, buffer.swapaxes(0, 1), options={"axis": -2}))


def _rnn_step(run: Unrolled, t: int, scope: Scope, out: dict[str, Array]) -> None:
    op, weight = cells.STEP_OPS[run.cell.name], run.weights[0]
    value = op.forward(run.projection.value, run.h.value, weight.value, t=t, out=out["h"])
    inputs = (run.projection.id, run.h.id, weight.id)
    run.h = Tensor(run.tape, run.tape.append(op, inputs, value, options={"t": t}, scope=scope, requires=True))


def _lstm_step(run: Unrolled, t: int, scope: Scope, out: dict[str, Array]) -> None:
    tape, projection, weight = run.tape, run.projection, run.weights[0]
    value = cells.LSTM_GATES.forward(projection.value, run.h.value, weight.value, t=t)
    inputs = (projection.id, run.h.id, weight.id)
    gates = tape.append(cells.LSTM_GATES, inputs, value, options={"t": t}, scope=scope, requires=True)
    cell = cells.LSTM_CELL.forward(value, run.c.value, out=out["c"])
    c = tape.append(cells.LSTM_CELL, (gates, run.c.id), cell, scope=scope, requires=True)
    hidden = cells.LSTM_HIDDEN.forward(value, cell, out=out["h"])
    h = tape.append(cells.LSTM_HIDDEN, (gates, c), hidden, scope=scope, requires=True)
    run.recurrence.gates[t] = gates
    run.h, run.c = Tensor(tape, h), Tensor(tape, c)


def _gru_step(run: Unrolled, t: int, scope: Scope, out: dict[str, Array]) -> None:
    tape, projection, (weight, bias) = run.tape, run.projection, run.weights
    value = cells.GRU_HIDDEN.forward(run.h.value, weight.value, bias.value)
    product = tape.append(cells.GRU_HIDDEN, (run.h.id, weight.id, bias.id), value, scope=scope, requires=True)
    opened = cells.GRU_GATES.forward(projection.value, value, t=t)
    inputs = (projection.id, product)
    gates = tape.append(cells.GRU_GATES, inputs, opened, options={"t": t}, scope=scope, requires=True)
    state = cells.GRU_STATE.forward(opened, run.h.value, out=out["h"])
    h = tape.append(cells.GRU_STATE, (gates, run.h.id), state, scope=scope, requires=True)
    run.recurrence.gates[t] = gates
    run.h = Tensor(tape, h)


def _composed(run: Unrolled, t: int, scope: Scope, out: dict[str, Array]) -> None:
    """Record the step as primitive operations; `scope` and `out` belong to the fused form."""
    with run.tape.scope(t=t):
        x, hidden = run.projection[:, t], run.h.shape[-1]
        product = run.h @ run.weights[0]
        if run.cell.name in ("tanh", "relu"):
            a = x + product
            run.h = a.tanh() if run.cell.name == "tanh" else a.relu()
            return
        if run.cell.name == "gru":
            product = product + run.weights[1]
            r = (x[:, :hidden] + product[:, :hidden]).sigmoid()
            z = (x[:, hidden : 2 * hidden] + product[:, hidden : 2 * hidden]).sigmoid()
            n = (x[:, 2 * hidden :] + r * product[:, 2 * hidden :]).tanh()
            run.h = (1 - z) * n + z * run.h
            return
        a = x + product
        i, f, o = (a[:, k * hidden : (k + 1) * hidden].sigmoid() for k in range(3))
        g = a[:, 3 * hidden :].tanh()
        run.c = f * run.c + i * g
        run.h = o * run.c.tanh()


_FUSED = {"tanh": _rnn_step, "relu": _rnn_step, "lstm": _lstm_step, "gru": _gru_step}

