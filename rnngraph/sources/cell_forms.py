"""Forms of the cells that only other libraries have: an LSTM with a projection, a GRU that resets before the product.

Each is a step rule for `nn.unroll`, made of the same nodes as our own cells where those exist.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.contribution import Array, Contribution, Outer, Slice
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.ops import sigmoid
from rnngraph.autodiff.tensor import Tensor
from rnngraph.nn import cells
from rnngraph.nn.unroll import StepRule, Unrolled


def step_rule(*, projected: bool, reset_before: bool) -> StepRule | None:
    """Choose the step of a form; None is our own cell."""
    return _projected_lstm if projected else _reset_before_gru if reset_before else None


def _projected_lstm(run: Unrolled, t: int, out: dict[str, Array]) -> None:
    """Record `h = (o * tanh(c)) Wr` (Sak et al., 2014); the recurrence carries the projected `h`."""
    tape, (weight, projection) = run.tape, run.weights
    value = cells.LSTM_GATES.forward(run.projection.value, run.h.value, weight.value, t=t)
    inputs = (run.projection.id, run.h.id, weight.id)
    gates = tape.append(cells.LSTM_GATES, inputs, value, options={"t": t})
    cell = cells.LSTM_CELL.forward(value, run.c.value, out=out["c"][t])
    run.c = run.kept_cell(Tensor(tape, tape.append(cells.LSTM_CELL, (gates, run.c.id), cell)))
    hidden = cells.LSTM_HIDDEN.forward(value, run.c.value)
    unprojected = tape.append(cells.LSTM_HIDDEN, (gates, run.c.id), hidden)
    h = np.matmul(hidden, projection.value, out=out["h"][t])
    run.recurrence.gates[t] = gates
    run.h = Tensor(tape, tape.append(ops.MATMUL, (unprojected, projection.id), h))


def _reset_before_gates(xproj: Array, h: Array, weight: Array, *, t: int) -> Array:
    hidden, x = h.shape[-1], xproj[:, t]
    out = np.empty_like(x)
    out[:, : 2 * hidden] = sigmoid(x[:, : 2 * hidden] + h @ weight[:, : 2 * hidden])
    reset = out[:, :hidden] * h
    np.tanh(x[:, 2 * hidden :] + reset @ weight[:, 2 * hidden :], out=out[:, 2 * hidden :])
    return out


def _reset_before_gates_vjp(g: Array, node: Node) -> tuple[Contribution, ...]:
    _, h, weight = node.arguments
    hidden = h.shape[-1]
    s, n = node.value[:, : 2 * hidden], node.value[:, 2 * hidden :]
    r = s[:, :hidden]
    da = np.empty_like(g)
    np.multiply(g[..., 2 * hidden :], 1 - n * n, out=da[..., 2 * hidden :])
    to_reset = da[..., 2 * hidden :] @ weight[:, 2 * hidden :].T
    da[..., : 2 * hidden] = g[..., : 2 * hidden]
    da[..., :hidden] += to_reset * h
    da[..., : 2 * hidden] *= s * (1 - s)
    to_h = da[..., : 2 * hidden] @ weight[:, : 2 * hidden].T + to_reset * r
    # The weight sees h in two gate blocks and r * h in the third: one outer product over twice as many rows.
    opened, candidate = da.copy(), da.copy()
    opened[..., 2 * hidden :] = 0
    candidate[..., : 2 * hidden] = 0
    rows = np.concatenate([opened, candidate], axis=-2)
    return Slice((slice(None), node.options["t"]), da), to_h, Outer(np.concatenate([h, r * h]), rows)


GRU_RESET_BEFORE = Op("gru_gates_reset_before", "gates r z n", _reset_before_gates, _reset_before_gates_vjp)


def _reset_before_gru(run: Unrolled, t: int, out: dict[str, Array]) -> None:
    """Record `n = tanh(x Wxn + (r * h) Whn + b)`, the GRU of Cho et al. (2014) and of Keras with reset_after=False."""
    tape, weight = run.tape, run.weights[0]
    value = GRU_RESET_BEFORE.forward(run.projection.value, run.h.value, weight.value, t=t)
    inputs = (run.projection.id, run.h.id, weight.id)
    gates = tape.append(GRU_RESET_BEFORE, inputs, value, options={"t": t})
    state = cells.GRU_STATE.forward(value, run.h.value, out=out["h"][t])
    run.recurrence.gates[t] = gates
    run.h = Tensor(tape, tape.append(cells.GRU_STATE, (gates, run.h.id), state))
