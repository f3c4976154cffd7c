"""Episodes that end in the middle of a batch: a step that starts anew is a cut, and credit across it is exactly zero.

The truth is a linear recurrence: a loss at the last step reaches a state k steps before it as DECAY ** k, and nothing
behind the last start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import jax as watched
from rnngraph.diagnosis.one_loss import Losses
from tests.sources.jax_scans.truth import jax, jnp

T, N, H, DECAY = 9, 3, 4, 0.5
DONE = np.zeros((T, N), bool)
DONE[4, 0] = DONE[2, 1] = DONE[6, 1] = True
scan = jax.lax.scan
Loss = Callable[[Any, Any, Any], Any]


def loss_of(step: Any, x: Any, done: Any, *, reverse: bool = False) -> Any:
    """Give the loss of what the last step emits."""
    outputs = scan(step, jnp.zeros((N, H)), (x, done), reverse=reverse)[1]
    return jnp.sum(outputs[0 if reverse else -1])


def chosen(p: Any, x: Any, done: Any, *, reverse: bool = False) -> Any:
    def step(h: Any, now: Any) -> Any:
        h = p * jnp.where(now[1][:, None], 0.0, h) + now[0]
        return h, h

    return loss_of(step, x, done, reverse=reverse)


def backward(p: Any, x: Any, done: Any) -> Any:
    return chosen(p, x, done, reverse=True)


def multiplied(p: Any, x: Any, done: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        h = p * (h * (1 - now[1].astype(jnp.float32))[:, None]) + now[0]
        return h, h

    return loss_of(step, x, done)


def written_over(p: Any, x: Any, done: Any) -> Any:
    """The step that starts anew begins with what it reads: its own state is the one that is chosen."""

    def step(h: Any, now: Any) -> Any:
        h = jnp.where(now[1][:, None], now[0], p * h + now[0])
        return h, h

    return loss_of(step, x, done)


def as_an_associative_scan(p: Any, x: Any, done: Any) -> Any:
    """An operator with a reset, as linear recurrences in reinforcement learning have it."""

    def operator(before: Any, after: Any) -> Any:
        (a, b, c), (f, g, d) = before, after
        return (f * a) * (1 - d) + f * d, (f * b + g) * (1 - d) + g * d, c * (1 - d) + d

    given = (jnp.full((T, N, H), p), x, jnp.broadcast_to(done[..., None], x.shape).astype(jnp.float32))
    return jnp.sum(jax.lax.associative_scan(operator, given)[1][-1])


def in_another_shape(p: Any, x: Any, done: Any) -> Any:
    """What is forgotten has been shaped, and multiplied."""

    def step(h: Any, now: Any) -> Any:
        h = jnp.squeeze((p * h[:, None, :]) * jnp.logical_not(now[1])[:, None, None], 1) + now[0]
        return h, h

    return loss_of(step, x, done)


def in_the_end(p: Any, x: Any, done: Any) -> Any:
    """The step before says that the next one starts anew; the start is learned."""

    def step(h: Any, now: Any) -> Any:
        h = p * h + now[0]
        return jax.lax.select(jnp.broadcast_to(now[1][:, None], h.shape), jnp.full((N, H), p), h), h

    return loss_of(step, x, jnp.roll(done, -1, axis=0))


def by_a_branch(p: Any, x: Any, done: Any) -> Any:
    """Every sample is run alone, under vmap."""

    def of_one(x: Any, done: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            h = p * jax.lax.cond(now[1], jnp.zeros_like, lambda h: h, h) + now[0]
            return h, h

        return scan(step, jnp.zeros(H), (x, done))[1][-1]

    return jnp.sum(jax.vmap(of_one, in_axes=1)(x, done))


def stopped(p: Any, x: Any, done: Any) -> Any:
    """The state goes on, and its gradient does not."""

    def step(h: Any, now: Any) -> Any:
        h = p * jnp.where(now[1][:, None], jax.lax.stop_gradient(h), h) + now[0]
        return h, h

    return loss_of(step, x, done)


@pytest.mark.parametrize("loss", [
    chosen, backward, multiplied, written_over, as_an_associative_scan, in_another_shape, in_the_end, by_a_branch,
    stopped,
])  # fmt: skip
def test_credit_ends_where_a_step_starts_anew(loss: Loss) -> None:
    trace = watched.watch(loss, jnp.float32(DECAY), jnp.ones((T, N, H)), jnp.asarray(DONE), batch_axis=0)
    reverse = trace.recurrences[0].direction == "reverse"
    (lag,) = trace.lags
    np.testing.assert_array_equal(lag.severed, DONE.T)
    for n in range(N):
        log, done = (one[::-1] if reverse else one for one in (lag.log[n, 0, 1:], DONE[:, n]))
        start = int(np.flatnonzero(done)[-1]) if done.any() else 0
        known = np.log(DECAY) * np.arange(T)[::-1] + np.log(np.sqrt(H))
        np.testing.assert_allclose(log[start:], known[start:], rtol=1e-5, atol=1e-6)
        assert not np.isfinite(log[:start]).any()
    (walk,) = Losses(trace).seen_from(0).walks
    np.testing.assert_allclose(walk.decades[:T], np.arange(T) * np.log10(DECAY), atol=1e-6)  # of samples that go on
    total, carried = trace.states[0].grad.value, trace.states[0].carried.value
    parts = np.hypot(trace.states[0].immediate.value, carried)
    np.testing.assert_allclose(parts, total, rtol=1e-6)  # of this loss, one of both is zero
    assert [note for note in trace.notes if "starts anew at 3 steps in 2 samples" in note]


def by_a_branch_for_all(p: Any, x: Any, done: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        h = p * jax.lax.cond(now[1][0], jnp.zeros_like, lambda h: h, h) + now[0]
        return h, h

    return loss_of(step, x, done)


@pytest.mark.parametrize("loss", [chosen, by_a_branch_for_all])
def test_a_verdict_counts_no_lag_across_an_episodes_end(loss: Loss) -> None:
    """Every sample starts anew at one step: the gradient does not die there, and only shorter lags are judged."""
    done = jnp.zeros((T, N), bool).at[5].set(True)
    trace = watched.watch(loss, jnp.float32(0.95), jnp.ones((T, N, H)), done, batch_axis=0)
    assert np.all(trace.lags[0].severed[:, 5])
    assert not trace.recurrences[0].cut.any()
    diagnosis = rg.diagnose(trace)
    assert diagnosis.flags == ("healthy",)
    assert diagnosis.horizon == 3
    assert "90 % is left" in str(diagnosis)  # 0.95 ** 2 from the second step of the episode to the last


def by_a_choice(here: Any, states: Any) -> Any:
    return [jnp.where(here, jax.lax.stop_gradient(one), one) for one in states]


def by_one_branch(here: Any, states: Any) -> Any:
    return jax.lax.cond(here, jax.lax.stop_gradient, lambda states: states, states)


@pytest.mark.parametrize("stop", [by_a_choice, by_one_branch])
def test_a_gradient_that_is_stopped_for_all_samples_is_truncated(stop: Callable[[Any, Any], Any]) -> None:
    """By `stop_gradient` at every fourth step, on both states; the gradient does not die there."""

    def loss(p: Any, x: Any) -> Any:
        def step(states: Any, now: Any) -> Any:
            h, c = stop(now[1] % 4 == 0, states)
            h, c = p * h + c + now[0], p * c
            return (h, c), h

        return jnp.sum(scan(step, (jnp.zeros((N, H)),) * 2, (x, jnp.arange(T)))[1])

    trace = watched.watch(loss, jnp.float32(DECAY), jnp.ones((T, N, H)), batch_axis=0)
    np.testing.assert_array_equal(np.flatnonzero(trace.recurrences[0].cut), [0, 4, 8])
    assert not trace.notes
    diagnosis = rg.diagnose(trace)
    assert diagnosis.flags == ("truncated",)
    assert diagnosis.horizon == 3


def computed_gate(p: Any, x: Any, done: Any) -> Any:
    """A factor that was computed and came out zero is a gradient that dies."""

    def step(h: Any, now: Any) -> Any:
        h = p * h * jax.nn.sigmoid(1e4 * (0.5 - now[1].astype(jnp.float32)))[:, None] + now[0]
        return h, h

    return loss_of(step, x, done)


def some_units(p: Any, x: Any, done: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        h = p * jnp.where(now[1][:, None] & (jnp.arange(H) < 2), 0.0, h) + now[0]
        return h, h

    return loss_of(step, x, done)


def one_way_of_two(p: Any, x: Any, done: Any) -> Any:
    """The state is also read as it was."""

    def step(h: Any, now: Any) -> Any:
        h = p * jnp.where(now[1][:, None], 0.0, h) + 0.1 * h + now[0]
        return h, h

    return loss_of(step, x, done)


def by_the_state(p: Any, x: Any, done: Any) -> Any:
    def step(h: Any, now: Any) -> Any:
        h = p * jnp.where(h > 1.9, 0.0, h) + now[0]
        return h, h

    return loss_of(step, x, done)


@pytest.mark.parametrize("loss", [computed_gate, some_units, one_way_of_two, by_the_state])
def test_what_is_no_cut(loss: Loss) -> None:
    trace = watched.watch(loss, jnp.float32(DECAY), jnp.ones((T, N, H)), jnp.asarray(DONE), batch_axis=0)
    assert not trace.lags[0].severed.any()
    assert not [note for note in trace.notes if "anew" in note]


def test_a_core_of_haiku_that_is_reset() -> None:
    hk = pytest.importorskip("haiku")

    def forward(x: Any, done: Any) -> Any:
        core = hk.ResetCore(hk.LSTM(H))
        return jnp.sum(hk.dynamic_unroll(core, (x, done), core.initial_state(N))[0] ** 2)

    pure, x = hk.without_apply_rng(hk.transform(forward)), jnp.ones((T, N, H))
    p = pure.init(jax.random.key(0), x, jnp.asarray(DONE))
    trace = watched.watch(pure.apply, p, x, jnp.asarray(DONE))
    for lag in trace.lags:
        np.testing.assert_array_equal(lag.severed, DONE.T)
    assert trace.cells[0].keeps_title == "gate on cell"
