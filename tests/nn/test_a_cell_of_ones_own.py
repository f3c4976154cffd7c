"""A cell that the package does not have, in one file, through all of it: nothing else asks which cell it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from rnngraph.nn.cells import CELLS
from rnngraph.nn.recurrent import Recurrent
from tests.measure.step_matrices import matrices, matrix_by_sweep
from tests.nn.minimal_cell import Minimal

PACKAGE = Path(rg.__file__).parent
N, T, D, H = 3, 9, 4, 5
KEEP = np.arange(T) < np.array([9, 6, 4])[:, None]
FORMS: dict[str, dict[str, Any]] = {
    "plain": {}, "stack": {"num_layers": 2}, "both": {"num_layers": 2, "bidirectional": True}, "cut": {"truncate": 4},
}  # fmt: skip


def layer(**options: Any) -> Recurrent:
    return Recurrent(Minimal(), D, H, seed=3, **options)


@pytest.mark.parametrize(
    ("cell", "said"), [("lsmt", r"'lsmt' .* gru.*; did you mean lstm\?"), (None, "None is unknown")]
)
def test_a_cell_that_there_is_not(cell: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Recurrent(cell, D, H)


def network(layer: Recurrent, mask: Any = None, batch: int = N) -> rg.Tensor:
    rng = np.random.default_rng(0)
    tape = rg.Tape()
    hidden = layer(tape.input(rng.normal(size=(batch, T, D))), mask=mask)
    scores = rg.nn.Linear(hidden.shape[-1], 6)(hidden)
    return rg.nn.temporal_softmax_loss(scores, rng.integers(0, 6, (batch, T)), mask)


@pytest.mark.parametrize("mask", [None, KEEP], ids=["whole", "padded"])
@pytest.mark.parametrize("form", FORMS)
def test_steps_and_operations_agree(form: str, mask: Any) -> None:
    one, other = (network(layer(**FORMS[form], detail=detail), mask) for detail in ("step", "op"))
    assert float(one.value) == pytest.approx(float(other.value), rel=1e-13)
    expected = rg.gradients(other)
    for name, gradient in rg.gradients(one).items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-10, atol=1e-14)
    traces = [rg.record(loss, lags=LagOptions("all", "all")) for loss in (one, other)]
    for a, b in zip(*(trace.lags for trace in traces), strict=True):
        np.testing.assert_allclose(a.log, b.log, rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(a.arrivals, b.arrivals)
    for first, second in zip(*(trace.states for trace in traces), strict=True):
        np.testing.assert_allclose(first.grad.value, second.grad.value, rtol=1e-11)
        np.testing.assert_array_equal(first.grad.status, second.grad.status)


def test_one_sample_takes_the_way_without_a_batch_axis() -> None:
    one, other = (rg.gradients(network(layer(detail=detail), batch=1)) for detail in ("step", "op"))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-11, atol=1e-15)


def test_its_gradient_is_checked() -> None:
    report = rg.check(network(layer(num_layers=2)))
    assert report.passed, str(report)


def test_a_wrong_rule_of_it_is_found() -> None:
    class Wrong(Minimal):
        def back(self, factors: Any, p: int | slice, g: Any, da: Any, weight: Any, out: Any) -> None:
            super().back(factors, p, g, da, weight, out)
            out[0][...] *= 1.01

    report = rg.check(network(Recurrent(Wrong(), D, H)))
    assert not report.passed
    assert {one.op for one in report.culprits} == {"minimal cell"}


def test_its_steps_have_the_matrices_of_its_operations() -> None:
    tape, operations = (network(layer(num_layers=2, detail=detail)).tape for detail in ("step", "op"))
    ((_, steps),), ((group, _),) = matrices(tape), matrices(operations)
    for t in (0, 4, 8):
        np.testing.assert_allclose(steps[t][1], matrix_by_sweep(operations, group, t, 1), atol=1e-13)
    assert np.isfinite(rg.spectrum(network(layer()), 3).lyapunov).all()


def test_it_is_drawn_reported_and_saved(tmp_path: Path) -> None:
    trace = rg.record(network(layer(), KEEP), lags=True)
    assert trace.model == "minimal gated unit, 5 units"
    assert [gate.gate for gate in trace.gates] == ["f", "n"]
    assert np.isfinite(trace.gates[0].log_mean).all()
    assert trace.graph.ops.index("minimal.gates") >= 0
    for name in ("run.svg", "run.html", "run.json"):
        rg.render(trace, tmp_path / name, seen_from="total")
    assert "hidden h" in (tmp_path / "run.svg").read_text()
    trace.save(tmp_path / "run.npz")
    again = rg.Trace.load(tmp_path / "run.npz")
    assert again.cells == trace.cells
    assert rg.diagnose(again).verdict == rg.diagnose(trace).verdict


def test_its_keeping_gate_is_advised_and_started() -> None:
    long = Recurrent(Minimal(), D, H, init="chrono", horizon=50)
    assert (long.parameter("b").value[:H] > 0).any()
    tape = rg.Tape()
    hidden = Recurrent(Minimal(), D, 16, gain=0.1)(tape.input(np.random.default_rng(0).normal(size=(4, 60, D))))
    diagnosis = rg.diagnose(rg.record(hidden[:, 59].sum(), lags=True))
    (finding,) = [one for one in diagnosis.findings if one.rule == "vanishing"]
    assert "keeping gate" in finding.advice


def test_no_module_compares_the_name_of_a_cell() -> None:
    # A cell's name is written in its own file; a checkpoint's and a framework's words for its layers are theirs.
    words = "|".join(name for name, cell in CELLS.items() if not cell.form_of)
    compared = re.compile(
        rf"""[!=]=\s*["']({words})["']|["']({words})["']\s*[!=]=|\bin\s*[(\[{{][^)\]}}]*["']({words})["']"""
    )
    allowed = {"nn/cells", "sources/torch", "sources/decay", "sources/checkpoint/layers.py"}
    found = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in PACKAGE.rglob("*.py")
        if not any(str(path.relative_to(PACKAGE)).startswith(one) for one in allowed)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if compared.search(line)
    ]
    assert not found


def test_no_module_compares_the_name_of_an_op() -> None:
    compared = re.compile(
        r"\bop\.name\s*([!=]=|\bin\b|not in)|[!=]=\s*\w*\.?op\.name|\.op\(\w+\)\s*([!=]=|in)\s*[\"'({]"
    )
    found = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in PACKAGE.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if compared.search(line)
    ]
    assert not found
