"""Jacobians, exponents and singular values against explicit matrices made by the ordinary sweep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.errors import InputError
from tests.measure.step_matrices import matrices, matrix_by_sweep

CELLS: dict[str, Any] = {
    "tanh": lambda **o: nn.RNN(4, 6, **o),
    "relu": lambda **o: nn.RNN(4, 6, nonlinearity="relu", **o),
    "lstm": lambda **o: nn.LSTM(4, 6, **o),
    "gru": lambda **o: nn.GRU(4, 6, **o),
}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "op": {"detail": "op"},
    "stack": {"num_layers": 3},
    "stack-op": {"num_layers": 2, "detail": "op"},
    "both": {"num_layers": 2, "bidirectional": True},
}


def run(layer: Any, *, batch: int = 3, time: int = 6, mask: Any = None) -> Any:
    tape = rg.Tape()
    return layer(tape.input(np.random.default_rng(0).normal(size=(batch, time, 4))), mask=mask)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_is_that_of_the_ordinary_sweep(cell: str, form: str) -> None:
    # The sweep walks operations; a layer recorded step by step must have the same matrices.
    tape = run(CELLS[cell](**FORMS[form])).tape
    operations = run(CELLS[cell](**{**FORMS[form], "detail": "op"})).tape
    for (group, steps), (other, expected) in zip(matrices(tape), matrices(operations), strict=True):
        assert group.size == other.size
        for t in (0, 2, 5):
            for sample in range(3):
                exact = matrix_by_sweep(operations, other, t, sample)
                np.testing.assert_allclose(steps[t][sample], exact, atol=1e-13)
                np.testing.assert_allclose(expected[t][sample], exact, atol=1e-13)


def test_some_samples_are_the_same_as_among_all() -> None:
    tape = run(nn.LSTM(4, 6, num_layers=2), batch=5).tape
    ((group, some),), ((_, every),) = matrices(tape, 2), matrices(tape, 5)
    assert group.samples.tolist() == [0, 4]
    np.testing.assert_allclose(some[3], every[3][[0, 4]], atol=1e-15)


@pytest.mark.parametrize("form", ["plain", "stack"])
@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_exponents_against_explicit_matrices(cell: str, form: str) -> None:
    hidden = run(CELLS[cell](**FORMS[form]), batch=2, time=30)
    ((group, steps),) = matrices(hidden.tape)
    found = rg.spectrum(hidden.sum(), group.size).lyapunov
    total = sum(np.linalg.slogdet(matrix)[1] for matrix in steps).mean() / 30
    assert found.sum() == pytest.approx(total, rel=1e-9)
    assert (np.diff(found) <= 0).all()
    measured = rg.spectrum(hidden.sum(), 3)
    np.testing.assert_allclose(measured.singular, [np.linalg.norm(m, 2, axis=(1, 2)).max() for m in steps], rtol=1e-12)
    product = np.broadcast_to(np.eye(group.size), steps[0].shape)
    scale = 0.0
    for matrix in steps:
        product = matrix @ product
        size = np.abs(product).max()
        product, scale = product / size, scale + np.log(size)
    assert measured.product_log == pytest.approx(
        scale + np.log(np.linalg.norm(product, 2, axis=(1, 2)).max()), abs=0.05
    )
    assert measured.product_log <= scale + np.log(np.linalg.norm(product, 2, axis=(1, 2)).max()) + 1e-9


def test_the_order_of_the_product_matters() -> None:
    # Alternating shears: the product in forward order has another growth than the reversed one on an odd window.
    first, second = np.array([[2.0, 1.0], [0.0, 0.5]]), np.array([[0.5, 0.0], [1.0, 2.0]])
    tape = rg.Tape()
    h = start = tape.input(np.ones((1, 2)))
    states = []
    matrices = [first, second, second]
    for t, matrix in enumerate(matrices):
        with tape.scope(t=t):
            h = h @ tape.constant(matrix.T.copy())
        states.append(h)
    tape.state("cell.h", states, initial=start)
    measured = rg.spectrum(states[-1].sum(), 2)
    product = matrices[2] @ matrices[1] @ matrices[0]
    reversed_product = matrices[0] @ matrices[1] @ matrices[2]
    assert abs(np.linalg.norm(product, 2) - np.linalg.norm(reversed_product, 2)) > 0.1
    assert measured.product_log == pytest.approx(np.log(np.linalg.norm(product, 2)), rel=1e-9)


def test_padding_is_left_out() -> None:
    keep = np.arange(12) < np.array([12, 6])[:, None]
    layer = nn.RNN(4, 5)
    whole = rg.spectrum(run(layer, batch=2, time=12, mask=keep).sum(), 5, samples=2)
    short, first = np.zeros(0), np.zeros(0)
    rng = np.random.default_rng(0).normal(size=(2, 12, 4))
    tape = rg.Tape()
    first = rg.spectrum(layer(tape.input(rng[:1])).sum(), 5).lyapunov
    tape = rg.Tape()
    short = rg.spectrum(layer(tape.input(rng[1:, :6])).sum(), 5).lyapunov
    np.testing.assert_allclose(whole.lyapunov.sum(), (first.sum() + short.sum()) / 2, rtol=1e-9)


def test_recorded_with_the_weights() -> None:
    layer = nn.RNN(4, 6, init="orthogonal", gain=0.5)
    trace = rg.record(run(layer).sum(), spectrum=2)
    assert len(trace.spectrum[0].lyapunov) == 2
    weight = next(parameter for parameter in trace.parameters if parameter.name == "rnn.Wh")
    assert weight.spectral_radius == pytest.approx(0.5)
    assert weight.largest_singular_value == pytest.approx(0.5)


def test_refusals() -> None:
    hidden = run(nn.RNN(4, 6))
    with pytest.raises(InputError, match="at least 1"):
        rg.spectrum(hidden.sum(), 0)
    with pytest.raises(InputError, match="its state has 6 numbers"):
        rg.spectrum(hidden.sum(), 7)
    with pytest.raises(InputError, match="no recurrence"):
        rg.spectrum(rg.Tape().input(np.ones(3)))


def test_several_recurrences_are_told_apart_by_name() -> None:
    tape = rg.Tape()
    layer = rg.nn.RNN(3, 4, bidirectional=True, seed=1)
    loss = layer(tape.input(np.random.default_rng(0).normal(size=(1, 12, 3)))).sum()
    with pytest.raises(InputError, match="choose with stack=") as caught:
        rg.spectrum(loss, 2)
    names = str(caught.value).rpartition("stack=: ")[2].rstrip(".").split(", ")
    assert len(names) == 2
    first, second = (rg.spectrum(loss, 2, stack=name) for name in names)
    assert (first.name, second.name) == tuple(names)
    assert not np.allclose(first.lyapunov, second.lyapunov)
    with pytest.raises(InputError, match="'third'"):
        rg.spectrum(loss, 2, stack="third")
