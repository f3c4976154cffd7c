"""Samples of several lengths: a step at which a state is kept is no step, and one that computes the same is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnngraph import jax as watched
from tests.sources.jax_scans.truth import jax, jnp

T, N, H, DECAY = 9, 3, 4, 0.5
LENGTHS = np.array([3, 9, 6])
Loss = Callable[[Any, Any], Any]


def by_length(p: Any, x: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        t, x = now
        return jnp.where((t < jnp.asarray(LENGTHS))[:, None], p * h + x, h), None

    return jnp.sum(jax.lax.scan(step, jnp.zeros((N, H)), (jnp.arange(T), x))[0])


def backward(p: Any, x: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        t, x = now
        return jax.lax.select(jnp.broadcast_to((t >= T - jnp.asarray(LENGTHS))[:, None], h.shape), p * h + x, h), None

    return jnp.sum(jax.lax.scan(step, jnp.zeros((N, H)), (jnp.arange(T), x), reverse=True)[0])


def two_states(p: Any, x: Any) -> Any:
    @jax.checkpoint  # type: ignore[untyped-decorator]
    def step(states: Any, now: Any) -> Any:
        t, x = now
        going = (t < jnp.asarray(LENGTHS))[:, None]
        c = p * states[1] + x
        return (jnp.where(going, c, states[0]), jnp.where(going, c, states[1])), None

    return jnp.sum(jax.lax.scan(step, (jnp.zeros((N, H)), jnp.zeros((N, H))), (jnp.arange(T), x))[0][1])


def masked(mix: Callable[[Any, Any, Any], Any]) -> Loss:
    def loss(p: Any, x: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            t, x = now
            return mix((t < jnp.asarray(LENGTHS))[:, None], p * h + x, h), None

        return jnp.sum(jax.lax.scan(step, jnp.zeros((N, H)), (jnp.arange(T), x))[0])

    return loss


by_a_mask = masked(lambda mask, new, old: mask * new + (1 - mask) * old)
by_what_it_leaves = masked(lambda mask, new, old: mask * new + old * ~mask)
by_a_difference = masked(lambda mask, new, old: old + mask.astype(float) * (new - old))


def by_two_masks(p: Any, x: Any) -> Any:
    """Two that are one together, of which the step does not say so."""
    going = (jnp.arange(T)[:, None] < jnp.asarray(LENGTHS)).astype(float)[..., None]

    def step(h: Any, now: Any) -> Any:
        return now[0] * (p * h + now[2]) + now[1] * h, None

    return jnp.sum(jax.lax.scan(step, jnp.zeros((N, H)), (going, 1 - going, x))[0])


@pytest.mark.parametrize("loss", [
    by_length, backward, two_states, by_a_mask, by_what_it_leaves, by_a_difference, by_two_masks,
])  # fmt: skip
def test_lags_count_the_steps_that_were_taken(loss: Loss) -> None:
    trace = watched.watch(loss, jnp.float32(DECAY), jnp.ones((T, N, H)), weights=False, batch_axis=0)
    lag = trace.lags[-1]
    reverse = trace.recurrences[0].direction == "reverse"
    taken = np.arange(T) < LENGTHS[:, None]
    taken = taken[:, ::-1] if reverse else taken
    np.testing.assert_array_equal(lag.copied, ~taken)
    np.testing.assert_array_equal(trace.recurrences[0].valid, taken)
    for n, length in enumerate(LENGTHS):
        log = lag.log[n, 0, 1:][::-1] if reverse else lag.log[n, 0, 1:]
        known = np.log(DECAY) * (length - 1 - np.arange(length)) + np.log(np.sqrt(H))
        np.testing.assert_allclose(log[:length], known, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hands_on", ["the first", "the second", "none"])
def test_a_branch_that_hands_all_states_on_is_no_step(hands_on: str) -> None:
    """As where a loop is done before its bound; the other branch computes."""

    def loss(p: Any, x: Any) -> Any:
        def go(states: Any, x: Any) -> Any:
            return p * states[0] + x, p * states[1] + 2 * x

        def stay(states: Any, _: Any) -> Any:
            return states if hands_on != "none" else (p * states[0], states[1])

        def step(states: Any, now: Any) -> Any:
            t, x = now
            ways = (go, stay) if hands_on == "the first" else (stay, go)
            return jax.lax.cond(t >= 5 if hands_on == "the first" else t < 5, *ways[::-1], states, x), None

        return jnp.sum(jax.lax.scan(step, (jnp.zeros((N, H)), jnp.zeros((N, H))), (jnp.arange(T), x))[0][0])

    trace = watched.watch(loss, jnp.float32(DECAY), jnp.ones((T, N, H)), weights=False, batch_axis=0)
    taken = np.arange(T) < (T if hands_on == "none" else 5)
    np.testing.assert_array_equal(trace.recurrences[0].valid, np.tile(taken, (N, 1)))


def an_integrator_without_input(p: Any, x: Any) -> Any:
    """What a step computes is equal to what was: it is a step."""
    return jnp.sum(jax.lax.scan(lambda h, x: (2 * p * h + p * x, None), jnp.ones((N, H)), 0 * x)[0])


def by_the_state(p: Any, x: Any) -> Any:
    return jnp.sum(jax.lax.scan(lambda h, x: (jnp.where(h > 0.5, p * h + x, h), None), jnp.zeros((N, H)), x)[0])


def some_units(p: Any, x: Any) -> Any:
    return jnp.sum(
        jax.lax.scan(lambda h, x: (jnp.where(jnp.arange(H) < 2, p * h + x, h), None), jnp.zeros((N, H)), x)[0]
    )


def one_of_two_states(p: Any, x: Any) -> Any:
    def step(states: Any, now: Any) -> Any:
        t, x = now
        c = p * states[1] + x
        return (jnp.where((t < jnp.asarray(LENGTHS))[:, None], c, states[0]), c), None

    return jnp.sum(jax.lax.scan(step, (jnp.zeros((N, H)), jnp.zeros((N, H))), (jnp.arange(T), x))[0][0])


def pulses(p: Any, x: Any) -> Any:
    """It is fed nothing at most steps, and forgets at none: it is a step all the same."""
    fed, kept = jnp.zeros((T, N, 1)).at[::4].set(1), jnp.ones((T, N, 1))

    def step(h: Any, now: Any) -> Any:
        return now[1] * h + now[0] * (p + now[2]), None

    return jnp.sum(jax.lax.scan(step, jnp.zeros((N, H)), (fed, kept, x))[0])


@pytest.mark.parametrize("loss", [an_integrator_without_input, by_the_state, some_units, one_of_two_states, pulses])
def test_what_is_no_kept_step(loss: Loss) -> None:
    trace = watched.watch(loss, jnp.float32(DECAY), jnp.ones((T, N, H)), weights=False, batch_axis=0)
    assert not trace.lags[0].copied.any()
    assert trace.recurrences[0].valid.all()


def test_a_mask_of_numbers_is_no_input() -> None:
    """h = m (p h + x W) + (1 - m) h: the mask gets a gradient, and is not what the network is fed."""
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0])
    ends = jnp.asarray(np.arange(9)[:, None] < np.array([9, 6]), jnp.float32)[..., None]

    def loss(p: Any, x: Any, mask: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            h = now[1] * (p["decay"] * h + now[0] @ p["W"]) + (1 - now[1]) * h
            return h, None

        return jnp.sum(jax.lax.scan(step, jnp.zeros((2, 4)), (x, mask))[0])

    trace = watched.watch(loss, {"decay": jnp.float32(0.5), "W": turn}, jnp.ones((9, 2, 4)), ends, batch_axis=0)
    (fed,) = trace.input_lags
    np.testing.assert_allclose(np.exp(fed.log[0, 0]) / 2, 0.5 ** np.arange(9)[::-1], rtol=1e-5)
    np.testing.assert_allclose(np.exp(fed.log[1, 0, :6]) / 2, 0.5 ** np.arange(6)[::-1], rtol=1e-5)
    assert not np.isfinite(fed.log[1, 0, 6:]).any()
