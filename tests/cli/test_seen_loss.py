"""`--from LOSS`: the loss is measured where a run is recorded; of a saved run it is said what would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from tests.reliability.commands import run_here
from tests.typed import typed

FEW = ("--hidden-size", "5", "--batch", "2", "--timesteps", "80")
MODEL = """
import numpy as np
import rnngraph as rg

def build():
    hidden = rg.nn.RNN(3, 4)(rg.Tape().input(np.random.default_rng(0).normal(size=(2, 80, 3))))
    return rg.nn.temporal_softmax_loss(hidden, np.zeros((2, 80), int))
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "model.py:build"


def loss() -> rg.Tensor:
    scope: dict[str, Any] = {}
    exec(MODEL, scope)
    return scope["build"]()  # type: ignore[no-any-return]


def unmeasured() -> int:
    """A loss that is not among the 32 that are spread over the sequence."""
    return int(np.setdiff1d(np.arange(10, 70), rg.record(loss(), lags=True).lags[0].losses)[0])


def test_the_loss_that_is_looked_from_is_measured(target: str, tmp_path: Path) -> None:
    t = unmeasured()
    document = json.loads(typed("norms", target, "--json", "--from", str(t)))
    assert document["seen_from"]["t"] == t
    typed("render", target, "-o", "seen.json", "--from", str(t))
    assert json.loads((tmp_path / "seen.json").read_text())["seen_from"]["timestep"] == t
    typed("lags", target, "-o", "lags.svg", "--from", str(t))
    assert f"the loss at t={t}" in (tmp_path / "lags.svg").read_text()
    assert json.loads(typed("norms", *FEW, "--json", "--from", str(t)))["seen_from"]["t"] == t  # the demo
    rg.render(loss(), tmp_path / "again.json", seen_from=t)
    assert json.loads((tmp_path / "again.json").read_text())["seen_from"]["timestep"] == t


def test_of_a_saved_run_it_is_said_what_would_measure_it(target: str, tmp_path: Path) -> None:
    typed("trace", target, "-o", "run.npz")
    with pytest.raises(InputError, match=r"of 80 losses 32 were measured, and rnngraph trace --losses all"):
        typed("norms", "run.npz", "--from", str(unmeasured()))
    typed("trace", target, "--losses", "all", "-o", "whole.npz")
    assert f"t={unmeasured()}" in typed("norms", "whole.npz", "--from", str(unmeasured()))


@pytest.mark.parametrize("losses", [1, 2, 32])
def test_it_is_measured_beside_the_others(losses: int) -> None:
    t = unmeasured()
    plain = rg.record(loss(), lags=LagOptions(losses)).lags[0]
    more = rg.record(loss(), lags=LagOptions(losses, including=[t])).lags[0]
    assert more.losses.tolist() == sorted({*plain.losses.tolist(), t})
    np.testing.assert_allclose(more.log[:, more.losses != t], plain.log, rtol=1e-12)
    assert rg.record(loss(), lags=LagOptions(losses, including=[79, 300])).lags[0].losses.tolist() == sorted(
        {*plain.losses.tolist(), 79}
    )


@pytest.mark.parametrize("odd", ["30", [1.5], [-1], [True]])
def test_what_is_included_is_a_list_of_timesteps(odd: Any) -> None:
    with pytest.raises(InputError, match="including is"):
        LagOptions(including=odd)


def test_a_loss_that_there_cannot_be(target: str) -> None:
    with pytest.raises(InputError, match="no loss at t=80 was measured"):
        typed("norms", target, "--from", "80")


@pytest.mark.parametrize(("factor", "noted"), [(1.0, False), (0.0, True), (np.nan, True)])
def test_a_picture_of_all_losses_that_nobody_asked_for_says_so(factor: float, noted: bool, tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        rg.record(loss() * factor, lags=True).save(tmp_path / "run.npz")
    said = run_here("render", str(tmp_path / "run.npz"), "-o", str(tmp_path / "a.svg"))
    assert ("note: seen over all losses" in said.stderr) == noted
