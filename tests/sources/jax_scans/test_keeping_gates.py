"""The gate that keeps a state, told from the operations of a step: its openness against the same numbers in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import jax as watched
from rnngraph.sources.jax.function import Options
from rnngraph.sources.jax.scan_recording import JaxRecording
from rnngraph.sources.jax.watch import measure, recorded
from rnngraph.trace.change import BIAS, Change
from tests.sources.jax_scans.truth import jax, jnp

T, N, D, H = 7, 3, 2, 4
scan = jax.lax.scan


def weights() -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = {"Wz": (H, H), "Uz": (D, H), "Wn": (H, H), "Un": (D, H)}
    return {name: 0.7 * jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)}


def batch() -> Any:
    return jax.random.normal(jax.random.key(1), (T, N, D))


def cell(form: str) -> Callable[[Any, Any, Any], Any]:
    @jax.jit  # type: ignore[untyped-decorator]
    def step(p: Any, h: Any, x: Any) -> Any:
        z = jax.nn.sigmoid(h @ p["Wz"] + x @ p["Uz"])
        new = jnp.tanh(h @ p["Wn"] + x @ p["Un"])
        if form == "z h":
            return (1 - z) * new + z * h
        if form == "(1 - z) h":
            return h * (1 - z) + z * new
        if form == "difference":
            return new + z * (h - new)
        if form == "(2 - z) h":
            return h * (2 - z) + new
        if form == "of a half":  # no sigmoid of its own
            return 0.5 * z * h + new
        if form == "of the product":
            return jnp.tanh(z * h + new)
        return z * (h @ p["Wn"]) + new  # the state itself is not multiplied

    found: Callable[[Any, Any, Any], Any] = step
    return found


def loss_of(form: str) -> Callable[[Any, Any], Any]:
    step = cell(form)

    def loss(p: Any, x: Any) -> Any:
        return jnp.sum(scan(lambda h, x: (step(p, h, x),) * 2, jnp.zeros((N, H)), x)[1] ** 2)

    return loss


@pytest.mark.parametrize("form", ["z h", "(1 - z) h", "difference"])
def test_how_open_the_gate_is(form: str) -> None:
    p, x = weights(), batch()
    trace = watched.watch(loss_of(form), p, x, lags=False)
    own, h, kept = {name: np.asarray(one, np.float64) for name, one in p.items()}, np.zeros((N, H)), []
    for now in np.asarray(x, np.float64):
        z = 1 / (1 + np.exp(-(h @ own["Wz"] + now @ own["Uz"])))
        new = np.tanh(h @ own["Wn"] + now @ own["Un"])
        kept.append(1 - z if form == "(1 - z) h" else z)
        h = new + kept[-1] * (h - new)
    (gate,) = trace.gates
    assert (gate.gate, trace.cells[0].keeps) == ("keep", "keep")
    np.testing.assert_allclose(gate.mean, [one.mean() for one in kept], rtol=1e-5)
    np.testing.assert_allclose(gate.log_mean, np.log(kept).mean(axis=(0, 1)), rtol=1e-5)
    saturated = [(one * (1 - one) < 0.05 / 4).mean() for one in kept]  # of a sigmoid's largest derivative
    np.testing.assert_allclose(gate.saturated, saturated)
    reading = watched.watch(lambda p, x: loss_of(form)(p, x), p, x)
    assert rg.diagnose(reading).flags


@pytest.mark.parametrize("form", ["of a half", "(2 - z) h", "of the product", "of a part"])
def test_what_is_no_gate_that_keeps(form: str) -> None:
    trace = watched.watch(loss_of(form), weights(), batch(), lags=False)
    assert not trace.gates
    assert not trace.cells[0].keeps


def test_of_two_gates_in_one_scan_none_is_told() -> None:
    low, up = cell("z h"), cell("(1 - z) h")

    def loss(p: Any, x: Any) -> Any:
        def step(states: Any, x: Any) -> Any:
            states = low(p, states[0], x), up(p, states[1], x)
            return states, states

        return sum(jnp.sum(one**2) for one in scan(step, (jnp.zeros((N, H)), jnp.zeros((N, H))), x)[1])

    assert not watched.watch(loss, weights(), batch(), lags=False).gates


def linen(name: str, states: int) -> tuple[Any, Any]:
    nn = pytest.importorskip("flax.linen")
    layer = nn.RNN(getattr(nn, name)(H))
    p = layer.init(jax.random.key(0), batch().swapaxes(0, 1))
    del states
    return lambda p, x: jnp.sum(layer.apply(p, x.swapaxes(0, 1)) ** 2), p


def equinox(name: str, states: int) -> tuple[Any, Any]:
    eqx = pytest.importorskip("equinox")
    one = getattr(eqx.nn, name)(D, H, key=jax.random.key(0))

    def loss(one: Any, x: Any) -> Any:
        def of_sample(x: Any) -> Any:
            def step(state: Any, x: Any) -> Any:
                state = one(x, state)
                return state, state if states == 1 else state[0]

            start = jnp.zeros(H) if states == 1 else (jnp.zeros(H), jnp.zeros(H))
            return scan(step, start, x)[1]

        return jnp.sum(jax.vmap(of_sample, in_axes=1)(x) ** 2)

    return loss, one


def haiku(name: str, states: int) -> tuple[Any, Any]:
    hk = pytest.importorskip("haiku")
    del states

    def forward(x: Any) -> Any:
        core = getattr(hk, name)(H)
        return jnp.sum(hk.dynamic_unroll(core, x, core.initial_state(N))[0] ** 2)

    pure = hk.without_apply_rng(hk.transform(forward))
    return pure.apply, pure.init(jax.random.key(0), batch())


CELLS = [
    (linen, "LSTMCell", "c"), (linen, "OptimizedLSTMCell", "c"), (linen, "GRUCell", "h"), (linen, "SimpleCell", ""),
    (linen, "MGUCell", "h"), (equinox, "LSTMCell", "c"), (equinox, "GRUCell", "hidden"), (haiku, "LSTM", "cell"),
    (haiku, "GRU", "h"), (haiku, "VanillaRNN", ""),
]  # fmt: skip


@pytest.mark.parametrize(("make", "name", "kept"), CELLS)
def test_cells_of_libraries(make: Callable[[str, int], tuple[Any, Any]], name: str, kept: str) -> None:
    loss, p = make(name, 2 if "LSTM" in name else 1)
    trace = watched.watch(loss, p, batch(), lags=False, weights=False)
    assert len(trace.gates) == (1 if kept else 0)
    if kept:
        assert trace.cells[0].keeps_title.startswith("gate on ")
        assert (trace.gates[0].mean > 0).all()
        assert (trace.gates[0].mean < 1).all()


@pytest.mark.parametrize(("make", "name", "kept"), CELLS)
def test_the_bias_of_the_gate_is_a_remedy(make: Callable[[str, int], tuple[Any, Any]], name: str, kept: str) -> None:
    """Where all weights are zero, the gate is the sigmoid of its bias."""
    loss, p = make(name, 2 if "LSTM" in name else 1)
    nothing = jax.tree.map(lambda one: 0 * one if isinstance(one, jax.Array) else one, p)
    recording = recorded(loss, (nothing, batch()), Options())
    again = recording.changed([Change(BIAS, 1.5)])
    if not kept:
        assert again is None
        return
    assert isinstance(again, JaxRecording)
    gates = measure(again, lags=None, source="").gates
    np.testing.assert_allclose(gates[0].mean, 1 / (1 + np.exp(-1.5)), rtol=1e-6)
    changed = [np.asarray(one) for one in again.arrays[:-1]]
    assert sum(int((one != 0).sum()) for one in changed) == H  # of one bias, and of nothing else


def test_a_gate_without_a_bias_has_no_such_remedy() -> None:
    assert recorded(loss_of("z h"), (weights(), batch()), Options()).changed([Change(BIAS, 1.5)]) is None


@pytest.mark.parametrize("joined", [False, True])
def test_an_input_that_is_not_written_is_told_by_its_weight(joined: bool) -> None:
    """Less than a millionth of the input reaches a state that keeps it, and more than float32 can tell from nothing."""
    steps, units, little = 20, 4, 4e-7
    q = [np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))[0] for seed in (0, 1)]
    p = {"both": jnp.asarray(np.concatenate(q))} if joined else {"W": jnp.asarray(q[0]), "Q": jnp.asarray(q[1])}
    x = jnp.asarray(np.random.default_rng(2).normal(size=(steps, 2, units)))

    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            both = jnp.concatenate([little * now, h], axis=1)
            h = both @ p["both"] if joined else little * (now @ p["W"]) + h @ p["Q"]
            return h, h

        return scan(step, jnp.zeros((2, units)), x)[1][-1].sum()

    trace = watched.watch(loss, p, x)
    assert [one.weight for one in trace.input_lags] == [pytest.approx(2.0)]  # of an orthogonal weight of four rows
    diagnosis = rg.diagnose(trace)
    assert diagnosis.verdict == "unwritten"
    written = diagnosis.findings[0].evidence["written_decades"]
    assert written == pytest.approx(math.log10(little / 2), abs=1e-5)


def test_a_weight_that_multiplies_the_input_before_the_scan_is_not_known() -> None:
    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            h = jnp.tanh(now + h @ p["W"])
            return h, h

        return scan(step, jnp.zeros((2, 3)), x @ p["U"])[1].sum()

    p = {"W": jnp.eye(3), "U": jnp.ones((2, 3))}
    assert [math.isnan(one.weight) for one in watched.watch(loss, p, jnp.ones((6, 2, 2))).input_lags] == [True]
