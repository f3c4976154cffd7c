"""The walk over timesteps of one layer and direction, fused (one to three nodes a step) or as primitive operations."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node, Op, Recurrence
from rnngraph.autodiff.tape import Tape
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
    fixed: tuple[Op, int, Array, int, Array] | None = None
    keep: Array | None = None  # (N, 1) at a step where some samples copy their states
    copied: Tensor | None = None  # the cell state that those samples copy

    def kept_cell(self, c: Tensor) -> Tensor:
        """Copy the cell state of samples past their end, before h is made of it: h's way back leads through it."""
        return c if self.keep is None or self.copied is None else where(self.keep, c, self.copied)

    def fix(self) -> tuple[Op, int, Array, int, Array]:
        """Look up once what every step of a vanilla cell needs."""
        weight = self.weights[0]
        op = cells.STEP_OPS[self.cell.name]
        self.fixed = op, self.projection.id, self.projection.value, weight.id, weight.value
        return self.fixed


def start(
    recurrence: Recurrence, cell: Cell, *, projection: Tensor, weights: tuple[Tensor, ...], h: Tensor, c: Tensor
) -> Unrolled:
    """Prepare a walk: tell a recurrence what it is made of and where it starts; `c` is read only where there is one."""
    recurrence.gate_names = cell.gate_names
    recurrence.weight = weights[0].node.name or ""
    recurrence.projection = projection.id
    recurrence.initial = {kind: (h if kind == "h" else c).id for kind in cell.states}
    recurrence.states = {kind: [] for kind in cell.states}
    return Unrolled(projection.tape, cell, recurrence, projection, weights, h, c)


StepRule: TypeAlias = Callable[[Unrolled, int, dict[str, Array]], None]


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
    hidden = walk(run, truncate=truncate, detail=detail, mask=mask, cuts=cuts, step=step)
    return _stacked(run, hidden, whole=mask is None and detail == "step")


def walk(
    run: Unrolled,
    *,
    truncate: int | None = None,
    detail: str = "step",
    mask: Array | None = None,
    cuts: Collection[int] = (),
    step: StepRule | None = None,
) -> Array:
    """Record every step, leave the last states in `run`, and return the buffer of the hidden states, (T, N, H).

    Only fused steps without a mask write into the buffer.
    """
    batch, time, _ = run.projection.shape
    tape = run.tape
    order = range(time) if run.recurrence.direction == "forward" else range(time - 1, -1, -1)
    for ids in run.recurrence.states.values():
        ids.extend([-1] * time)
    run.recurrence.gates = [-1] * time if run.recurrence.gate_names and detail == "step" else []
    widths = {"h": run.h.shape[-1], "c": run.c.shape[-1] if "c" in run.recurrence.states else 0}
    buffers = {kind: np.empty((time, batch, widths[kind]), run.h.dtype) for kind in run.recurrence.states}
    outside = tape.timestep
    step = step or (_composed if detail == "op" else _FUSED[run.cell.name])
    cut = {place for place in range(1, time) if truncate is not None and place % truncate == 0} | set(cuts)
    hidden, cell = run.recurrence.states["h"], run.recurrence.states.get("c")
    for position, t in enumerate(order):
        tape.timestep = t
        before, run.copied = run.h, run.c
        if position in cut:
            run.h = run.h.detach()
            run.c = run.c.detach() if cell is not None else run.c
        run.keep = None if mask is None or mask[:, t].all() else mask[:, t, None]
        step(run, t, buffers)
        if run.keep is not None:
            run.h = where(run.keep, run.h, before)
        hidden[t] = run.h.id
        if cell is not None:
            cell[t] = run.c.id
    tape.timestep = outside
    return buffers["h"]


def _stacked(run: Unrolled, buffer: Array, *, whole: bool) -> Tensor:
    ids = tuple(run.recurrence.states["h"])
    if not whole:
        return stack([run.tape.tensor(node_id) for node_id in ids], axis=1)
    # The steps wrote into one time-major buffer: the stacked value is a view of it.
    return run.tape.tensor(run.tape.append(ops.STACK, ids, buffer.swapaxes(0, 1), options={"axis": -2}))


def _rnn_step(run: Unrolled, t: int, out: dict[str, Array]) -> None:
    # The hot path: the node is made here, without the look-ups that `Tape.append` makes for anyone.
    tape, before = run.tape, run.h.id
    nodes = tape.nodes
    op, projection, xproj, weight, matrix = run.fixed or run.fix()
    h = nodes[before].value
    value = op.forward(xproj, h, matrix, t, out["h"][t])
    node_id = len(nodes)
    inputs = (projection, before, weight)
    nodes.append(Node(node_id, op, inputs, value, (xproj, h, matrix), tape.place, t, True, {"t": t}))
    run.h = Tensor(tape, node_id)


def _lstm_step(run: Unrolled, t: int, out: dict[str, Array]) -> None:
    tape, projection, weight = run.tape, run.projection, run.weights[0]
    value = cells.LSTM_GATES.forward(projection.value, run.h.value, weight.value, t=t)
    inputs = (projection.id, run.h.id, weight.id)
    gates = tape.append(cells.LSTM_GATES, inputs, value, options={"t": t}, requires=True)
    cell = cells.LSTM_CELL.forward(value, run.c.value, out=out["c"][t])
    run.c = run.kept_cell(Tensor(tape, tape.append(cells.LSTM_CELL, (gates, run.c.id), cell, requires=True)))
    hidden = cells.LSTM_HIDDEN.forward(value, run.c.value, out=out["h"][t])
    h = tape.append(cells.LSTM_HIDDEN, (gates, run.c.id), hidden, requires=True)
    run.recurrence.gates[t] = gates
    run.h = Tensor(tape, h)


def _gru_step(run: Unrolled, t: int, out: dict[str, Array]) -> None:
    tape, projection, (weight, bias) = run.tape, run.projection, run.weights
    value = cells.GRU_HIDDEN.forward(run.h.value, weight.value, bias.value)
    product = tape.append(cells.GRU_HIDDEN, (run.h.id, weight.id, bias.id), value, requires=True)
    opened = cells.GRU_GATES.forward(projection.value, value, t=t)
    inputs = (projection.id, product)
    gates = tape.append(cells.GRU_GATES, inputs, opened, options={"t": t}, requires=True)
    state = cells.GRU_STATE.forward(opened, run.h.value, out=out["h"][t])
    h = tape.append(cells.GRU_STATE, (gates, run.h.id), state, requires=True)
    run.recurrence.gates[t] = gates
    run.h = Tensor(tape, h)


def _composed(run: Unrolled, t: int, out: dict[str, Array]) -> None:
    """Record the step as primitive operations; `out` belongs to the fused form."""
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
    run.c = run.kept_cell(f * run.c + i * g)
    run.h = o * run.c.tanh()


_FUSED = {"tanh": _rnn_step, "relu": _rnn_step, "lstm": _lstm_step, "gru": _gru_step}
