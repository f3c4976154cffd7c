"""Few samples of a large batch: the losses of single steps are those of all samples at once.

The truth is a scan with a number added to every state, differentiated by JAX: nothing of the package is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.sources.jax.function import Options
from rnngraph.sources.jax.watch import measure, recorded
from tests.sources.jax_scans.truth import jax, jnp

T, N, D, H = 36, 8, 3, 4
CHOSEN = [1, 6]
scan = jax.lax.scan
Losses = Callable[[Any, Any, Any], Any]  # weights, batch, added by name -> losses of steps, (T,)


@pytest.fixture(autouse=True)
def _x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def weights() -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(3), 5)
    shapes = {"W": (H, H), "U": (D, H), "W2": (H, H), "U2": (H, H), "V": (H, 2)}
    return {
        name: 0.6 * jax.random.normal(key, shape, float)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def batch() -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(4), 2)
    resets = jax.random.bernoulli(keys[1], 0.05, (T, N))
    return {"x": jax.random.normal(keys[0], (T, N, D), float), "resets": resets, "length": jnp.arange(N) * 3 + T - 22}


def nothing(*names: str) -> dict[str, Any]:
    return {name: jnp.zeros((T, N, H)) for name in names}


def stepped(p: Any, data: Any, added: Any, *, reverse: bool = False) -> Any:
    """The loss stands in the step, summed over samples; a reset and a mask by length come from data."""

    def step(h: Any, now: Any) -> Any:
        t, x, reset, more = now
        h = jnp.where(reset[:, None], 0.0, h)
        h = jnp.where((t < data["length"])[:, None], jnp.tanh(h @ p["W"] + x @ p["U"]), h) + more
        return h, jnp.sum((h @ p["V"]) ** 2)

    return scan(step, jnp.zeros((N, H)), (jnp.arange(T), data["x"], data["resets"], added["step.h"]), reverse=reverse)[
        1
    ]


def backward(p: Any, data: Any, added: Any) -> Any:
    return stepped(p, data, added, reverse=True)


def in_columns(p: Any, data: Any, added: Any) -> Any:
    """Samples stand along the last axis; the total is carried for every sample."""

    def step(carry: Any, now: Any) -> Any:
        h, total = carry
        x, more = now
        h = jnp.tanh(p["W"].T @ h + p["U"].T @ x) + more.T
        own = jnp.sum((p["V"].T @ h) ** 2, axis=0)
        return (h, total + own), jnp.sum(own)

    start = jnp.zeros((H, N)), jnp.zeros(N)
    (_, total), own = scan(step, start, (data["x"].swapaxes(1, 2), added["step.h"]))
    return own + 0 * jnp.sum(total)


def two_layers(p: Any, data: Any, added: Any, between: Any) -> tuple[Any, Any]:
    def low(h: Any, now: Any) -> Any:
        h = jnp.tanh(h @ p["W"] + now[0] @ p["U"]) + now[1]
        return h, h

    def up(h: Any, now: Any) -> Any:
        h = jnp.tanh(h @ p["W2"] + now[0] @ p["U2"]) + now[1]
        return h, h

    below = scan(low, jnp.zeros((N, H)), (data["x"], added["low.h"]))[1]
    return below, scan(up, jnp.zeros((N, H)), (between(below), added["up.h"]))[1]


def stack(p: Any, data: Any, added: Any) -> Any:
    below, above = two_layers(p, data, added, lambda below: below)
    return jnp.sum(((above + 0.1 * below) @ p["V"]) ** 2, axis=(1, 2))


def mixed_between(p: Any, data: Any, added: Any) -> Any:
    """Samples meet between two layers, as in a batch norm."""
    _, above = two_layers(p, data, added, lambda below: below - 1.5 * jnp.mean(below, axis=1, keepdims=True))
    return jnp.sum((above @ p["V"]) ** 2, axis=(1, 2))


def by_place(p: Any, data: Any, added: Any) -> Any:
    """A step knows the place of a sample in the batch: it cannot stand elsewhere."""

    def step(h: Any, now: Any) -> Any:
        h = jnp.tanh(h @ p["W"] * jnp.linspace(0.2, 2.0, N)[:, None] + now[0] @ p["U"]) + now[1]
        return h, h

    return jnp.sum((scan(step, jnp.zeros((N, H)), (data["x"], added["step.h"]))[1] @ p["V"]) ** 2, axis=(1, 2))


def attending(p: Any, data: Any, added: Any) -> Any:
    def low(h: Any, now: Any) -> Any:
        h = jnp.tanh(h @ p["W"] + now[0] @ p["U"]) + now[1]
        return h, h

    end, memory = scan(low, jnp.zeros((N, H)), (data["x"], added["low.h"]))

    def up(h: Any, more: Any) -> Any:
        seen = jnp.einsum("tn,tnd->nd", jax.nn.softmax(jnp.einsum("tnd,nd->tn", memory, h), axis=0), memory)
        h = jnp.tanh(h @ p["W2"] + seen @ p["U2"]) + more
        return h, jnp.sum((h @ p["V"] + seen @ p["V"]) ** 2)

    return scan(up, end, added["up.h"])[1]


CASES: list[tuple[Losses, tuple[str, ...]]] = [
    (stepped, ("step.h",)), (backward, ("step.h",)), (in_columns, ("step.h",)),
    (stack, ("low.h", "up.h")), (attending, ("low.h", "up.h")),
    (mixed_between, ("low.h", "up.h")), (by_place, ("step.h",)),
]  # fmt: skip


@pytest.mark.parametrize(("losses", "names"), CASES, ids=lambda one: getattr(one, "__name__", ""))
def test_few_samples_of_a_batch(losses: Losses, names: tuple[str, ...]) -> None:
    p, data = weights(), batch()

    def loss(p: Any, data: Any) -> Any:
        return jnp.sum(losses(p, data, nothing(*names)))

    recording = recorded(loss, (p, data), Options(weights=False))
    trace = measure(recording, lags=rg.LagOptions(losses="all", samples=CHOSEN), source="")
    assert not [note for note in trace.notes if "uncertain" in note]
    rows = jax.jit(jax.jacrev(lambda added: losses(p, data, added)))(nothing(*names))
    for name in names:
        lag = next(one for one in trace.lags if one.state == name)
        assert (lag.clocks == max(lag.clocks)).sum() == T
        norms = np.linalg.norm(np.asarray(rows[name]), axis=3)  # (S, T, N)
        for place, (s, clock) in enumerate(zip(lag.losses.tolist(), lag.clocks.tolist(), strict=True)):
            if clock != max(lag.clocks):  # no loss enters the encoder itself
                assert not np.isfinite(lag.log[:, place, 1:]).any()
                continue
            log = lag.log[:, place, 1:]
            found = np.exp(np.where(np.isnan(log), -np.inf, log))
            known = norms[s][:, CHOSEN].T
            np.testing.assert_allclose(found, known, rtol=1e-10, atol=1e-10 * known.max())


@pytest.mark.parametrize("by_sample", [True, False])
def test_losses_that_the_user_gives(by_sample: bool) -> None:
    """They are walked from what each of them reaches: side by side where a step emits them sample by sample."""

    def losses(p: Any, data: Any, added: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            h = jnp.tanh(h @ p["W"] + now[0] @ p["U"]) + now[1]
            own = jnp.sum((h @ p["V"]) ** 2, axis=1)
            return h, own if by_sample else jnp.sum(own)

        return scan(step, jnp.zeros((N, H)), (data["x"], added["step.h"]))[1]

    def loss(p: Any, data: Any) -> Any:
        found = losses(p, data, nothing("step.h"))
        return jnp.sum(found), found

    p, data = weights(), batch()
    recording = recorded(loss, (p, data), Options(True, lambda aux: aux, weights=False))
    trace = measure(recording, lags=rg.LagOptions(losses="all", samples=CHOSEN), source="")
    rows = jax.jit(jax.jacrev(lambda added: losses(p, data, added).reshape(T, -1).sum(axis=1)))(nothing("step.h"))
    norms = np.linalg.norm(np.asarray(rows["step.h"]), axis=3)
    for place, s in enumerate(trace.lags[0].losses.tolist()):
        log = trace.lags[0].log[:, place, 1:]
        found = np.exp(np.where(np.isnan(log), -np.inf, log))
        np.testing.assert_allclose(found, norms[s][:, CHOSEN].T, rtol=1e-10, atol=1e-12)
