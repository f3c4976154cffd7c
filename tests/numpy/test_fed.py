"""What enters the steps of hand-written networks: `∂L_s/∂x_k` against central differences, in the layouts in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from tests.numpy.carried_networks import exponential_average

T, N, D, H = 5, 3, 2, 4
WORDS = np.array([1, 0, 2, 0, 3])  # one of them twice


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).normal(size=shape) * 0.6


def rows(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        total = total + weigh[t] * np.sum(h**2)
    return total


def columns(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    h, total = np.zeros((H, N)), 0.0
    for t in range(T):
        h = np.tanh(np.dot(Wx.T, x[t].T) + np.dot(Wh, h))
        total = total + weigh[t] * np.sum(h**2)
    return total


def joined_gru(x: Any, W: Any, U: Any, weigh: Any) -> Any:
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        z = 1 / (1 + np.exp(-(np.concatenate([x[t], h], axis=1) @ W)))
        h = (1 - z) * np.tanh(np.concatenate([x[t], z * h], axis=1) @ U) + z * h
        total = total + weigh[t] * np.sum(h**2)
    return total


def reset_gru(x: Any, h: Any, Wz: Any, Uz: Any, Wr: Any, Ur: Any, U: Any, weigh: Any) -> Any:
    total = 0.0
    for t in range(T):
        z = 1 / (1 + np.exp(-(x[t] @ Wz + h @ Uz)))
        r = 1 / (1 + np.exp(-(x[t] @ Wr + h @ Ur)))
        h = z * h + (1 - z) * np.tanh((r * h) @ U)
        total = total + weigh[t] * np.sum(h**2)
    return total


def two_layers(x: Any, Wx: Any, Wh: Any, W: Any, U: Any, weigh: Any) -> Any:
    h, above, total = np.zeros((N, H)), np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        above = np.tanh(h @ W + above @ U)
        total = total + weigh[t] * np.sum(above**2)
    return total


def leaky(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    """The first state is read twice, once as zeros that a number multiplied."""
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = 0.7 * h + 0.3 * np.tanh(x[t] @ Wx + h @ Wh)
        total = total + weigh[t] * np.sum(h**2)
    return total


KEEP = np.random.default_rng(5).random((T, N, H)) * 2


def dropped(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    """Every state is read through a mask, and what stands before the first is not."""
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(x[t] @ Wx + h @ Wh) * KEEP[t]
        total = total + weigh[t] * np.sum(h**2)
    return total


def with_ones(x: Any, W: Any, weigh: Any) -> Any:
    """Columns of numbers are written again at every step, and are no input."""
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(np.hstack([x[t], h, np.ones((N, 1)) * [1.0, -2.0]]) @ W)
        total = total + weigh[t] * np.sum(h**2)
    return total


def delta_rule(x: Any, Wk: Any, Wv: Any, weigh: Any) -> Any:
    """Keys are what a memory is multiplied by, and are made of the input."""
    memory, total = np.zeros((N, H, H)), 0.0
    for t in range(T):
        key = np.tanh(x[t] @ Wk)
        missing = x[t] @ Wv - np.einsum("nij,nj->ni", memory, key)
        memory = memory + missing[:, :, None] * key[:, None, :]
        total = total + weigh[t] * np.sum(memory**2)
    return total


def begun_anew(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    """Samples end in turns, and new ones begin with zeros put in their place."""
    h, total = np.zeros((N, H)), 0.0
    for t in range(T):
        h[t % N : t % N + t % 2] = 0
        h = np.tanh(x[t] @ Wx + h @ Wh)
        total = total + weigh[t] * np.sum(h**2)
    return total


def filtered(x: Any, W: Any, weigh: Any, prior: Any = None) -> Any:
    """A hidden Markov model, fed the logarithms of likelihoods: no weight multiplies them, nor the prior."""
    h, total = np.ones((N, D)) if prior is None else prior, 0.0
    for t in range(T):
        h = (h if prior is not None and not t else h @ np.exp(W)) * np.exp(x[t])
        total = total + weigh[t] * np.sum(np.log(np.sum(h, axis=1)))
        h = h / np.sum(h, axis=1, keepdims=True)
    return total


def with_prior(x: Any, prior: Any, W: Any, weigh: Any) -> Any:
    return filtered(x, W, weigh, prior)


def lstm_step(now: Any, state: Any, W: Any, U: Any) -> tuple[Any, Any]:
    h, c = state
    i, f, o, g = np.split(now @ W + h @ U, 4, axis=-1)
    c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    return np.tanh(c) / (1 + np.exp(-o)), c


def stacked(x: Any, W: Any, U: Any, weigh: Any) -> Any:
    state, total = np.zeros((2, N, H)), 0.0
    for t in range(T):
        state = np.stack(lstm_step(x[t], state, W, U))
        total = total + weigh[t] * np.sum(state[0] ** 2)
    return total


def side_by_side(x: Any, W: Any, U: Any, weigh: Any) -> Any:
    state, total = np.zeros((N, 2 * H)), 0.0
    for t in range(T):
        state = np.concatenate(lstm_step(x[t], np.split(state, 2, axis=1), W, U), axis=1)
        total = total + weigh[t] * np.sum(state[:, :H] ** 2)
    return total


def in_slices(x: Any, W: Any, U: Any, weigh: Any) -> Any:
    state, total = np.zeros((N, 2 * H)), 0.0
    for t in range(T):
        state[:, :H], state[:, H:] = lstm_step(x[t], (state[:, :H], state[:, H:]), W, U)
        total = total + weigh[t] * np.sum(state[:, :H] ** 2)
    return total


def by_layer(x: Any, W: Any, U: Any, V: Any, Y: Any, weigh: Any) -> Any:
    """Both layers in one array, of which two slots and a third are put at a time."""
    states, total = np.zeros((2, 3, N, H)), 0.0
    for t in range(T):
        now = x[t]
        for layer, weights in enumerate(((W, U), (V, Y))):
            states[layer][:2] = lstm_step(now, states[layer][:2], *weights)
            states[layer][2] = 0.5 * states[layer][2] + states[layer][0]
            now = states[layer][2]
        total = total + weigh[t] * np.sum(now**2)
    return total


def in_a_slot(x: Any, W: Any, weigh: Any) -> Any:
    """The input and the state in slices of one row, which is the same at every step."""
    joined, h, total = np.zeros((2, N, D + H)), np.zeros((N, H)), 0.0
    for t in range(T):
        joined[1, :, :D] = x[t]
        joined[1, :, D:] = h
        h = np.tanh(joined[1] @ W)
        total = total + weigh[t] * np.sum(h**2)
    return total


def unit_by_unit(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    h, total = np.zeros((T + 1, H)), 0.0
    for t in range(T):
        for k in range(H):
            h[t + 1, k] = np.tanh(np.dot(x[t, 0], Wx[:, k]) + np.dot(h[t], Wh[:, k]))
        total = total + weigh[t] * np.sum(h[t + 1] ** 2)
    return total


def in_a_list_of_units(x: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for t in range(T):
        h = np.array([np.tanh(x[t, 0] @ Wx[:, k] + h @ Wh[:, k]) for k in range(H)])
        total = total + weigh[t] * np.sum(h**2)
    return total


def words(table: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for t in range(T):
        h = np.tanh(table[WORDS[t]] @ Wx + h @ Wh)
        total = total + weigh[t] * np.sum(h**2)
    return total


def one_hot(table: Any, Wx: Any, Wh: Any, weigh: Any) -> Any:
    h, total = np.zeros((H, 1)), 0.0
    for t in range(T):
        word = np.zeros((len(table), 1))
        word[WORDS[t]] = 1
        h = np.tanh(Wx.T @ (table.T @ word) + Wh.T @ h)
        total = total + weigh[t] * np.sum(h**2)
    return total


def both_ways(table: Any, Wx: Any, Wh: Any, U: Any, weigh: Any) -> Any:
    h, g, hs, gs, total = np.zeros(H), np.zeros(H), [], [None] * T, 0.0
    for t in range(T):
        h = np.tanh(table[WORDS[t]] @ Wx + h @ Wh)
        hs.append(h)
    for t in reversed(range(T)):
        g = np.tanh(table[WORDS[t]] @ Wx + g @ U)
        gs[t] = g
    for t in range(T):
        total = total + weigh[t] * np.sum((hs[t] * gs[t]) ** 2)
    return total


def differences(forward: Callable[..., Any], data: Any, others: tuple[Any, ...], s: int, k: int) -> Any:
    """The norms of the gradient of the loss of step s at what enters step k, sample by sample."""
    weigh, found = np.eye(T)[s], np.zeros_like(data[k])
    for place in np.ndindex(found.shape):
        ends = []
        for step in (-1e-5, 1e-5):
            moved = data.copy()
            moved[(k, *place)] += step
            ends.append(float(forward(moved, *others, weigh)))
        found[place] = (ends[1] - ends[0]) / 2e-5
    return np.sqrt(np.sum(found**2, axis=-1)).reshape(-1)


def lags(forward: Callable[..., Any], *arrays: Any) -> Any:
    traced = rg.trace_function(forward, *arrays, np.ones(T))
    (one,) = rg.record(traced, lags=rg.LagOptions(losses="all", samples="all")).input_lags
    return one, np.exp(one.log)


SIMPLE, GATES = (draw(D, H), draw(H, H)), (draw(D, 4 * H), draw(H, 4 * H))


@pytest.mark.parametrize(("forward", "others"), [
    (rows, SIMPLE), (columns, SIMPLE), (joined_gru, (draw(D + H, H), draw(D + H, H, seed=1))),
    (two_layers, (*SIMPLE, draw(H, H, seed=1), draw(H, H, seed=2))), (leaky, SIMPLE), (dropped, SIMPLE),
    (reset_gru, (draw(N, H), *SIMPLE, draw(D, H, seed=1), draw(H, H, seed=1), draw(H, H, seed=2))),
    (with_ones, (draw(D + H + 2, H),)), (delta_rule, (draw(D, H), draw(D, H, seed=1))),
    (filtered, (draw(D, D),)), (with_prior, (np.exp(draw(N, D)), draw(D, D))), (begun_anew, SIMPLE),
    (stacked, GATES), (side_by_side, GATES), (in_slices, GATES), (in_a_slot, (draw(D + H, H),)),
    (unit_by_unit, SIMPLE), (in_a_list_of_units, SIMPLE),
    (by_layer, (*GATES, draw(H, 4 * H, seed=1), draw(H, 4 * H, seed=2))),
])  # fmt: skip
def test_data_of_every_step(forward: Callable[..., Any], others: tuple[Any, ...]) -> None:
    x = draw(T, 1 if forward in (unit_by_unit, in_a_list_of_units) else N, D)
    one, found = lags(forward, x, *others)
    assert one.name == "x"
    for s in range(T):
        for k in range(s + 1):
            np.testing.assert_allclose(found[:, s, k], differences(forward, x, others, s, k), rtol=1e-6, atol=1e-9)


def looked_up(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same network, fed the rows of its words: what `table[w]` is at each step."""

    def fed(*arrays: Any) -> Any:
        global WORDS
        before, WORDS = WORDS, np.arange(T)
        try:
            return forward(*arrays)
        finally:
            WORDS = before

    return fed


@pytest.mark.parametrize(("forward", "others"), [(words, SIMPLE), (both_ways, (*SIMPLE, draw(H, H, seed=1)))])
def test_words_that_are_looked_up_some_of_them_twice(forward: Callable[..., Any], others: tuple[Any, ...]) -> None:
    table = draw(6, D)
    one, found = lags(forward, table, *others)
    assert one.name == "table"
    for s in range(T):
        for k in range(T):
            known = differences(looked_up(forward), table[WORDS], others, s, k)
            np.testing.assert_allclose(found[:, s, k], np.sqrt(np.sum(known**2)), rtol=1e-6, atol=1e-9)


def test_two_directions_over_the_same_words_run_against_each_other() -> None:
    # Without an array that the loss reads in order, the words alone tell.
    traced = rg.trace_function(both_ways, draw(6, D), *SIMPLE, draw(H, H, seed=1), [1.0] * T)
    assert [one.direction for one in traced.tape.recurrences] == ["forward", "reverse"]
    trace = rg.record(traced, lags=True)
    assert not trace.lags[0].joint
    assert trace.input_lags[0].recurrences == tuple(one.name for one in trace.recurrences)


def test_one_hot_words_are_looked_up_as_any() -> None:
    table = draw(6, D)
    one, found = lags(one_hot, table, *SIMPLE)
    row, known = lags(words, table, *SIMPLE)
    assert one.recurrences == row.recurrences
    np.testing.assert_allclose(found, known, rtol=1e-12)


def masked_lstm(x: Any, keep: Any, Wx: Any, Wh: Any) -> Any:
    h, c, total = np.zeros((N, H)), np.zeros((N, H)), 0.0
    for t in range(T):
        a = x[t] @ Wx + h @ Wh
        i, f, o, g = (a[:, k * H : (k + 1) * H] for k in range(4))
        new = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.where(keep[t], np.tanh(new) / (1 + np.exp(-o)), h)
        c = np.where(keep[t], new, c)
        total = total + np.sum(h**2)
    return total


def test_a_cell_that_is_masked_behind_the_output_is_a_state() -> None:
    keep = np.random.default_rng(3).random((T, N, 1)) > 0.3
    traced = rg.trace_function(masked_lstm, draw(T, N, D), keep, draw(D, 4 * H), draw(H, 4 * H))
    (one,) = traced.tape.recurrences
    assert one.kinds == ("h", "c")
    trace = rg.record(traced, lags=True)
    cell = next(state for state in trace.states if state.name.endswith(".c"))
    assert cell.grad.value[-1] == 0  # nobody reads the last one
    assert (cell.grad.value[:-1] > 0).all()


def test_the_first_state_is_masked_as_all_others_are() -> None:
    """It is made without a state before it, so that the step before the mask looks like a masked one."""
    keep = np.random.default_rng(3).integers(0, 2, (T, N, 1))

    def gated(x: Any, Wz: Any, Uz: Any, Wn: Any, Un: Any) -> Any:
        h, states = np.zeros((N, H)), []
        for t in range(T):
            z = 1 / (1 + np.exp(-x[t] @ Wz - h @ Uz))
            h = keep[t] * (z * h + (1 - z) * np.tanh(x[t] @ Wn + h @ Un)) + (1 - keep[t]) * h
            states.append(h)
        return np.array(states)

    arrays = draw(T, N, D), draw(D, H), draw(H, H), draw(D, H, seed=1), draw(H, H, seed=1)
    tape = rg.trace_function(gated, *arrays).tape
    (one,) = tape.recurrences
    found = [tape.entry(i).value for i in one.states["h"]]
    np.testing.assert_array_equal(found, gated(*arrays))


def test_what_reads_the_first_state_is_of_its_step() -> None:
    """Also where the first step has no product: its state is then known by the ones behind it."""

    def forward(x: Any, W: Any, V: Any) -> Any:
        h, total = np.zeros(H), 0.0
        for t in range(T):
            h = 0.9 * h + x[t] @ W
            total = total + np.sum((h @ V) ** 2)
        return total

    tape = rg.trace_function(forward, draw(T, D), draw(D, H), draw(H, 2)).tape
    (one,) = tape.recurrences
    for t, i in enumerate(one.states["h"]):
        (read,) = [node for node in tape.entries if i in node.inputs and node.op.name == "dot"]
        assert read.timestep == t


def test_what_several_steps_share_is_no_data_of_them() -> None:
    def forward(x: Any, often: Any, Wx: Any, Wh: Any, V: Any) -> Any:
        h, total = np.zeros(H), 0.0
        for t in range(len(x)):
            h = np.tanh(x[t] @ Wx + h @ Wh + (often @ V if t % 2 else 0.0))
            total = total + np.sum(h**2)
        return total

    tape = rg.trace_function(forward, draw(7, 3), draw(2), draw(3, H), draw(H, H), draw(2, H)).tape
    (one,) = tape.recurrences
    assert {t: [tape.entry(i).value.shape for i in some] for t, some in one.fed.items()} == {
        t: [(3,)] for t in range(7)
    }


def of_bits(bits: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for bit in bits:
        h = np.tanh(np.array([bit, 1 - bit]) @ Wx + h @ Wh)
        total = total + np.sum(h**2)
    return total


def one_bit(bits: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for bit in bits:
        h = np.tanh(np.array([bit]) @ Wx[:1] + h @ Wh)
        total = total + np.sum(h**2)
    return total


def as_wide_as_its_state(x: Any, Wx: Any, Wh: Any) -> Any:
    h, total = np.zeros((N, D)), 0.0
    for t in range(T):
        h = np.tanh(x[t] @ (Wx @ Wx.T) + h @ (Wx @ Wh @ Wx.T))
        total = total + np.sum(h**2)
    return total


@pytest.mark.parametrize(("forward", "given"), [
    (of_bits, [1, 0, 1, 1, 0]), (one_bit, [1, 0, 1, 1, 0]), (as_wide_as_its_state, np.zeros((T, N, D))),
])  # fmt: skip
def test_data_may_be_numbers_and_may_be_zero(forward: Callable[..., Any], given: Any) -> None:
    tape = rg.trace_function(forward, given, *SIMPLE).tape
    (one,) = tape.recurrences
    assert {t: len(some) for t, some in one.fed.items()} == dict.fromkeys(range(T), 1)


def test_what_a_state_begins_with_is_no_data() -> None:
    x = draw(T, N, D)
    tape = rg.trace_function(exponential_average, x, draw(D, H)).tape
    (one,) = tape.recurrences
    assert sorted(one.fed) == [0, 1, 2, 3]
    for t, (i,) in one.fed.items():
        np.testing.assert_array_equal(tape.entry(i).value, x[t + 1])


def over_the_sequence(x: Any, Wx: Any, Wh: Any, W: Any, U: Any, axis: int) -> Any:
    """Two layers, one after the other, each over all its steps; what lies between takes them all at once."""
    h, above = np.zeros((N, H)), np.zeros((N, H))
    lower = np.empty((T, N, H) if axis == 0 else (N, T, H))
    at: Any = (slice(None),) * axis
    for t in range(T):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        lower[(*at, t)] = h
    lower = lower + np.maximum(lower * np.moveaxis(DROPPED, 0, axis), 0)
    outputs = []
    for t in range(T):
        above = np.tanh(lower[(*at, t)] @ W + above @ U)
        outputs.append(above)
    return np.sum(np.stack(outputs) ** 2)


def step_by_step(x: Any, Wx: Any, Wh: Any, W: Any, U: Any) -> Any:
    h, above, total = np.zeros((N, H)), np.zeros((N, H)), 0.0
    for t in range(T):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        above = np.tanh((h + np.maximum(h * DROPPED[t], 0)) @ W + above @ U)
        total = total + np.sum(above**2)
    return total


DROPPED = np.where(draw(T, N, H, seed=7) > 0, 2.0, 0.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_layers_with_dropout_over_the_sequence_between_them_take_their_steps_together(axis: int) -> None:
    arrays = draw(T, N, D), draw(D, H), draw(H, H), draw(H, H, seed=1), draw(H, H, seed=2)
    whole, single = (
        rg.record(rg.trace_function(*one), lags=True)
        for one in ((over_the_sequence, *arrays, axis), (step_by_step, *arrays))
    )
    assert len({one.clock for one in whole.recurrences}) == 1
    assert str(rg.diagnose(whole)) == str(rg.diagnose(single))


def of_one_sample(x: Any, Wx: Any, Wh: Any, start: tuple[int, ...], row: tuple[int, ...]) -> Any:
    h, total = np.zeros(start), 0.0
    for t in range(T):
        h = np.tanh(np.dot(x[t].reshape(row), Wx) + np.dot(h, Wh))
        total = total + (t + 1) * np.sum(h**2)
    return total


@pytest.mark.parametrize(("start", "row"), [((1, H), (1, D)), ((1, H), (D,)), ((H,), (1, D))])
def test_a_sample_that_is_alone_has_an_axis_of_its_own_or_none(start: tuple[int, ...], row: tuple[int, ...]) -> None:
    x, *weights = draw(T, D), *SIMPLE
    flat, other = (
        rg.record(rg.trace_function(of_one_sample, x, *weights, *one), lags=True)
        for one in (((H,), (D,)), (start, row))
    )
    np.testing.assert_allclose(other.input_lags[0].log, flat.input_lags[0].log, rtol=1e-12)
    assert str(rg.diagnose(other)) == str(rg.diagnose(flat))
