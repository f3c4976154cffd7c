"""The gradient check where differences are hard: kinks, cuts, vanished and chaotic gradients, long tapes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff import ops
from rnngraph.autodiff.node import Op
from rnngraph.gradcheck.front import check
from tests.check.checked_models import broken, model


def test_kinks_at_the_point_itself_do_not_fail_a_right_rule() -> None:
    tape = rg.Tape()
    x = tape.input(np.array([0.0, 0.0, 1.0, -1.0]))
    w = tape.input(np.array([1.0, -2.0, 3.0, 0.5]), "w")
    assert check((x.relu() * w + (-x).relu()).sum()).passed
    layer = rg.nn.RNN(4, 6, nonlinearity="relu", init="identity")
    tape = rg.Tape()
    x = tape.input(np.zeros((2, 5, 4)))  # every pre-activation is exactly 0
    assert check((layer(x) * np.arange(6.0)).sum()).passed


def test_a_wrong_relu_is_found_beside_its_kink() -> None:
    wrong = dataclasses.replace(ops.RELU, vjp=lambda g, node: (g * (node.arguments[0] < 0),))
    tape = rg.Tape()
    report = check(tape.apply(wrong, tape.input(np.array([0.0, 0.0, 0.3]))).sum())
    assert [one.op for one in report.culprits] == ["relu"]


def test_a_cut_is_no_error() -> None:
    report = check(model(rg.nn.LSTM(4, 6, truncate=3), 10))
    assert report.passed, str(report)


def test_a_detached_tensor_depends_on_nothing() -> None:
    x = rg.Tape().input(np.array([1.0, 2.0]))
    assert check((x * x.detach()).sum()).passed


def test_a_vanished_gradient_is_too_small_to_tell_and_passes() -> None:
    tape = rg.Tape()
    x, w = tape.input(np.array([1.0, 2.0])), tape.input(np.array([1.0, 1.0]), "w")
    report = check((x * 1e-30).sum() + (w * w).sum())
    rows = {row.name: row for row in report.rows}
    assert report.passed
    assert not rows["x"].resolved
    assert rows["w"].resolved
    assert "too small to tell" in str(report)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_chaotic_network_passes_on_the_word_of_its_rules(dtype: Any, seed: int) -> None:
    layer = rg.nn.RNN(4, 40, init="orthogonal", gain=5.0, seed=seed, dtype=dtype)
    loss = model(layer, 60, dtype=dtype, seed=seed)
    assert np.abs(rg.gradients(loss)["rnn.Wh"]).max() > 1e6
    report = check(loss)
    assert report.passed, str(report)
    rows = {row.name: row for row in report.rows}
    assert not rows["rnn.Wx"].resolved
    assert rows["linear.W"].resolved
    assert ("float64 run" in report.note) == (dtype == np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_rule_is_found_in_a_chaotic_network(seed: int) -> None:
    report = check(model(broken(1.01, hidden=40, init="orthogonal", gain=5.0, seed=seed), 60, seed=seed))
    assert ("tanh cell", "h0") in [(one.op, one.argument_name) for one in report.culprits]


def test_a_leaf_that_the_loss_does_not_reach_has_a_row_of_zeros() -> None:
    tape = rg.Tape()
    _, y = tape.input(np.ones(2), "idle"), tape.input(np.ones(2), "y")
    report = check((y * y).sum())
    assert [row.name for row in report.rows] == ["idle", "y"]
    assert (report.rows[0].analytic, report.rows[0].numeric, report.passed) == (0.0, 0.0, True)


def test_the_work_grows_with_the_tape_and_not_with_its_leaves_too() -> None:
    short, long = 260, 520  # both beyond the limit of recursion with their four nodes a step
    counts = {steps: _forward_calls(steps) for steps in (short, long)}
    assert counts[long] < 2.2 * counts[short]
    rows, evaluations = 64, 4  # a difference of fourth order: two points on either side
    assert counts[short] < (rows + 2) * evaluations * short


def _forward_calls(steps: int) -> int:
    """Check a tape with a leaf at every step, and count how often one of its ops is computed."""
    calls: list[None] = []

    def forward(a: Any) -> Any:
        calls.append(None)
        return np.tanh(a)

    squash = Op("squash", "tanh(a)", forward, lambda g, node: (g * (1 - node.value**2),))
    generator = np.random.default_rng(0)
    tape = rg.Tape()
    w = tape.input(generator.normal(size=4) * 0.1, "w")
    h = tape.constant(np.zeros(4))
    states = []
    for _ in range(steps):
        h = tape.apply(squash, tape.input(generator.normal(size=4), "x") + h * w)
        states.append(h)
    loss = rg.stack(states).sum()
    assert len(tape) == 4 * steps + 4
    calls.clear()
    report = check(loss, directions=1)
    assert report.passed, str(report)
    assert len(report.rows) == 64
    assert report.rows[-1].name.endswith(f"({steps - 62} leaves)")
    return len(calls)
