"""Cells of flax, equinox and haiku as they are: loss and gradients bit for bit, and everything against PyTorch.

PyTorch runs the same cell with the same weights in a loop, and is asked for the gradient of every step's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rnngraph import jax as watched
from rnngraph.sources.jax.function import Options
from rnngraph.sources.jax.watch import recorded
from tests.sources.jax_scans.truth import jax, jnp, near

torch = pytest.importorskip("torch")
N, T, D, H = 3, 6, 2, 4


@dataclass(frozen=True)
class Case:
    """A loss of JAX with its arguments, the names of its states, and PyTorch's cell with the same weights."""

    loss: Callable[[Any, Any], Any]
    weights: Any
    states: tuple[str, ...]
    cell: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]  # x, states -> states, that which is read first


def inputs() -> Any:
    """Make an input, (N, T, D)."""
    return jax.random.normal(jax.random.key(1), (N, T, D), float)


def moved(tree: Any) -> Any:
    """Give every weight values of its own: biases begin at zero."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    drawn = [
        0.5 * jax.random.normal(key, one.shape, float) if jnp.issubdtype(one.dtype, jnp.floating) else one
        for key, one in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def tensor(array: Any) -> Any:
    return torch.from_numpy(np.array(array))


def squared(outputs: Any) -> Any:
    return jnp.sum(outputs**2)


def lstm(gates: Callable[[Any, Any], tuple[Any, Any, Any, Any]]) -> Any:
    """Make an LSTM of PyTorch's functions; `gates` gives i, f, g, o before they are squashed."""

    def cell(x: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
        h, c = states
        i, f, g, o = gates(x, h)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    return cell


def linen_lstm() -> Case:
    nn = pytest.importorskip("flax.linen")
    layer = nn.RNN(nn.OptimizedLSTMCell(H, param_dtype=jnp.result_type(float)))
    p = moved(layer.init(jax.random.key(0), inputs()))
    own = jax.tree.map(tensor, p)["params"]["cell"]

    def gates(x: Any, h: Any) -> Any:
        return [x @ own[f"i{k}"]["kernel"] + h @ own[f"h{k}"]["kernel"] + own[f"h{k}"]["bias"] for k in "ifgo"]

    return Case(lambda p, x: squared(layer.apply(p, x)), p, ("RNN.h", "RNN.c"), lstm(gates))


def nnx_gru() -> Case:
    nnx = pytest.importorskip("flax.nnx")
    layer = moved(nnx.RNN(nnx.GRUCell(D, H, rngs=nnx.Rngs(0), param_dtype=jnp.result_type(float))))
    dense_i, dense_h = layer.cell.dense_i, layer.cell.dense_h
    wi, bi, wh = (tensor(one[...]) for one in (dense_i.kernel, dense_i.bias, dense_h.kernel))

    def cell(x: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
        (h,) = states
        ir, iz, inn = (x @ wi + bi).chunk(3, dim=1)
        hr, hz, hn = (h @ wh).chunk(3, dim=1)
        r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
        return ((1 - z) * torch.tanh(inn + r * hn) + z * h,)

    return Case(lambda layer, x: squared(layer(x)), layer, ("cell.h",), cell)


def equinox_lstm() -> Case:
    eqx = pytest.importorskip("equinox")
    one = moved(eqx.nn.LSTMCell(D, H, key=jax.random.key(0)))
    wx, wh, b = (tensor(w) for w in (one.weight_ih, one.weight_hh, one.bias))

    def loss(one: Any, x: Any) -> Any:
        def of_sample(x: Any) -> Any:
            def step(state: Any, x: Any) -> Any:
                state = one(x, state)
                return state, state[0]

            return jax.lax.scan(step, (jnp.zeros(H), jnp.zeros(H)), x)[1]

        return squared(jax.vmap(of_sample)(x))

    def gates(x: Any, h: Any) -> Any:
        return (x @ wx.T + h @ wh.T + b).chunk(4, dim=1)

    return Case(eqx.filter_jit(loss), one, ("step.h", "step.c"), lstm(gates))


def haiku_lstm() -> Case:
    hk = pytest.importorskip("haiku")

    def forward(x: Any) -> Any:
        core = hk.LSTM(H)
        return squared(hk.dynamic_unroll(core, x.swapaxes(0, 1), core.initial_state(N))[0])

    pure = hk.without_apply_rng(hk.transform(forward))
    p = moved(pure.init(jax.random.key(0), inputs()))
    w, b = tensor(p["lstm/linear"]["w"]), tensor(p["lstm/linear"]["b"])

    def gates(x: Any, h: Any) -> Any:
        i, g, f, o = (torch.cat([x, h], dim=1) @ w + b).chunk(4, dim=1)
        return i, f + 1, g, o

    return Case(pure.apply, p, ("lstm.hidden", "lstm.cell"), lstm(gates))


CASES = (linen_lstm, nnx_gru, equinox_lstm, haiku_lstm)


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize(("wide", "rtol"), [(False, 1e-5), (True, 1e-12)], ids=["float32", "x64"])
def test_a_cell_of_a_library(make: Callable[[], Case], wide: bool, rtol: float) -> None:
    with jax.enable_x64(wide):
        case, x = make(), inputs()
        trace = watched.watch(case.loss, case.weights, x)
        loss, gradients = jax.jit(jax.value_and_grad(case.loss, allow_int=True))(case.weights, x)
        mine = recorded(case.loss, (case.weights, x), Options()).leaf_gradients
        floating = [one for one in jax.tree.leaves(gradients) if jnp.issubdtype(one.dtype, jnp.floating)]
        for one, other in zip(floating, mine.values(), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert trace.loss == float(loss)
    assert [one.name for one in trace.states] == list(case.states)
    assert trace.batch == N
    given = tensor(x).requires_grad_()
    states: list[Any] = []
    now = tuple(torch.zeros(N, H, dtype=given.dtype) for _ in case.states)
    for t in range(T):
        now = case.cell(given[:, t], now)
        states.append(now)
    losses = [(some[0] ** 2).sum() for some in states]
    np.testing.assert_allclose(trace.loss, sum(losses).item(), rtol=rtol)
    for place, name in enumerate(case.states):
        column = [some[place] for some in states]
        total = torch.autograd.grad(sum(losses), column, retain_graph=True)
        state = next(one for one in trace.states if one.name == name)
        near(state.grad.value, [one.norm().item() for one in total], rtol)
        lag = next(one for one in trace.lags if one.state == name)
        for s in (0, 3, T - 1):
            own = torch.autograd.grad(losses[s], column[: s + 1], retain_graph=True, allow_unused=True)
            known = np.stack([np.zeros(N) if one is None else one.norm(dim=1).numpy() for one in own])
            near(np.exp(lag.log[:, s, 1 : s + 2]), known.T, rtol)
    for s in (0, T - 1):
        (own,) = torch.autograd.grad(losses[s], given, retain_graph=True)
        near(np.exp(trace.input_lags[0].log[:, s]), own.norm(dim=2).numpy(), rtol)
    own_parts = [one for one in trace.parameters if np.isfinite(one.cancellation)]
    assert len(own_parts) == len(trace.parameters)  # a step reads every weight of a cell


def test_a_bidirectional_layer_of_flax_and_one_with_lengths() -> None:
    nn = pytest.importorskip("flax.linen")
    layer = nn.Bidirectional(nn.RNN(nn.SimpleCell(H)), nn.RNN(nn.SimpleCell(H)))
    x = inputs()
    p = moved(layer.init(jax.random.key(0), x))
    found = watched.scans(lambda p, x: squared(layer.apply(p, x)), p, x).found
    assert [(name, steps, way) for name, steps, way, _ in found] == [
        ("Bidirectional.forward_rnn", T, "forward"), ("Bidirectional.backward_rnn", T, "reverse"),
    ]  # fmt: skip
    lengths = jnp.array([2, 6, 4])
    some = watched.scans(lambda p, x: squared(layer.apply(p, x, seq_lengths=lengths)), p, x)
    assert [name for name, *_ in some.found] == ["Bidirectional.forward_rnn", "Bidirectional.backward_rnn"]
    assert some.notes[0].startswith("Bidirectional.backward_rnn reads its input in an order that is not known before")
