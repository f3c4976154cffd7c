"""Python targets that return a PyTorch module and a batch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rnngraph import diagnose
from rnngraph.errors import InputError, MissingToolError
from rnngraph.sources.target.run import opened

PAIR = """
import torch
def scalar():
    torch.manual_seed(0)
    module = torch.nn.GRU(3, 4)
    return Wrapped(module), {"x": torch.randn(5, 2, 3)}
class Wrapped(torch.nn.Module):
    def __init__(self, core):
        super().__init__()
        self.core = core
    def forward(self, x):
        return {"loss": self.core(x)[0].square().sum()}
def output():
    return torch.nn.LSTM(3, 4), torch.randn(5, 2, 3)
def spread():
    return torch.nn.LSTM(3, 4), (torch.randn(5, 2, 3), (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)))
def triple():
    return torch.nn.LSTM(3, 4), torch.randn(5, 2, 3), torch.zeros(5, 2, 4)
def tensor():
    return torch.ones(3)
def asks_twice():
    return torch.nn.Linear(3, 4), (torch.ones(2, 3), torch.ones(2, 4))
def asks_by_name():
    return Wrapped(None), {"y": 1}
def constant():
    return torch.nn.GRU(3, 4).requires_grad_(False), torch.ones(5, 2, 3)
"""


def test_torch_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_torch_model.py").write_text(PAIR)
    path = f"{tmp_path}/a_torch_model.py"
    trace = opened(f"{path}:scalar").run()[0]
    torch.manual_seed(0)
    expected = torch.nn.GRU(3, 4)(torch.randn(5, 2, 3))[0].square().sum().item()
    np.testing.assert_allclose(trace.loss, expected, rtol=1e-5)
    assert (trace.states[0].name, trace.source) == ("core.h", f"{path}:scalar")
    for name in ("output", "spread"):
        assert "half the sum of squares of its output" in opened(f"{path}:{name}", loss="every").run()[0].notes[-1]
    with pytest.raises(InputError, match="--loss is last; a PyTorch module takes sum, mean, every"):
        opened(f"{path}:output", loss="last").run()
    with pytest.raises(InputError, match=r"whose loss cannot be computed again here; torch\.autograd\.gradcheck"):
        opened(f"{path}:scalar").loss()
    assert [one.name for one in opened(f"{path}:scalar", layer="core").run()[0].recurrences] == ["core"]
    with pytest.raises(InputError, match="returned a PyTorch Tensor, whose recurrence cannot be seen from outside"):
        opened(f"{path}:tensor").run()
    with pytest.raises(InputError, match=r"a batch \(x, targets\) is handed on as module\(x, targets\)"):
        opened(f"{path}:triple").run()
    with pytest.raises(InputError, match="calls Linear with 2 arguments, which its forward does not take: too many"):
        opened(f"{path}:asks_twice").run()
    with pytest.raises(InputError, match="calls Wrapped with the names y, which its forward does not take: missing"):
        opened(f"{path}:asks_by_name").run()
    with pytest.raises(InputError, match="in which nothing can be differentiated"):
        opened(f"{path}:constant").run()


WATCHED = """
import rnngraph, torch
def step(scale=1.0):
    torch.manual_seed(0)
    cell, x = torch.nn.RNN(3, 4, batch_first=True).double(), torch.randn(2, 9, 3).double()
    with torch.no_grad():
        cell.weight_hh_l0.copy_(scale * 0.1 * torch.eye(4))
        cell.weight_ih_l0.mul_(1e-6)
        cell.bias_ih_l0.zero_(), cell.bias_hh_l0.zero_()
    with rnngraph.torch.watch(cell) as watch:
        cell(x)[0][:, -1].sum().backward()
    return watch
"""


def test_the_watch_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_watched_step.py").write_text(WATCHED)
    trace, trial = opened(f"{tmp_path}/a_watched_step.py:step", {"scale": 2.0}).run(lags=True)
    curve = trace.lags[0].log[0, 0, 1:]  # of states that are next to nothing, where tanh has the slope 1
    np.testing.assert_allclose(curve, np.log(0.2) * np.arange(8, -1, -1) + curve[-1], rtol=1e-6)
    assert trial is not None
    assert diagnose(trace, trial=trial).tried  # on a copy of the model


def test_a_model_that_needs_torch_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "torch", None)  # import finds nothing
    (tmp_path / "a_model_without_torch.py").write_text(PAIR)
    with pytest.raises(MissingToolError, match=r"needs PyTorch.*pip install 'rnngraph\[torch\]'"):
        opened(f"{tmp_path}/a_model_without_torch.py:scalar").run()


def test_remedies_are_tried_on_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_sick_model.py").write_text(
        "import torch\nMADE = []\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    MADE.append(torch.nn.LSTM(3, 16))\n"
        "    return MADE[0], torch.randn(60, 2, 3)\n"
    )
    trace, trial = opened(f"{tmp_path}/a_sick_model.py:build").run(lags=True)
    module = sys.modules["a_sick_model"].MADE[0]
    before = [one.clone() for one in module.parameters()]
    diagnosis = diagnose(trace, horizon=50, trial=trial)
    assert diagnosis.at_input
    assert diagnosis.able
    finding = next(one for one in diagnosis.findings if one.rule == "vanishing")
    assert "tried on this batch" in finding.advice
    assert float(finding.evidence["after_decades"] or -9) > -2
    assert all(torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))
    assert all(one.grad is None for one in module.parameters())
