"""The gradient check: right models pass, wrong rules are found and named, long tapes stay cheap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff.node import Op
from rnngraph.errors import InputError
from rnngraph.gradcheck.front import check
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.report import CheckReport
from rnngraph.gradcheck.roles import Roles
from tests.check.checked_models import broken, model

LAYERS: dict[str, Callable[..., Any]] = {
    "tanh": lambda **options: rg.nn.RNN(4, 6, **options),
    "relu": lambda **options: rg.nn.RNN(4, 6, nonlinearity="relu", init="identity", **options),
    "lstm": lambda **options: rg.nn.LSTM(4, 6, num_layers=2, bidirectional=True, **options),
    "gru": lambda **options: rg.nn.GRU(4, 6, **options),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("time", [1, 20])
@pytest.mark.parametrize("detail", ["step", "op"])
@pytest.mark.parametrize("cell", list(LAYERS))
def test_every_layer_passes(cell: str, detail: str, time: int, dtype: Any) -> None:
    report = check(model(LAYERS[cell](detail=detail, dtype=dtype), time, dtype=dtype))
    assert report.passed, str(report)
    assert report.dtype == np.dtype(dtype).name
    names = [row.name for row in report.rows]
    assert names[:4] == [
        "x",
        *(f"{'rnn' if cell in ('tanh', 'relu') else cell}.{key}" for key in ("Wx", "b", "Wh")),
    ]
    assert names[-2:] == ["linear.W", "linear.b"]
    assert all(row.relative_error <= report.tolerance for row in report.rows if row.resolved)
    assert [row.name for row in report.rows if row.resolved and row.analytic == 0] == (
        [name for name in names if ".Wh" in name] if time == 1 else []
    )


@pytest.mark.parametrize("time", [1, 2, 50])
@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0])
def test_a_wrong_rule_of_a_cell_is_named_even_where_its_effect_cannot_be_seen(time: int, factor: float) -> None:
    report = check(model(broken(factor), time))
    assert not report.passed
    culprit = next(one for one in report.culprits if one.argument_name == "h0")
    assert culprit.op == "tanh cell"
    assert {one.op for one in report.culprits} == {"tanh cell"}
    if time == 1:
        assert culprit.analytic == pytest.approx(factor * culprit.numeric, rel=1e-6)
    assert "tanh cell is wrong for argument 4 (h0)" in str(report)
    wrong = {row.name for row in report.rows if not row.passed}
    # With two steps the recurrent weight's gradient is the last step's own, which is right.
    seen: dict[int, set[str]] = {1: set(), 2: {"x", "rnn.Wx", "rnn.b"}}
    assert wrong == seen.get(time, {"x", "rnn.Wx", "rnn.b", "rnn.Wh"})


WRONG: dict[str, tuple[Op, int]] = {
    "sign": (Op("wrong", "w", np.sin, lambda g, node: (-g * np.cos(node.arguments[0]),)), 0),
    "slope where there is none": (Op("wrong", "w", np.sign, lambda g, node: (g,)), 0),
    "missing": (Op("wrong", "w", np.sin, lambda g, node: (None,)), 0),
    "shape": (Op("wrong", "w", np.sin, lambda g, node: (np.ones((7, 7)),)), 0),
    "slightly": (Op("wrong", "w", np.sin, lambda g, node: (g * np.cos(node.arguments[0]) * (1 + 1e-4),)), 0),
    "transposed": (
        Op("wrong", "w", lambda a, b: a @ b, lambda g, node: (g @ node.arguments[1].T, g.T @ node.arguments[0])), 1
    ),
    "one element": (
        Op("wrong", "w", np.sin, lambda g, node: (g * np.cos(node.arguments[0]) * (np.arange(3) < 2),)), 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_op_of_the_users_own_is_named(name: str) -> None:
    op, argument = WRONG[name]
    tape = rg.Tape()
    generator = np.random.default_rng(0)
    inputs = [tape.input(generator.normal(size=(3, 3)), key) for key in "ab"]
    with tape.scope(layer="mine", t=4):
        y = tape.apply(op, *inputs[: 2 if argument else 1])
    report = check((y * inputs[1]).sum())
    assert not report.passed
    assert [(one.op, one.argument, one.node, one.timestep) for one in report.culprits] == [("wrong", argument, y.id, 4)]
    assert "node 2, timestep 4, mine" in str(report)


def test_a_right_op_of_the_users_own_passes() -> None:
    sine = Op("sine", "sin", np.sin, lambda g, node: (g * np.cos(node.arguments[0]),))
    tape = rg.Tape()
    x = tape.input(np.linspace(-3, 3, 12).reshape(3, 4))
    report = check(tape.apply(sine, x).sum())
    (row,) = report.rows
    assert report.passed
    assert row.analytic == pytest.approx(row.numeric, rel=1e-9)
    assert row.relative_error < 1e-9


def test_the_slope_is_the_derivative_along_a_direction_of_length_one() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([7.0]))
    (row,) = check((3 * x).sum()).rows
    assert abs(row.analytic) == pytest.approx(3.0)
    assert abs(row.numeric) == pytest.approx(3.0)


def test_an_array_that_was_changed_after_the_forward_pass_is_reported() -> None:
    loss = model(layer := rg.nn.RNN(4, 6), 3)
    layer.parameter("Wx").value[...] += 0.1
    with pytest.raises(InputError, match="changed in place after the forward pass"):
        check(loss)


def test_the_model_is_left_as_it_was_and_the_report_is_reproducible() -> None:
    layer = rg.nn.GRU(4, 6)
    before = layer.state_dict()
    loss = model(layer, 5)
    nodes = len(loss.tape)
    first, second, other = check(loss), check(loss), check(loss, seed=1)
    assert first == second
    assert first.rows[0].analytic != other.rows[0].analytic
    assert len(loss.tape) == nodes
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": 0}, "directions is 0"),
        ({"directions": 2.5}, "directions is 2.5"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"tolerance": np.nan}, "tolerance is nan"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(model(rg.nn.RNN(4, 6), 2), **options)


def test_a_loss_that_cannot_be_checked_is_refused() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([1.0, 800.0]))
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        check(x)
    with pytest.raises(InputError, match="the loss is inf"):
        check(x.exp().sum())
    with pytest.raises(InputError, match="the tape has no outputs"):
        check(tape)


@pytest.mark.parametrize(
    ("made", "low", "kinds"),
    [
        (lambda w: np.maximum(w, 0), -1.0, ["relu"]),
        (lambda w: np.maximum(w, 0), 0.1, []),  # which no number shows
        (np.abs, 0.1, []),
        (lambda w: w * 1.0, -1.0, []),
    ],
)
def test_what_changes_no_number_below_zero_is_no_relu(made: Any, low: float, kinds: list[str]) -> None:
    loss = rg.trace_function(lambda w: (made(w) * 2).sum(), np.linspace(low, 1, 6).reshape(2, 3))
    roles = Roles(Replay([loss]))
    assert [kind for kind, _ in roles.activations.values()] == kinds


def test_the_report_reads_as_a_table() -> None:
    report = check(model(rg.nn.RNN(4, 6), 2))
    assert isinstance(report, CheckReport)
    lines = str(report).splitlines()
    assert lines[0] == "gradients agree with central differences (float64, tolerance 1e-06)"
    assert len(lines) == 2 + len(report.rows)
    assert all(line.endswith("ok") for line in lines[2:])
