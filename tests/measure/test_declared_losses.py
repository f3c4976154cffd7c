"""A user says whether a loss is one that reads many steps, or one of every step: an error that is taken as a norm.

The gradient of the root of a mean square is that of the mean square times a number a sample: it reaches as far back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from tests.typed import strict, typed

X = np.random.default_rng(0).normal(size=(3, 16, 2))
APART, ONE = rg.LagOptions(losses="all", joint=False), rg.LagOptions(losses="all", joint=True)


def error(weights: Any = None) -> Any:
    """Take the norm of a sequence's error, or its square with the weight that makes their gradients equal."""
    squares = (nn.Linear(5, 1, seed=2)(nn.RNN(2, 5, seed=1)(rg.Tape().input(X))) ** 2).mean(axis=(1, 2))
    return (squares**0.5).sum() if weights is None else (squares * weights).sum()


def test_a_loss_is_read_as_it_is_said() -> None:
    loss = error()
    roots = 0.5 / loss.tape.entry(loss.node.inputs[0]).value  # of the root of squares: d sqrt(s) = ds / 2 sqrt(s)
    said, known = rg.record(loss, lags=APART), rg.record(error(roots), lags=rg.LagOptions(losses="all"))
    assert rg.record(loss, lags=True).lags[0].joint
    assert not said.lags[0].joint
    np.testing.assert_allclose(said.lags[0].log, known.lags[0].log, atol=1e-12)
    one = rg.record(loss, lags=ONE).lags[0]
    assert one.joint
    assert one.losses.tolist() == [15]
    assert rg.record(error(roots), lags=ONE).lags[0].joint


class Told:
    """Tries nothing, and notes how the loss is to be read."""

    able = True

    def __init__(self) -> None:
        self.joint: list[bool | None] = []

    def lags(self, changes: Any, *, joint: bool | None = None) -> Any:
        self.joint.append(joint)

    def truncation(self, length: int) -> float | None:
        return None


def test_remedies_are_tried_on_what_was_said() -> None:
    trace, told = rg.record(error(), lags=APART), Told()
    rg.diagnose(trace, trial=told, vanishing=-1e-3, attenuating=0.0)
    assert set(told.joint) == {False}


def test_a_try_reads_the_loss_as_it_is_told() -> None:
    for joint in (False, True):
        found = rg.trial(error()).lags([], joint=joint)
        assert found is not None
        assert found[0][0].joint is joint


def test_pytorch_reads_a_loss_as_it_is_said_each_time() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rnn = torch.nn.GRU(2, 5, batch_first=True)
    with rg.torch.watch(rnn) as watch:
        rnn(torch.tensor(X, dtype=torch.float32))[0].square().mean((1, 2)).sqrt().sum().backward()
    asked, apart, one = (watch.trace(lags=rg.LagOptions(joint=joint)).lags[0] for joint in (None, False, True))
    assert (asked.joint, apart.joint, one.joint) == (True, False, True)
    watch.trace(lags=APART)
    assert len(apart.losses) == 16
    assert watch.trace().lags[0].joint is asked.joint


def test_jax_reads_a_loss_as_it_is_said() -> None:
    jax = pytest.importorskip("jax")

    def loss(w: Any, x: Any) -> Any:
        def step(h: Any, now: Any) -> Any:
            h = jax.numpy.tanh(now @ w["x"] + h @ w["h"])
            return h, h

        states = jax.lax.scan(step, jax.numpy.zeros((3, 5)), x.swapaxes(0, 1))[1]
        return jax.numpy.sqrt((states**2).mean((0, 2))).sum()

    weights = {"x": np.eye(2, 5), "h": 0.5 * np.eye(5)}
    for joint in (False, True):
        trace = rg.jax.watch(loss, weights, X, lags=rg.LagOptions(joint=joint))
        assert trace.lags[0].joint is joint


def test_the_command_line_says_it_and_holds_it_back_from_saved_runs(tmp_path: Path) -> None:
    apart, one = (strict(typed("lags", "--timesteps", "30", said, "--json")) for said in ("--apart", "--joint"))
    assert [len(found["states"][0]["matrix"]["losses"]) for found in (apart, one)] == [30, 1]
    rg.record(error(), lags=True).save(tmp_path / "run.npz")
    with pytest.raises(rg.InputError, match=r"--joint chooses what is recorded, but .* is a saved run"):
        typed("lags", str(tmp_path / "run.npz"), "--apart")


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(rg.InputError, match="joint is 1; pass True, False, or None to ask the loss"):
        rg.LagOptions(joint=1)  # type: ignore[arg-type]
