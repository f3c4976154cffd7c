"""The reverse sweep: closed forms, repeated inputs, very long chains, many cotangents, cuts, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.node import Op
from rnngraph.errors import DtypeError, GradientError, InputError, TapeError


def test_a_chain_of_many_nodes_has_its_closed_form() -> None:
    length, factor = 20_000, 1 + 1e-5  # twenty times as deep as Python calls itself
    tape = rg.Tape()
    x, w = tape.input(np.array(3.0), "x"), tape.input(np.array(factor), "w")
    y = x
    for _ in range(length):
        y = y * w
    found = rg.gradients(y)
    assert len(tape) == length + 2
    # y = x w^n: dy/dx = w^n, dy/dw = n x w^(n-1).
    np.testing.assert_allclose(found["x"], np.exp(length * np.log1p(1e-5)), rtol=1e-9)
    np.testing.assert_allclose(found["w"], 3.0 * length * np.exp((length - 1) * np.log1p(1e-5)), rtol=1e-9)


def test_a_tensor_used_twice_gets_both_parts() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([2.0, -3.0]))
    np.testing.assert_array_equal(rg.gradients((x * x + x).sum())["x"], [5.0, -5.0])
    np.testing.assert_array_equal(rg.gradients((x - x).sum())["x"], [0.0, 0.0])


def test_broadcast_scalars_and_slices_meet_in_one_gradient() -> None:
    tape = rg.Tape()
    s = tape.input(np.array(2.0), "s")
    x = tape.input(np.arange(6.0).reshape(2, 3), "x")
    loss = (x * s).sum() + (s * s).sum() + (s + x).sum() + s[None].sum()
    found = rg.gradients(loss)
    np.testing.assert_allclose(found["s"], 15.0 + 4.0 + 6.0 + 1.0)
    np.testing.assert_array_equal(found["x"], np.full((2, 3), 3.0))
    assert found["s"].shape == ()


def test_reflected_operators_and_power() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([1.0, 2.0, 4.0]))
    loss = (3 - x).sum() + (8 / x).sum() + (2 + x).sum() + (5 * x).sum() + (x**2).sum() + (-x).sum()
    value = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(rg.gradients(loss)["x"], -1 - 8 / value**2 + 1 + 5 + 2 * value - 1)
    a = np.arange(6.0).reshape(2, 3)
    y = tape.input(np.ones((3, 1)), "y")
    np.testing.assert_array_equal(rg.gradients((a @ y).sum())["y"], a.sum(axis=0)[:, None])


def test_what_the_loss_does_not_reach_has_a_zero_gradient_in_tape_order() -> None:
    tape = rg.Tape()
    a, _, c = (tape.input(np.ones(2), name) for name in "abc")
    found = rg.gradients((a * c).sum())
    assert list(found) == ["a", "b", "c"]
    np.testing.assert_array_equal(found["b"], [0.0, 0.0])


def test_a_name_that_is_taken_gets_a_number() -> None:
    tape = rg.Tape()
    total = sum((tape.input(np.full(1, float(k))) for k in range(3)), start=tape.constant(np.zeros(1)))
    assert list(rg.gradients(total)) == ["x", "x_1", "x_2"]


def test_detach_cuts_the_walk() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([3.0]))
    np.testing.assert_array_equal(rg.gradients((x * x.detach()).sum())["x"], [3.0])


def test_integers_are_not_differentiated() -> None:
    tape = rg.Tape()
    x, n = tape.input(np.ones(2)), tape.input(np.array([1, 2]), "n")
    assert list(rg.gradients((x * n).sum())) == ["x"]


def test_the_sweep_yields_steps_in_reverse_with_their_consumers() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([1.0, 2.0]))
    y = x * x
    z = y + x
    seen = [
        (step.node.id, [None if one is None else one.id for one in step.consumers])
        for step in sweep(tape, {z.id: np.ones(2)})
    ]
    assert seen == [(z.id, [None]), (y.id, [z.id]), (x.id, [z.id, y.id, y.id])]


def test_the_sweep_can_be_limited_and_start_in_several_places() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([1.0, 2.0]))
    y = x * 3
    z = y * 5
    starts = {z.id: np.array([1.0, 0.0]), y.id: np.array([0.0, 7.0])}
    gradients = {step.node.id: np.array(step.gradient) for step in sweep(tape, starts)}
    np.testing.assert_array_equal(gradients[x.id], [15.0, 21.0])
    assert [step.node.id for step in sweep(tape, starts, until={y.id})] == [z.id, y.id]


def test_a_rule_that_returns_a_wrong_shape_is_named() -> None:
    double = Op("double", "2x", lambda x: 2 * x, lambda g, node: (np.ones((4, 4)),))
    tape = rg.Tape()
    with tape.scope(layer="top", t=3):
        y = tape.apply(double, tape.input(np.ones((2, 3))))
    with pytest.raises(
        GradientError,
        match=r"double \(node 1, layer top, t 3\) returned shape \(4, 4\) for argument 0.*\(2, 3\)",
    ):
        rg.gradients(y.sum())


def test_overflow_gives_infinity_and_no_warning() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([800.0]))
    loss = (x.exp() * x.exp()).sum()
    assert np.isinf(loss.value)
    assert not np.isfinite(rg.gradients(loss)["x"]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tape, x: rg.gradients(x), r"shape \(2, 3\).*\.sum\(\)"),
        (lambda tape, x: rg.gradients(x.value), "ndarray"),
        (lambda tape, x: rg.gradients(tape.constant(1.0)), "depends on no parameter"),
        (lambda tape, x: rg.gradients(tape.input(np.array([1, 2]), "n").sum()), "depends on no parameter"),
        (lambda tape, x: x @ np.ones((2, 3)), r"\(2, 3\) and \(2, 3\)"),
        (lambda tape, x: x @ np.ones(3), r"\(2, 3\) and \(3,\)"),
        (lambda tape, x: x + np.ones((4, 5)), r"add of shapes \(2, 3\) and \(4, 5\)"),
        (lambda tape, x: x[5], r"\(5,\).*\(2, 3\)"),
        (lambda tape, x: x.reshape(4, 4), r"\(2, 3\).*\(4, 4\)"),
        (lambda tape, x: x.sum(axis=2), r"axis 2.*\(2, 3\)"),
        (lambda tape, x: x ** np.ones(3), "ndarray"),
        (lambda tape, x: bool(x), "truth value"),
        (lambda tape, x: rg.concatenate([]), "no tensors"),
        (lambda tape, x: rg.stack([x, x[0]]), r"\(2, 3\), \(3,\)"),
        (lambda tape, x: tape.input(np.ones((2, 0, 3)), "words"), r"words has shape \(2, 0, 3\)"),
        (lambda tape, x: tape.input(np.array([1.0, np.nan]), "words"), r"words holds nan at \(1,\)"),
        (lambda tape, x: tape.input(np.array([[1.0], [-np.inf]]), "words"), r"words holds -inf at \(1, 0\)"),
        (lambda tape, x: tape.input([[1.0], [1.0, 2.0]], "words"), "words"),
        (lambda tape, x: tape.state("cell.h", []), "cell.h"),
    ],
)
def test_bad_values_are_refused_with_one_clear_sentence(make: Any, message: str) -> None:
    tape = rg.Tape()
    with pytest.raises(InputError, match=message):
        make(tape, tape.input(np.ones((2, 3))))


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["a"]), np.array([None])])
def test_arrays_of_no_real_numbers_are_refused(array: Any) -> None:
    with pytest.raises(DtypeError, match=str(array.dtype)):
        rg.Tape().input(array)


def test_a_tensor_of_another_tape_is_refused() -> None:
    x, y = rg.Tape().input(np.ones(2)), rg.Tape().input(np.ones(2))
    with pytest.raises(TapeError, match="another tape"):
        _ = x + y


def test_infinity_can_be_let_in() -> None:
    assert np.isinf(rg.Tape().input(np.array([np.inf]), finite=False).value[0])


def test_numbers_and_half_precision_keep_float32() -> None:
    tape = rg.Tape()
    x = tape.input(np.ones(2, np.float16))
    loss = ((2 * x + 1.5) / 3 - 0.5).sum()
    assert loss.dtype == np.float32
    assert rg.gradients(loss)["x"].dtype == np.float32


def test_every_error_is_also_what_a_caller_would_expect() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(DtypeError, TypeError)
    assert issubclass(TapeError, RuntimeError)
    assert issubclass(GradientError, ArithmeticError)


def test_a_node_says_where_it_is() -> None:
    tape = rg.Tape()
    with tape.scope(layer="a"), tape.scope(t=7):
        y = tape.input(np.ones(1)).tanh()
    node = y.node
    assert node.timestep == 7
    assert node.describe() == "tanh (node 1, layer a, t 7)"
