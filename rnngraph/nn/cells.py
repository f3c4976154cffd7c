"""The arithmetic of one step of every cell, and of the projections around it: each an op, declared once.

A step takes `xproj`, the projection `x·Wx + b` of all timesteps, and reads its own timestep from it. The value
of every node is all that its vjp needs, so nothing else is kept. An LSTM step is three nodes (gates, cell, hidden)
and a GRU step is three (hidden product, gates, state), because gates and cell states are what people ask to see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array, BatchSum, Contribution, Outer, Slice, TimeSlice
from rnngraph.autodiff.node import Node, Op
from rnngraph.autodiff.ops import sigmoid
from rnngraph.errors import InputError

Contributions = tuple[Contribution, ...]


def _product(a: Array, b: Array) -> Array:
    # `dot` has half the overhead of `@` on small matrices. However many axes lead, it is one product:
    # `@` would make a small one of each.
    if a.ndim == 2:
        return np.asarray(a.dot(b))
    return np.asarray(a.reshape(-1, a.shape[-1]).dot(b).reshape(*a.shape[:-1], b.shape[1]))


def _affine(x: Array, weight: Array, bias: Array) -> Array:
    if x.shape[-1] != weight.shape[0]:
        raise InputError(
            f"the input has shape {x.shape} and the weight {weight.shape}; "
            f"the input's last size must be {weight.shape[0]}."
        )
    if x.ndim != 3:
        return np.asarray(x @ weight + bias)
    batch, time, _ = x.shape
    # Time-major in memory: one product for all steps, and each step's slice is contiguous.
    flat = x.swapaxes(0, 1).reshape(time * batch, -1) @ weight
    flat += bias
    return flat.reshape(time, batch, -1).swapaxes(0, 1)


def _affine_vjp(g: Array, node: Node) -> Contributions:
    x, weight, _ = node.arguments
    if x.ndim != 3:
        return g @ weight.T, Outer(x, g), BatchSum(g)
    g = g.swapaxes(-3, -2)
    to_x = (g.reshape(-1, g.shape[-1]) @ weight.T).reshape(*g.shape[:-1], -1).swapaxes(-3, -2)
    return to_x, Outer(x.swapaxes(0, 1), g), BatchSum(g)


def _tanh_step(xproj: Array, h: Array, weight: Array, t: int, out: Array | None = None) -> Array:
    a = h.dot(weight)
    a += xproj[:, t]
    return np.asarray(np.tanh(a, out=out))


def _tanh_step_vjp(g: Array, node: Node) -> Contributions:
    _, h, weight = node.arguments
    da = node.value * node.value
    np.subtract(1, da, out=da)
    if g.ndim > 2:
        da = g * da
        return TimeSlice(node.options["t"], da), _product(da, weight.T), Outer(h, da)
    da *= g
    return TimeSlice(node.options["t"], da), da.dot(weight.T), Outer(h, da)


def _relu_step(xproj: Array, h: Array, weight: Array, t: int, out: Array | None = None) -> Array:
    a = h.dot(weight)
    a += xproj[:, t]
    return np.asarray(np.maximum(a, 0, out=out))


def _relu_step_vjp(g: Array, node: Node) -> Contributions:
    _, h, weight = node.arguments
    da = g * (node.value > 0)
    return TimeSlice(node.options["t"], da), _product(da, weight.T), Outer(h, da)


def _lstm_gates(xproj: Array, h: Array, weight: Array, *, t: int, out: Array | None = None) -> Array:
    a = h.dot(weight)
    a += xproj[:, t]
    hidden = a.shape[-1] // 4  # not h's size, which a projected LSTM makes smaller
    out = np.empty_like(a) if out is None else out
    out[:, : 3 * hidden] = sigmoid(a[:, : 3 * hidden])
    np.tanh(a[:, 3 * hidden :], out=out[:, 3 * hidden :])
    return out


def _lstm_gates_vjp(g: Array, node: Node) -> Contributions:
    _, h, weight = node.arguments
    hidden = g.shape[-1] // 4
    s, u = node.value[:, : 3 * hidden], node.value[:, 3 * hidden :]
    slope = np.empty_like(node.value)
    np.multiply(s, 1 - s, out=slope[:, : 3 * hidden])
    np.subtract(1, u * u, out=slope[:, 3 * hidden :])
    da = g * slope
    return TimeSlice(node.options["t"], da), _product(da, weight.T), Outer(h, da)


def _lstm_cell(gates: Array, c: Array, *, out: Array | None = None) -> Array:
    i, f, _, u = np.split(gates, 4, axis=-1)
    return np.asarray(np.add(f * c, i * u, out=out))


def _lstm_cell_vjp(g: Array, node: Node) -> Contributions:
    gates, c = node.arguments
    hidden = c.shape[-1]
    i, f, u = gates[:, :hidden], gates[:, hidden : 2 * hidden], gates[:, 3 * hidden :]
    to_gates = np.empty((*g.shape[:-1], 4 * hidden), g.dtype)
    np.multiply(g, u, out=to_gates[..., :hidden])
    np.multiply(g, c, out=to_gates[..., hidden : 2 * hidden])
    to_gates[..., 2 * hidden : 3 * hidden] = 0
    np.multiply(g, i, out=to_gates[..., 3 * hidden :])
    return to_gates, g * f


def _lstm_hidden(gates: Array, c: Array, *, out: Array | None = None) -> Array:
    hidden = c.shape[-1]
    return np.asarray(np.multiply(gates[:, 2 * hidden : 3 * hidden], np.tanh(c), out=out))


def _lstm_hidden_vjp(g: Array, node: Node) -> Contributions:
    gates, c = node.arguments
    hidden = c.shape[-1]
    output, squashed = slice(2 * hidden, 3 * hidden), np.tanh(c)
    to_c = g * gates[:, output]
    to_c *= 1 - squashed * squashed
    return Slice((slice(None), output), g * squashed), to_c


def _gru_hidden(h: Array, weight: Array, bias: Array) -> Array:
    a: Array = h.dot(weight)
    a += bias
    return a


def _gru_hidden_vjp(g: Array, node: Node) -> Contributions:
    h, weight, _ = node.arguments
    return _product(g, weight.T), Outer(h, g), BatchSum(g)


def _gru_gates(xproj: Array, product: Array, *, t: int) -> Array:
    hidden = product.shape[-1] // 3
    x = xproj[:, t]
    out = np.empty_like(product)
    out[:, : 2 * hidden] = sigmoid(x[:, : 2 * hidden] + product[:, : 2 * hidden])
    candidate = out[:, :hidden] * product[:, 2 * hidden :]
    candidate += x[:, 2 * hidden :]
    np.tanh(candidate, out=out[:, 2 * hidden :])
    return out


def _gru_gates_vjp(g: Array, node: Node) -> Contributions:
    _, product = node.arguments
    hidden = product.shape[-1] // 3
    s, n = node.value[:, : 2 * hidden], node.value[:, 2 * hidden :]
    reset, candidate = slice(None, hidden), slice(2 * hidden, None)
    slope = np.empty_like(node.value)
    np.multiply(s, 1 - s, out=slope[:, : 2 * hidden])
    np.subtract(1, n * n, out=slope[:, candidate])
    da = g * slope
    da[..., reset] += da[..., candidate] * (product[:, candidate] * slope[:, reset])
    to_product = np.empty_like(da)
    to_product[..., : 2 * hidden] = da[..., : 2 * hidden]
    np.multiply(da[..., candidate], s[:, reset], out=to_product[..., candidate])
    return TimeSlice(node.options["t"], da), to_product


def _gru_state(gates: Array, h: Array, *, out: Array | None = None) -> Array:
    hidden = h.shape[-1]
    z, n = gates[:, hidden : 2 * hidden], gates[:, 2 * hidden :]
    return np.asarray(np.add((1 - z) * n, z * h, out=out))


def _gru_state_vjp(g: Array, node: Node) -> Contributions:
    gates, h = node.arguments
    hidden = h.shape[-1]
    z, n = gates[:, hidden : 2 * hidden], gates[:, 2 * hidden :]
    to_gates = np.empty((*g.shape[:-1], 3 * hidden), g.dtype)
    to_gates[..., :hidden] = 0
    np.multiply(g, h - n, out=to_gates[..., hidden : 2 * hidden])
    np.multiply(g, 1 - z, out=to_gates[..., 2 * hidden :])
    return to_gates, g * z


PROJECT = Op("project", "x·Wx + b", _affine, _affine_vjp)
LINEAR = Op("linear", "x·W + b", _affine, _affine_vjp)
RNN_TANH_STEP = Op("rnn_tanh_step", "tanh step", _tanh_step, _tanh_step_vjp)
RNN_RELU_STEP = Op("rnn_relu_step", "relu step", _relu_step, _relu_step_vjp)
LSTM_GATES = Op("lstm_gates", "gates i f o g", _lstm_gates, _lstm_gates_vjp)
LSTM_CELL = Op("lstm_cell", "c = f·c + i·g", _lstm_cell, _lstm_cell_vjp)
LSTM_HIDDEN = Op("lstm_hidden", "h = o·tanh(c)", _lstm_hidden, _lstm_hidden_vjp)
GRU_HIDDEN = Op("gru_hidden", "h·Wh + bh", _gru_hidden, _gru_hidden_vjp)
GRU_GATES = Op("gru_gates", "gates r z n", _gru_gates, _gru_gates_vjp)
GRU_STATE = Op("gru_state", "h = (1-z)·n + z·h", _gru_state, _gru_state_vjp)

CELL_OPS = (
    PROJECT, LINEAR, RNN_TANH_STEP, RNN_RELU_STEP, LSTM_GATES, LSTM_CELL, LSTM_HIDDEN, GRU_HIDDEN, GRU_GATES, GRU_STATE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """What a recurrent layer must know of its cell: gate blocks and states."""

    name: str
    gates: str  # one letter a block of the weights
    states: str  # "h", or "hc"
    hidden_bias: bool = False  # a second bias inside the reset gate's product

    @property
    def gate_names(self) -> str:
        """The letters of the gates; none where the one block is the state's own."""
        return self.gates if len(self.gates) > 1 else ""


CELLS: dict[str, Cell] = {
    "tanh": Cell("tanh", "a", "h"),
    "relu": Cell("relu", "a", "h"),
    "lstm": Cell("lstm", "ifog", "hc"),
    "gru": Cell("gru", "rzn", "h", hidden_bias=True),
}
STEP_OPS: dict[str, Op] = {"tanh": RNN_TANH_STEP, "relu": RNN_RELU_STEP}
