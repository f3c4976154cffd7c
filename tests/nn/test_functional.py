"""The functional interface against plain NumPy loops, against itself, and against careless callers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnngraph as rg
from rnngraph.nn import functional as F  # noqa: N812
from tests.draws import draw
from tests.nn import plain_layers as plain
from tests.nn.functional_calls import CALLS, D, H, M, N, T, V, weights
from tests.nn.plain_layers import Array

CLOSE: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-13}


def agree(actual: tuple[Array, ...], expected: tuple[Array, ...]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


@settings(deadline=None, max_examples=25)
@given(*[st.integers(1, 4)] * 4)
def test_rnn_agrees_with_a_plain_loop_for_every_shape(n: int, t: int, d: int, h: int) -> None:
    x, h0, dh = draw(n, t, d), draw(n, h), draw(n, t, h, seed=3)
    w = weights(inputs=d, hidden=h)
    out, cache = F.rnn_forward(x, h0, *w)
    agree((out, *F.rnn_backward(dh, cache)), plain.rnn(x, h0, *w, dh=dh))


@settings(deadline=None, max_examples=25)
@given(*[st.integers(1, 4)] * 4)
def test_lstm_agrees_with_a_plain_loop_for_every_shape(n: int, t: int, d: int, h: int) -> None:
    x, h0, dh = draw(n, t, d), draw(n, h), draw(n, t, h, seed=3)
    w = weights(4, inputs=d, hidden=h)
    out, cache = F.lstm_forward(x, h0, *w)
    expected, _, dx, dh0, _, *rest = plain.lstm(x, h0, np.zeros((n, h)), *w, dh=dh)
    agree((out, *F.lstm_backward(dh, cache)), (expected, dx, dh0, *rest))


def test_rnn_step_agrees_with_a_plain_step() -> None:
    x, h0, dh, w = draw(N, D), draw(N, H), draw(N, H, seed=3), weights()
    out, cache = F.rnn_step_forward(x, h0, *w)
    h, dx, *rest = plain.rnn(x[:, None], h0, *w, dh=dh[:, None])
    agree((out, *F.rnn_step_backward(dh, cache)), (h[:, 0], dx[:, 0], *rest))


def test_lstm_step_agrees_with_a_plain_step() -> None:
    x, h0, c0, w = draw(N, D), draw(N, H), draw(N, H, seed=5), weights(4)
    dh, dc = draw(N, H, seed=3), draw(N, H, seed=4)
    next_h, next_c, cache = F.lstm_step_forward(x, h0, c0, *w)
    h, c, dx, *rest = plain.lstm(x[:, None], h0, c0, *w, dh=dh[:, None], dc_last=dc)
    agree((next_h, next_c, *F.lstm_step_backward(dh, dc, cache)), (h[:, 0], c, dx[:, 0], *rest))


def test_a_sequence_is_its_steps_one_after_the_other() -> None:
    """What a student writes: a loop over the step functions, forward and backward."""
    x, h0, dh, (Wx, Wh, b) = draw(N, T, D), draw(N, H), draw(N, T, H, seed=3), weights()
    h, caches, outputs = h0, [], []
    for t in range(T):
        h, cache = F.rnn_step_forward(x[:, t], h, Wx, Wh, b)
        outputs.append(h)
        caches.append(cache)
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    carried = np.zeros_like(h0)
    for t in reversed(range(T)):
        dx[:, t], carried, *parts = F.rnn_step_backward(dh[:, t] + carried, caches[t])
        dWx += parts[0]
        dWh += parts[1]
        db += parts[2]
    together, cache = F.rnn_forward(x, h0, Wx, Wh, b)
    agree((together, *F.rnn_backward(dh, cache)), (np.stack(outputs, axis=1), dx, carried, dWx, dWh, db))


def test_embedding_agrees_with_a_plain_loop_and_a_word_seen_twice_gets_both() -> None:
    words, table, dout = np.array([[0, 3, 3], [6, 3, 0]]), draw(V, D), draw(2, 3, D)
    out, cache = F.word_embedding_forward(words, table)
    expected = np.zeros((V, D))
    for n in range(2):
        for t in range(3):
            np.testing.assert_array_equal(out[n, t], table[words[n, t]])
            expected[words[n, t]] += dout[n, t]
    np.testing.assert_allclose(F.word_embedding_backward(dout, cache), expected, **CLOSE)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 3, 2)])
def test_embedding_takes_words_of_any_shape(shape: tuple[int, ...]) -> None:
    words = np.arange(np.prod(shape)).reshape(shape) % V
    assert F.word_embedding_forward(words, draw(V, D))[0].shape == (*shape, D)


def test_affine_agrees_with_einsum() -> None:
    x, w, b, dout = draw(N, T, D), draw(D, M), draw(M), draw(N, T, M)
    out, cache = F.temporal_affine_forward(x, w, b)
    np.testing.assert_allclose(out, np.einsum("ntd,dm->ntm", x, w) + b, **CLOSE)
    expected = np.einsum("ntm,dm->ntd", dout, w), np.einsum("ntd,ntm->dm", x, dout), dout.sum(axis=(0, 1))
    agree(F.temporal_affine_backward(dout, cache), expected)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
def test_loss_agrees_with_a_plain_loop_for_every_mask(n: int, t: int, v: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y, mask = (
        generator.normal(size=(n, t, v)) * 3,
        generator.integers(0, v, size=(n, t)),
        generator.random((n, t)) > 0.5,
    )
    mask.flat[seed % mask.size] = True
    loss, dx = F.temporal_softmax_loss(x, y, mask)
    expected, dx_expected = plain.softmax_loss(x, y, mask)
    assert type(loss) is float
    assert loss == pytest.approx(expected, rel=1e-12, abs=1e-13)
    np.testing.assert_allclose(dx, dx_expected, **CLOSE)


def test_loss_is_stable_ignores_padding_and_takes_masks_of_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    x = np.array([[[1e5, 0.0], [0.0, 1e5], [3.0, 4.0]]])
    y, mask = np.array([[0, 0, -1]]), np.array([[1.0, 1.0, 0.0]])
    loss, dx = F.temporal_softmax_loss(x, y, mask, verbose=True)
    assert loss == 1e5
    np.testing.assert_array_equal(dx, [[[0, 0], [-1, 1], [0, 0]]])
    assert "(1, 3, 2)" in capsys.readouterr().out


@pytest.mark.parametrize("x", [3, -3.0, [1.0, -1.0], np.array([[-1000, 0, 1000]]), np.float32(0.5), 1e308, -np.inf])
def test_sigmoid_takes_anything_without_a_warning(x: Any) -> None:
    out = F.sigmoid(x)
    np.testing.assert_allclose(out, plain.logistic(np.asarray(x, dtype=np.float64)), rtol=1e-7)
    assert np.shape(out) == np.shape(x)
    assert out.dtype == (np.float32 if isinstance(x, np.float32) else np.float64)


def test_sigmoid_keeps_digits_where_one_minus_tanh_loses_them() -> None:
    np.testing.assert_allclose(F.sigmoid(np.array([-40.0, -700.0])), np.exp([-40.0, -700.0]), rtol=1e-15)


def test_a_backward_can_be_called_again_with_another_gradient() -> None:
    x, h0, w = draw(N, T, D), draw(N, H), weights()
    _, cache = F.rnn_forward(x, h0, *w)
    first = F.rnn_backward(draw(N, T, H), cache)
    nodes = len(cache)
    doubled = F.rnn_backward(2 * draw(N, T, H), cache)
    again = F.rnn_backward(draw(N, T, H), cache)
    assert len(cache) == nodes
    for one, two, three in zip(first, doubled, again, strict=True):
        np.testing.assert_allclose(two, 2 * one, rtol=1e-14)
        np.testing.assert_array_equal(three, one)


def test_what_a_caller_does_to_the_results_does_not_reach_the_cache() -> None:
    x, h0, dh, w = draw(N, T, D), draw(N, H), draw(N, T, H), weights()
    out, cache = F.rnn_forward(x, h0, *w)
    expected = F.rnn_backward(dh, cache)
    kept = [array.copy() for array in expected]
    out[...] = 0
    for array in expected:
        array[...] = 0
    dh_given = dh.copy()
    agree(F.rnn_backward(dh_given, cache), tuple(kept))
    dh_given[...] = 0
    assert cache.starts[cache.outputs[0].id].any()


@pytest.mark.parametrize("name", list(CALLS))
def test_float32_stays_float32_and_float64_upstream_does_not_change_it(name: str) -> None:
    (*outputs, cache), backward = CALLS[name](np.float32)
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    gradients = backward(*[np.ones(output.shape) for output in outputs], cache)
    for gradient in gradients if isinstance(gradients, tuple) else (gradients,):
        assert gradient.dtype == np.float32
    assert {node.value.dtype for node in cache.nodes if node.value.dtype.kind == "f"} == {np.dtype(np.float32)}


def test_loss_in_float32() -> None:
    loss, dx = F.temporal_softmax_loss(draw(2, 3, 4, dtype=np.float32), np.zeros((2, 3), int), np.ones((2, 3), bool))
    assert type(loss) is float
    assert dx.dtype == np.float32


def test_mixed_and_whole_numbers_are_computed_as_numpy_would() -> None:
    x, h0, (Wx, Wh, b) = np.arange(N * T * D).reshape(N, T, D), draw(N, H), weights()
    agree(F.rnn_forward(x, h0, Wx, Wh, b)[:1], F.rnn_forward(x.astype(float), h0, Wx, Wh, b)[:1])
    mixed, _ = F.rnn_forward(draw(N, T, D, dtype=np.float32), h0, Wx, Wh, b)
    assert mixed.dtype == np.float64
    ones = [np.ones(shape, int) for shape in ((1, 1, 1), (1, 1), (1, 1), (1, 1), (1,))]
    assert F.rnn_forward(*ones)[0][0, 0, 0] == pytest.approx(np.tanh(3.0))


@pytest.mark.parametrize("name", list(CALLS))
def test_the_cache_is_the_recorded_tape_and_can_be_traced(name: str) -> None:
    (*outputs, cache), backward = CALLS[name](np.float64)
    assert isinstance(cache, rg.Tape)
    assert cache.model == f"{name}_forward"
    for tensor, output in zip(cache.outputs, outputs, strict=True):
        np.testing.assert_array_equal(tensor.value, output)
    upstream = [draw(*output.shape, seed=9) for output in outputs]
    gradients = backward(*upstream, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for tensor, gradient in zip(cache.outputs, upstream, strict=True):
        np.testing.assert_array_equal(cache.starts[tensor.id], gradient)
    if "rnn" not in name and "lstm" not in name:
        return
    trace = rg.record(cache)
    assert trace.timesteps == (1 if "step" in name else T)
    assert [state.kind for state in trace.states] == (["h", "c"] if "lstm" in name else ["h"])
    assert [parameter.name for parameter in trace.parameters] == ["Wx", "Wh", "b"]
    norms = [float(parameter.grad.value) for parameter in trace.parameters]
    np.testing.assert_allclose(norms, [np.linalg.norm(gradient) for gradient in gradients[-3:]], rtol=1e-12)
    assert float(trace.states[0].initial.value) == pytest.approx(float(np.linalg.norm(gradients[1])), rel=1e-12)


def test_overflow_gives_infinity_and_no_warning() -> None:
    out, cache = F.temporal_affine_forward(np.full((1, 1, 1), 1e200), np.full((1, 1), 1e200), np.zeros(1))
    assert np.isinf(out[0, 0, 0])
    dx, dw, db = F.temporal_affine_backward(np.full((1, 1, 1), np.nan), cache)
    assert np.isnan([dx[0, 0, 0], dw[0, 0], db[0]]).all()
