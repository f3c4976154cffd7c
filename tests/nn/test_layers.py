"""The layers as objects: state dicts, names, what the tape is told, and careless callers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnngraph as rg
from rnngraph.errors import DtypeError, InputError, TapeError, VocabularyError

N, T, D, H = 3, 5, 4, 6
MAKERS: dict[str, Any] = {
    "rnn": lambda **options: rg.nn.RNN(D, H, **options),
    "lstm": lambda **options: rg.nn.LSTM(D, H, **options),
    "gru": lambda **options: rg.nn.GRU(D, H, **options),
    "embedding": lambda **options: rg.nn.Embedding(D, H, **options),
    "linear": lambda **options: rg.nn.Linear(D, H, **options),
}


@pytest.mark.parametrize("kind", list(MAKERS))
def test_a_state_dict_goes_round(kind: str) -> None:
    one, other = MAKERS[kind](seed=0), MAKERS[kind](seed=1)
    state = one.state_dict()
    other.load_state_dict(state)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    for value in state.values():
        value[...] = 0  # the caller's own copies
    assert any(value.any() for value in one.state_dict().values())
    assert any(value.any() for value in other.state_dict().values())


def test_names_are_pytorchs_suffixes() -> None:
    assert list(rg.nn.GRU(D, H).state_dict()) == ["Wx", "Wh", "b", "bh"]
    assert list(rg.nn.LSTM(D, H, num_layers=2, bidirectional=True).state_dict()) == [
        key + ending for ending in ("", "_l0_reverse", "_l1", "_l1_reverse") for key in ("Wx", "Wh", "b")
    ]
    state = rg.nn.LSTM(D, H, num_layers=2, bidirectional=True).state_dict()
    shapes = {name: value.shape for name, value in state.items()}
    assert shapes["Wx"] == (D, 4 * H)
    assert shapes["Wx_l1_reverse"] == (2 * H, 4 * H)
    assert shapes["Wh_l1"] == (H, 4 * H)
    assert shapes["b_l1"] == (4 * H,)
    assert [parameter.name for parameter in rg.nn.RNN(D, H, name="decoder").parameters()] == [
        "decoder.Wx", "decoder.Wh", "decoder.b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("Wh"), r"lacks \['Wh'\]"),
        (lambda state: state.update(bias=np.zeros(3)), r"does not know \['bias'\]"),
        (lambda state: state.update(b=np.zeros(H + 1)), r"rnn.b has shape \(6,\).*\(7,\)"),
        (lambda state: state.update(Wx=state["Wx"].T), r"rnn.Wx has shape \(4, 6\).*\(6, 4\)"),
        (lambda state: state.update(b=np.full(H, 1j)), "complex128"),
        (lambda state: state.update(b=np.full(H, "a")), "<U1"),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(change: Any, message: str) -> None:
    layer = rg.nn.RNN(D, H)
    before, state = layer.state_dict(), rg.nn.RNN(D, H, seed=1).state_dict()
    change(state)
    with pytest.raises((InputError, DtypeError), match=message):
        layer.load_state_dict(state)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_network_that_has_diverged_can_be_loaded() -> None:
    layer = rg.nn.RNN(D, H)
    layer.load_state_dict({**layer.state_dict(), "b": np.full(H, np.nan)})
    assert np.isnan(layer.parameter("b").value).all()


def test_loading_keeps_the_layers_dtype() -> None:
    layer = rg.nn.RNN(D, H, dtype=np.float32)
    layer.load_state_dict(rg.nn.RNN(D, H, seed=1).state_dict())
    assert {parameter.value.dtype for parameter in layer.parameters()} == {np.dtype(np.float32)}


def test_a_layer_used_twice_is_one_parameter_whose_gradient_is_the_sum() -> None:
    layer = rg.nn.Linear(D, D)
    x = np.random.default_rng(0).normal(size=(N, D))
    tape = rg.Tape()
    found = rg.gradients(layer(layer(tape.input(x))).sum())
    assert list(found) == ["x", "linear.W", "linear.b"]
    W, b = layer.parameter("W").value, layer.parameter("b").value
    upstream = np.ones((N, D))
    expected = (x @ W + b).T @ upstream + x.T @ (upstream @ W.T)
    np.testing.assert_allclose(found["linear.W"], expected, rtol=1e-12)


def test_two_layers_of_one_name_keep_their_gradients_apart() -> None:
    tape = rg.Tape()
    out = rg.nn.Linear(D, D, seed=1)(rg.nn.Linear(D, D)(tape.input(np.ones((N, D)))))
    assert list(rg.gradients(out.sum())) == ["x", "linear.W", "linear.b", "linear_1.W", "linear_1.b"]


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["rnn", "lstm", "gru"]), st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.booleans(),
    st.integers(0, 1000),
)  # fmt: skip
def test_fused_and_composed_steps_agree_for_every_shape_and_mask(
    cell: str, n: int, t: int, layers: int, both: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    x, mask = generator.normal(size=(n, t, D)), generator.random((n, t)) > 0.3
    upstream = generator.normal(size=(n, t, H * (1 + both)))
    results = []
    for detail in ("step", "op"):
        tape = rg.Tape()
        layer = MAKERS[cell](num_layers=layers, bidirectional=both, seed=seed, detail=detail)
        out = layer(tape.input(x), mask=mask)
        results.append({"out": out.value, **rg.gradients((out * upstream).sum())})
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        np.testing.assert_allclose(value, results[1][name], rtol=1e-11, atol=1e-13, err_msg=name)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["rnn", "lstm", "gru"]), st.integers(1, 4), st.integers(1, 6), st.integers(0, 1000))
def test_what_is_masked_at_the_end_of_a_sample_gets_no_gradient(cell: str, n: int, t: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, t + 1, size=n)
    mask = np.arange(t) < lengths[:, None]
    tape = rg.Tape()
    out = MAKERS[cell](seed=seed)(tape.input(generator.normal(size=(n, t, D))), mask=mask)
    found = rg.gradients((out * generator.normal(size=out.shape)).sum())["x"]
    assert not found[~mask].any()
    assert np.abs(found[mask]).max(axis=-1).all()
    for sample, length in enumerate(lengths):
        np.testing.assert_array_equal(
            out.value[sample, length:], np.repeat(out.value[sample, length - 1 : length], t - length, axis=0)
        )


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["rnn", "lstm", "gru"]), st.integers(1, 8), st.integers(1, 9), st.integers(0, 1000))
def test_a_cut_stops_the_gradient_at_its_step(cell: str, t: int, truncate: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    tape = rg.Tape()
    out = MAKERS[cell](seed=seed, truncate=truncate)(tape.input(generator.normal(size=(2, t, D))))
    found = rg.gradients((out[:, -1] * generator.normal(size=(2, H))).sum())["x"]
    start = (t - 1) // truncate * truncate
    assert not found[:, :start].any()
    assert np.abs(found[:, start:]).max(axis=(0, 2)).all()


def call(kind: str, x: Any, **options: Any) -> Any:
    return MAKERS[kind]()(x, **options)


def loss(scores: Any, words: Any, mask: Any = None) -> rg.Tensor:
    return rg.nn.temporal_softmax_loss(scores, words, mask)


def good(*shape: int, dtype: Any = np.float64) -> rg.Tensor:
    return rg.Tape().input(np.ones(shape or (N, T, D), dtype))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: call("rnn", np.ones((N, T, D))), InputError, "rnn got a ndarray; record the array first"),
        (lambda: call("rnn", good(N, T, D + 1)), InputError, r"\(3, 5, 5\); it takes \(N, T, 4\)"),
        (lambda: call("rnn", good(T, D)), InputError, r"\(5, 4\)"),
        (lambda: call("lstm", good(N, T, D, dtype=np.float32)), DtypeError, "float64 weights and got a float32"),
        (lambda: call("lstm", good(N, T, D, dtype=np.int64)), DtypeError, "int64"),
        (lambda: call("rnn", good(), h0=np.zeros((N, H + 1))), InputError, r"h0 has shape \(3, 7\).*\(3, 6\)"),
        (lambda: call("rnn", good(), h0=np.full((N, H), np.nan)), InputError, r"h0 holds nan at \(0, 0\)"),
        (lambda: call("rnn", good(), h0=np.full((N, H), 1j)), DtypeError, "h0.*complex128"),
        (lambda: call("rnn", good(), h0=np.full((N, H), "a")), DtypeError, "h0.*<U1"),
        (lambda: call("lstm", good(), c0=np.zeros((2, N, H))), InputError, r"c0 has shape \(2, 3, 6\)"),
        (lambda: call("gru", good(), c0=np.zeros((N, H))), InputError, "c0 was given but a GRU layer"),
        (lambda: call("lstm", good(), mask=np.ones((T, N), bool)), InputError, r"mask of shape \(5, 3\).*\(3, 5\)"),
        (lambda: call("lstm", good(), mask=np.full((N, T), 0.5)), DtypeError, "0.5"),
        (lambda: call("lstm", good(), mask=np.full((N, T), "a")), DtypeError, "<U1"),
        (lambda: call("rnn", good(), h0=good(N, H)), TapeError, "another tape"),
        (lambda: call("embedding", np.zeros((N, T), int)), InputError, "ndarray"),
        (lambda: call("embedding", good(N, T)), DtypeError, "float64"),
        (
            lambda: call("embedding", rg.Tape().input(np.array([[0, D]]))),
            VocabularyError,
            r"token 4 at \(0, 1\).*4 words",
        ),
        (lambda: call("embedding", rg.Tape().input(np.array([[-1]]))), VocabularyError, "token -1"),
        (lambda: call("linear", np.ones((N, D))), InputError, "ndarray"),
        (lambda: call("linear", good(N, T, D + 1)), InputError, r"\(3, 5, 5\).*must be 4"),
        (lambda: call("linear", good(N, D, dtype=np.float32)), DtypeError, "float32"),
        (lambda: loss(np.ones((N, T, 2)), np.zeros((N, T), int)), InputError, "ndarray"),
        (lambda: loss(good(N, T), np.zeros((N, T), int)), InputError, r"\(3, 5\)"),
        (lambda: loss(good(), np.zeros((N, 2), int)), InputError, r"y has shape \(3, 2\)"),
        (lambda: loss(good(), np.full((N, T), D)), VocabularyError, "token 4"),
        (lambda: loss(good(), np.zeros((N, T))), DtypeError, "float64"),
        (lambda: loss(good(), np.zeros((N, T), int), np.zeros((N, T), bool)), InputError, "no true entry"),
        (lambda: loss(good(N, T, D, dtype=int), np.zeros((N, T), int)), DtypeError, "int64"),
    ],
)
def test_bad_input_is_refused_with_one_clear_sentence(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_mask_may_hold_padding_words_of_any_value() -> None:
    words, mask = np.array([[1, -1, 99]]), np.array([[True, False, False]])
    loss = rg.nn.temporal_softmax_loss(rg.Tape().input(np.zeros((1, 3, 4))), words, mask)
    assert float(loss.value) == pytest.approx(np.log(4))


def test_an_overflowing_network_gives_no_warning() -> None:
    tape = rg.Tape()
    layer = rg.nn.RNN(D, H, nonlinearity="relu", init="identity", gain=1e9)
    out = layer(tape.input(np.random.default_rng(0).normal(size=(N, 60, D))))
    assert not np.isfinite(out.value).all()
    assert not np.isfinite(rg.gradients(out.sum())["rnn.Wh"]).all()
