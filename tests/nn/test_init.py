"""The initialisers: what each promises of its matrices and biases, and that a seed fixes everything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.nn.init import INITS

D, H = 20, 40
GATES = {"rnn": "a", "lstm": "ifog", "gru": "rzn"}


def layer(cell: str, **options: Any) -> Any:
    return {"rnn": rg.nn.RNN, "lstm": rg.nn.LSTM, "gru": rg.nn.GRU}[cell](D, H, **options)


def blocks(cell: str, array: Any) -> dict[str, Any]:
    return dict(zip(GATES[cell], np.split(array, len(GATES[cell]), axis=-1), strict=True))


def names(cell: str) -> list[str]:
    return [name for name in INITS if name != "chrono" or cell != "rnn"]


@pytest.mark.parametrize(("cell", "init"), [(cell, init) for cell in GATES for init in names(cell)])
def test_a_seed_fixes_every_parameter(cell: str, init: str) -> None:
    one, same, other = (
        layer(cell, init=init, seed=seed, num_layers=2, bidirectional=True).state_dict() for seed in (3, 3, 4)
    )
    assert list(one) == list(same)
    for name, value in one.items():
        np.testing.assert_array_equal(value, same[name])
    assert any((value != other[name]).any() for name, value in one.items())
    for first, second in (("Wx", "Wx_l0_reverse"), ("b", "b_l1")):
        if init == "uniform":
            assert not np.array_equal(one[first], one[second])


@pytest.mark.parametrize("cell", list(GATES))
def test_uniform_is_pytorchs_default(cell: str) -> None:
    bound = 1 / math.sqrt(H)
    for value in layer(cell).state_dict().values():
        assert np.abs(value).max() <= bound
        assert np.abs(value).max() > 0.8 * bound
        assert value.std() == pytest.approx(bound / math.sqrt(3), rel=0.25)


@pytest.mark.parametrize("cell", list(GATES))
def test_xavier_is_bounded_by_its_own_blocks_sizes(cell: str) -> None:
    state = layer(cell, init="xavier").state_dict()
    for name, rows in (("Wx", D), ("Wh", H)):
        bound = math.sqrt(6 / (rows + H))
        for block in blocks(cell, state[name]).values():
            assert 0.95 * bound < np.abs(block).max() <= bound
    assert not state["b"].any()


def test_normal_has_variance_one_over_the_inputs() -> None:
    state = layer("lstm", init="normal").state_dict()
    assert state["Wx"].std() == pytest.approx(1 / math.sqrt(D), rel=0.05)
    assert state["Wh"].std() == pytest.approx(1 / math.sqrt(H), rel=0.05)


@pytest.mark.parametrize("gain", [1.0, 0.5, 1.7])
@pytest.mark.parametrize("cell", list(GATES))
def test_orthogonal_blocks_have_every_singular_value_at_the_gain(cell: str, gain: float) -> None:
    for block in blocks(cell, layer(cell, init="orthogonal", gain=gain).state_dict()["Wh"]).values():
        np.testing.assert_allclose(np.linalg.svd(block, compute_uv=False), gain, rtol=1e-12)


@pytest.mark.parametrize("cell", list(GATES))
def test_identity_blocks(cell: str) -> None:
    state = layer(cell, init="identity", gain=0.9).state_dict()
    for block in blocks(cell, state["Wh"]).values():
        np.testing.assert_allclose(block, 0.9 * np.eye(H))
    assert np.abs(state["Wx"]).max() <= math.sqrt(6 / (D + H))
    assert not state["b"].any()


def test_orthogonal_functions_take_any_shape() -> None:
    from rnngraph.nn.init import orthogonal

    generator = np.random.default_rng(0)
    tall, wide = orthogonal(generator, (7, 3)), orthogonal(generator, (3, 7))
    np.testing.assert_allclose(tall.T @ tall, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(wide @ wide.T, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("init", [name for name in INITS if name != "chrono"])
def test_forget_bias_sets_the_forget_gate_and_nothing_else(init: str) -> None:
    plain, biased = (layer("lstm", init=init, **options).state_dict() for options in ({}, {"forget_bias": 1.5}))
    np.testing.assert_array_equal(blocks("lstm", biased["b"])["f"], 1.5)
    for gate in "iog":
        np.testing.assert_array_equal(blocks("lstm", biased["b"])[gate], blocks("lstm", plain["b"])[gate])
    for name in ("Wx", "Wh"):
        np.testing.assert_array_equal(biased[name], plain[name])


@pytest.mark.parametrize("horizon", [3, 50, None])
def test_chrono_draws_time_scales_up_to_the_horizon(horizon: int | None) -> None:
    longest = math.log((100 if horizon is None else horizon) - 1)
    lstm = blocks("lstm", layer("lstm", init="chrono", horizon=horizon).state_dict()["b"])
    assert (lstm["f"] >= 0).all()
    assert (lstm["f"] <= longest).all()
    assert lstm["f"].max() > 0.8 * longest
    np.testing.assert_array_equal(lstm["i"], -lstm["f"])
    gru = blocks("gru", layer("gru", init="chrono", horizon=horizon).state_dict()["b"])
    assert (gru["z"] >= 0).all()
    assert (gru["z"] <= longest).all()


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        ("rnn", {"init": "he"}, "init is 'he'; choose one of uniform, xavier"),
        ("rnn", {"init": "chrono"}, "chrono"),
        ("rnn", {"forget_bias": 1.0}, "forget_bias is 1.0 but a tanh cell has no forget gate"),
        ("gru", {"forget_bias": 1.0}, "forget_bias is 1.0 but a gru cell"),
        ("lstm", {"forget_bias": math.nan}, "forget_bias is nan"),
        ("lstm", {"init": "chrono", "horizon": 2}, "horizon is 2"),
        ("rnn", {"gain": math.inf}, "gain is inf"),
        ("rnn", {"gain": "big"}, "gain is 'big'"),
        ("rnn", {"num_layers": 0}, "num_layers is 0"),
        ("rnn", {"num_layers": 1.5}, "num_layers is 1.5"),
        ("rnn", {"truncate": 0}, "truncate is 0"),
        ("rnn", {"detail": "fine"}, "detail is 'fine'"),
        ("rnn", {"nonlinearity": "sin"}, "nonlinearity is 'sin'"),
        ("rnn", {"dtype": np.int64}, "int64"),
        ("rnn", {"seed": -1}, "seed is -1"),
    ],
)
def test_bad_options_are_refused(cell: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, rg.errors.DtypeError), match=message):
        layer(cell, **options)


@pytest.mark.parametrize("size", [0, -3, 2.0, "4", True])
def test_bad_sizes_are_refused(size: Any) -> None:
    for make in (rg.nn.RNN, rg.nn.LSTM, rg.nn.GRU, rg.nn.Embedding, rg.nn.Linear):
        for sizes in ((size, 3), (3, size)):
            with pytest.raises(InputError, match=f"is {size!r}; it must be a whole number of at least 1"):
                make(*sizes)
