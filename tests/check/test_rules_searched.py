"""Wrong rules that a few samples do not show: NaN from a vjp, and an op that is wrong at one timestep only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.autodiff import ops
from rnngraph.autodiff.node import Op
from rnngraph.errors import GradientError
from rnngraph.gradcheck import rules
from rnngraph.gradcheck.front import check
from tests.check.checked_models import broken


def sine(vjp: Any) -> Op:
    return Op("sine", "sin", np.sin, vjp)


def chain(op: Op, time: int) -> rg.Tensor:
    tape = rg.Tape()
    x, h = tape.input(np.linspace(0.3, 1.1, 4), "x"), tape.input(np.zeros(4), "h0")
    for t in range(time):
        with tape.scope(t=t):
            h = tape.apply(op, x + h)
    return (h * h).sum()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vjp_that_is_not_finite_fails_and_is_named(bad: float) -> None:
    report = check(chain(sine(lambda g, node: (g * bad,)), 2))
    assert not report.passed
    assert [row.passed for row in report.rows] == [False, False]
    assert [one.op for one in report.culprits] == ["sine"]


@pytest.mark.parametrize("wrong", range(5))
def test_an_op_that_is_wrong_at_one_timestep_is_named_there(wrong: int) -> None:
    def vjp(g: Any, node: Any) -> Any:
        return (g * np.cos(node.arguments[0]) * (2.0 if node.timestep == wrong else 1.0),)

    report = check(chain(sine(vjp), 5))
    assert not report.passed
    assert [(one.op, one.timestep) for one in report.culprits] == [("sine", wrong)]
    assert "added up" not in str(report)
    assert check(chain(sine(lambda g, node: (g * np.cos(node.arguments[0]),)), 5)).passed


def test_a_gradient_of_the_wrong_shape_at_a_step_that_no_sample_shows_is_an_error() -> None:
    def vjp(g: Any, node: Any) -> Any:
        return (np.ones(3) if node.timestep == 1 else g * np.cos(node.arguments[0]),)

    with pytest.raises(GradientError, match=r"the vjp of sine \(node \d+, t 1\) returned shape \(3,\)"):
        check(chain(sine(vjp), 5))


@pytest.mark.parametrize(("factor", "wrong"), [(1.0, []), (2.0, [("pick", 0)])])
def test_an_op_with_whole_numbers_beside_its_argument_is_checked_at_them(factor: float, wrong: list[Any]) -> None:
    def vjp(g: Any, node: Any) -> Any:
        x, places = node.arguments
        return factor * g[..., None] * (places == np.arange(len(x))), None

    tape = rg.Tape()
    x = tape.input(np.array([0.5, -1.0, 2.0]), "x")
    report = check(tape.apply(Op("pick", "x[i]", lambda x, i: x[i], vjp), x, tape.constant(np.array(2))))
    assert [(one.op, one.argument) for one in report.culprits] == wrong


def test_a_cell_that_is_wrong_at_one_timestep_is_named() -> None:
    layer = broken(2.0, place=3)
    report = check((layer(rg.Tape().input(np.random.default_rng(0).normal(size=(2, 10, 4)))) ** 2).sum())
    assert {one.op for one in report.culprits} == {"tanh cell"}


def test_where_no_rule_is_found_it_says_how_far_was_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that knows its node by its number is right wherever it is tried alone."""
    marked: list[int] = []

    def vjp(g: Any, node: Any) -> Any:
        return (g * np.cos(node.arguments[0]) * (2.0 if node.id in marked else 1.0),)

    loss = chain(sine(vjp), 5)
    places = [node.id for node in loss.tape.nodes if node.op.name == "sine"]
    marked.append(places[3])
    report = check(loss)
    assert (report.passed, report.culprits) == (False, ())
    count = sum(node.op.vjp is not None for node in loss.tape.nodes)
    assert f"({count} of {count} nodes, at 5 timesteps, were checked one by one)" in report.note
    assert "so the fault is" not in report.note
    assert "other nodes" not in report.note
    monkeypatch.setattr(rules, "MANY", 2)  # of five sums and five sines; the square and the total are one each
    note = check(loss).note
    assert f"(6 of {count} nodes, at " in note
    assert note.endswith("and at the other nodes.")


def test_a_loss_that_is_not_finite_beside_the_point_does_not_pass() -> None:
    pole = Op("pole", "pole", lambda x: np.where(x == 2.0, 1.0, np.nan), lambda g, node: (0 * g,))
    tape = rg.Tape()
    x = tape.input(np.full(3, 2.0), "x")
    report = check(tape.apply(pole, x).sum())
    assert (report.passed, report.differs) == (False, False)
    assert "cannot tell" in str(report)
    assert "x: differences cannot tell, because the forward gives NaN or infinity there" in report.note


def test_a_search_is_not_needed_where_all_is_right() -> None:
    assert rules.wrong_rules(chain(ops.TANH, 3).tape.nodes, 0, search=True)[0] == ()
