"""A loss that reads many steps at once is one loss; one that adds up what single steps give is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

jax = pytest.importorskip("jax")
jnp = jax.numpy
KEEP, T = 0.7, 12


def states(weight: Any, x: Any) -> Any:
    """h_t = weight · h_{t-1} + x_t, for samples of one unit."""

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = weight * h + x
        return h, h

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


def pooled(weight: Any, x: Any) -> Any:
    return jnp.sum(jnp.mean(states(weight, x), axis=0) ** 2)


def attended(weight: Any, x: Any) -> Any:
    h = states(weight, x)
    return jnp.sum(jnp.sum(jax.nn.softmax(h, axis=0) * h, axis=0) ** 2)


def every_step(weight: Any, x: Any) -> Any:
    return jnp.sum(states(weight, x) ** 2)


def of_neighbours(weight: Any, x: Any) -> Any:
    h = states(weight, x)
    return jnp.sum(h**2) + jnp.sum((h[1:] - h[:-1]) ** 2)


def calm(weight: Any, x: Any) -> Any:
    """A loss at every step beside a penalty on the mean, through which less gradient comes."""
    h = states(weight, x)
    return jnp.mean(jnp.log1p(jnp.exp(h))) + 0.3 * jnp.sum(jnp.mean(h, axis=0) ** 2) / 40


def ruled_by_its_mean(weight: Any, x: Any) -> Any:
    return jax.jit(calm)(weight, x) * 1e-4 + 3 * pooled(weight, x)


CLASSES = jnp.array([[0.3, -0.1, 0.2]])


def by_halves(weight: Any, x: Any) -> Any:
    """A cross entropy as two terms, of which the linear one, the larger, tells nothing."""
    score = jnp.mean(states(weight, x), axis=0) @ CLASSES
    return jnp.mean(jax.nn.logsumexp(score, axis=1) - 3 * score[jnp.arange(3), jnp.array([1, 0, 1])])


def by_halves_of_steps(weight: Any, x: Any) -> Any:
    score = states(weight, x) @ CLASSES
    return jnp.mean(jax.nn.logsumexp(score, axis=2) - 3 * score[:, jnp.arange(3), jnp.array([1, 0, 1])])


def absolute(weight: Any, x: Any) -> Any:
    """No second derivative: nothing responds."""
    return jnp.mean(jnp.abs(jnp.mean(states(weight, x), axis=0) - 9))


def absolute_beside_calm(weight: Any, x: Any) -> Any:
    return absolute(weight, x) + 1e-3 * jnp.sum(jnp.max(states(weight, x), axis=2))


def hinge(weight: Any, x: Any) -> Any:
    """The first sample is beyond its margin."""
    return jnp.mean(jax.nn.relu(9 * jnp.arange(3) - jnp.mean(states(weight, x), axis=0)[:, 0]))


def absolute_at_steps(weight: Any, x: Any) -> Any:
    h = states(weight, x)
    return sum(jnp.mean(jnp.abs(h[t] - 9)) for t in range(T))


def absolute_of_all(weight: Any, x: Any) -> Any:
    return jnp.mean(jnp.abs(states(weight, x) - 9))


def absolute_beside_a_mean(weight: Any, x: Any) -> Any:
    return absolute_of_all(weight, x) + 1e-3 * pooled(weight, x)


def linear(weight: Any, x: Any) -> Any:
    """A mean of what every step gives."""
    return jnp.mean(jnp.mean(states(weight, x), axis=0))


def compared(weight: Any, x: Any) -> Any:
    """Every sample reads what the others pool."""
    return jnp.var(jnp.mean(states(weight, x), axis=0))


def of_two_states(weight: Any, x: Any) -> Any:
    """A product, of which one state is next to nothing in one sample."""
    h = states(weight, x.at[0, 0].set(0.01))
    return jnp.sum(h[-1] * h[0] * jnp.array([[3.0], [2.0], [2.0]]))


def normalised(weight: Any, x: Any) -> Any:
    """A loss a step after statistics of all steps and samples."""
    h = states(weight, x)
    return jnp.mean(((h - jnp.mean(h)) / jnp.std(h)) ** 4)


X = np.random.default_rng(0).normal(size=(T, 3, 1)).astype(np.float32) + 1


@pytest.mark.parametrize(("loss", "joint"), [
    (pooled, True), (attended, True), (every_step, False), (of_neighbours, False), (calm, False),
    (jax.jit(calm), False), (ruled_by_its_mean, True), (by_halves, True),
    (by_halves_of_steps, False), (absolute, True), (absolute_beside_calm, True), (hinge, True),
    (absolute_at_steps, False), (absolute_of_all, False), (linear, False), (absolute_beside_a_mean, False),
    (compared, True), (normalised, False), (of_two_states, True),
])  # fmt: skip
def test_what_is_one_loss(loss: Any, joint: bool) -> None:
    trace = rg.jax.watch(loss, jnp.float32(KEEP), X)
    assert trace.lags[0].joint == joint
    assert trace.lags[0].losses.tolist() == ([T - 1] if joint else list(range(T)))
    assert any("reads many timesteps at once" in note for note in trace.notes) == joint


def test_the_one_loss_is_the_whole() -> None:
    trace = rg.jax.watch(pooled, jnp.float32(KEEP), X, lags=rg.LagOptions(samples="all"))
    mean = np.mean([np.sum(KEEP ** np.arange(t + 1)[::-1, None] * X[: t + 1, :, 0], axis=0) for t in range(T)], axis=0)
    # ∂ mean² / ∂h_k = 2 · mean / T · (1 + a + ... + a^(T-1-k))
    later = (1 - KEEP ** (T - np.arange(T))) / (1 - KEEP)
    np.testing.assert_allclose(np.exp(trace.lags[0].log[:, 0, 1:]), 2 * np.abs(mean)[:, None] / T * later, rtol=1e-4)


@pytest.mark.parametrize(("other", "joint"), [
    (lambda h: jnp.mean(h, axis=0), True), (lambda h: h[-1], True), (lambda h: h, False),
])  # fmt: skip
def test_two_towers(other: Any, joint: bool) -> None:
    """The second has a clock of its own: it is pooled as well, or read at its end, or compared step by step."""

    def loss(weight: Any, x: Any, short: Any) -> Any:
        mean = jnp.mean(states(weight, x), axis=0)
        return jnp.mean((mean - other(states(weight, short))) ** 2)

    given = jnp.float32(KEEP), X, X[:7] + 1
    trace = rg.jax.watch(loss, *given, lags=rg.LagOptions(samples="all"))
    assert [one.joint for one in trace.lags] == [joint, joint]
    for lag, truth in zip(trace.lags, jax.grad(loss, (1, 2))(*given) if joint else (), strict=joint):
        np.testing.assert_allclose(np.exp(lag.log[:, 0, 1:]), np.abs(truth[..., 0]).T, rtol=1e-4)  # ∂L/∂x_t = ∂L/∂h_t
