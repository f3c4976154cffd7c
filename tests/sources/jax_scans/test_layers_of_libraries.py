"""What libraries offer beside single cells: the credit of every input for every step's loss, against `jax.jacrev`.

A model gives the losses of its steps; the loss that is watched is their sum. The truth knows no scans: it is the
derivative of the losses by the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rnngraph import jax as watched
from tests.sources.jax_scans.truth import jax, jnp

N, T, D, H = 3, 7, 2, 4


@dataclass(frozen=True)
class Model:
    """Losses of steps, of weights and an input (N, T, D); and what is found."""

    losses: Callable[[Any, Any], Any]
    weights: Any
    found: tuple[tuple[str, str, tuple[str, ...]], ...]  # name, direction, states
    fed: str = ""  # the scan whose input is the model's; the first


@pytest.fixture(autouse=True)
def _x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def inputs() -> Any:
    return jax.random.normal(jax.random.key(1), (N, T, D), float)


def by_step(outputs: Any) -> Any:
    """Give a loss a step, of outputs (N, T, H)."""
    return jnp.sum(outputs**2, axis=(0, 2))


def linen(make: Callable[[Any], Any], *found: tuple[str, str, tuple[str, ...]], **options: Any) -> Model:
    """Make a model of flax's linen modules; `make` gives a layer of an input."""
    nn = pytest.importorskip("flax.linen")
    layer = make(nn)
    p = layer.init(jax.random.key(0), inputs(), **options)
    return Model(lambda p, x: by_step(layer.apply(p, x, **options)), p, found)


def wide() -> Any:
    return jnp.result_type(float)


def linen_gru() -> Model:
    return linen(lambda nn: nn.RNN(nn.GRUCell(H, param_dtype=wide())), ("RNN", "forward", ("h",)))


def linen_lengths() -> Model:
    lengths = jnp.array([2, 7, 4])
    return linen(
        lambda nn: nn.RNN(nn.LSTMCell(H, param_dtype=wide())), ("RNN", "forward", ("h", "c")), seq_lengths=lengths
    )


def linen_carry_of_lengths() -> Model:
    """The loss reads each sample's state at its own last step."""
    nn = pytest.importorskip("flax.linen")
    layer, lengths = nn.RNN(nn.GRUCell(H, param_dtype=wide()), return_carry=True), jnp.array([2, 7, 4])
    p = layer.init(jax.random.key(0), inputs())

    def losses(p: Any, x: Any) -> Any:
        last, _ = layer.apply(p, x, seq_lengths=lengths)
        return jnp.zeros(T).at[lengths - 1].add(jnp.sum(last**2, axis=1))

    return Model(losses, p, (("RNN", "forward", ("h",)),))


def linen_last_step() -> Model:
    model = linen_gru()
    return Model(lambda p, x: model.losses(p, x).at[:-1].set(0.0), model.weights, model.found)


def linen_reverse() -> Model:
    return linen(
        lambda nn: nn.RNN(nn.SimpleCell(H, param_dtype=wide()), reverse=True, keep_order=True),
        ("RNN", "reverse", ("h",)),
    )


def linen_in_columns() -> Model:
    """Time stands first."""
    nn = pytest.importorskip("flax.linen")
    layer = nn.RNN(nn.GRUCell(H, param_dtype=wide()), time_major=True)
    p = layer.init(jax.random.key(0), inputs().swapaxes(0, 1))
    return Model(
        lambda p, x: by_step(layer.apply(p, x.swapaxes(0, 1)).swapaxes(0, 1)), p, (("RNN", "forward", ("h",)),)
    )


def linen_remat() -> Model:
    return linen(lambda nn: nn.RNN(nn.remat(nn.GRUCell)(H, param_dtype=wide())), ("RNN", "forward", ("h",)))


def linen_stack() -> Model:
    """Two layers; the loss reads both."""
    nn = pytest.importorskip("flax.linen")
    low, up = (nn.RNN(nn.GRUCell(H, param_dtype=wide()), name=name) for name in ("low", "up"))
    pa, pb = low.init(jax.random.key(0), inputs()), up.init(jax.random.key(1), jnp.zeros((N, T, H)))

    def losses(p: Any, x: Any) -> Any:
        below = low.apply(p[0], x)
        return by_step(up.apply(p[1], below)) + by_step(below)

    return Model(losses, (pa, pb), (("low", "forward", ("h",)), ("up", "forward", ("h",))))


def linen_bidirectional_backward() -> Model:
    """The loss reads the half of the features that the backward layer gives."""
    nn = pytest.importorskip("flax.linen")
    layer = nn.Bidirectional(nn.RNN(nn.SimpleCell(H, param_dtype=wide())), nn.RNN(nn.SimpleCell(H, param_dtype=wide())))
    p = layer.init(jax.random.key(0), inputs())
    names = [f"Bidirectional.{way}_rnn" for way in ("forward", "backward")]
    return Model(
        lambda p, x: by_step(layer.apply(p, x)[..., H:]), p,
        ((names[0], "forward", ("h",)), (names[1], "reverse", ("h",))), names[1],
    )  # fmt: skip


def haiku(unroll: Callable[[Any, Any], Any], *found: tuple[str, str, tuple[str, ...]]) -> Model:
    """Make a model of haiku; `unroll` takes it and an input (T, N, D)."""
    hk = pytest.importorskip("haiku")
    pure = hk.without_apply_rng(hk.transform(lambda x: by_step(unroll(hk, x.swapaxes(0, 1)).swapaxes(0, 1))))
    return Model(pure.apply, pure.init(jax.random.key(0), inputs()), found)


def haiku_reset_core() -> Model:
    resets = jnp.zeros((T, N), bool).at[3, 1].set(True)

    def unroll(hk: Any, x: Any) -> Any:
        core = hk.ResetCore(hk.LSTM(H))
        return hk.dynamic_unroll(core, (x, resets), core.initial_state(N))[0]

    return haiku(unroll, ("lstm", "forward", ("hidden", "cell")))


def haiku_two_cells_in_one_scan() -> Model:
    def unroll(hk: Any, x: Any) -> Any:
        core = hk.DeepRNN([hk.GRU(H), jax.nn.relu, hk.VanillaRNN(H)])
        return hk.dynamic_unroll(core, x, core.initial_state(N))[0]

    return haiku(unroll, ("scan", "forward", ("h", "h2")))


def equinox_with_a_head() -> Model:
    eqx = pytest.importorskip("equinox")
    cell = eqx.nn.GRUCell(D, H, key=jax.random.key(0), dtype=wide())

    def losses(cell: Any, x: Any) -> Any:
        def of_sample(x: Any) -> Any:
            return jax.lax.scan(lambda h, x: (cell(x, h), jnp.sum(cell(x, h) ** 2)), jnp.zeros(H), x)[1]

        return jnp.sum(jax.vmap(of_sample)(x), axis=0)

    return Model(eqx.filter_jit(losses), cell, (("scan", "forward", ("h",)),))


MODELS = (
    linen_gru, linen_lengths, linen_carry_of_lengths, linen_last_step, linen_reverse, linen_in_columns, linen_remat,
    linen_stack, linen_bidirectional_backward, haiku_reset_core, haiku_two_cells_in_one_scan,
    equinox_with_a_head,
)  # fmt: skip


@pytest.mark.parametrize("make", MODELS)
def test_the_credit_of_inputs(make: Callable[[], Model]) -> None:
    model, x = make(), inputs()

    def loss(p: Any, x: Any) -> Any:
        return jnp.sum(model.losses(p, x))

    found = watched.scans(loss, model.weights, x)
    assert tuple((name, way, states) for name, _, way, states in found.found) == model.found
    assert not found.hidden
    trace = watched.watch(loss, model.weights, x, weights=False)
    assert trace.batch == N
    assert not [note for note in trace.notes if "uncertain" in note]
    rows = np.asarray(jax.jit(jax.jacrev(lambda x: model.losses(model.weights, x)))(x))  # (S, N, T, D)
    norms = np.linalg.norm(rows, axis=3)
    lag = trace.lags[0]
    (fed,) = [one for one in trace.input_lags if one.recurrences == (model.fed or model.found[0][0],)]
    assert set(lag.losses.tolist()) == set(np.flatnonzero(norms.any(axis=(1, 2))).tolist())
    for place, s in enumerate(lag.losses.tolist()):
        np.testing.assert_allclose(np.exp(fed.log[:, place]), norms[s][lag.samples], rtol=1e-10, atol=1e-12)
