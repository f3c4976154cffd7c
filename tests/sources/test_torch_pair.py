"""A pair of a PyTorch module and a batch on the command line: which layer, and which of its calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rnngraph.errors import InputError
from rnngraph.sources.resolve import ModelOptions, python_loss, python_trace

pytest.importorskip("torch")

TEXT = """
import torch

class Translator(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.d = torch.nn.GRU(3, 4), torch.nn.GRU(3, 4)

    def forward(self, x, y):
        return self.d(y, self.e(x)[1])[0]

class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.g = torch.nn.GRU(3, 4)

    def forward(self, x, y):
        return self.g(x)[0].sum() + self.g(y)[0].sum()

def batch():
    return torch.randn(5, 2, 3), torch.randn(4, 2, 3)

def translator():
    return Translator(), batch()

def twice():
    return Twice(), batch()

def tape():
    import rnngraph as rg
    x = rg.Tape().input([[1.0]])
    return (x * x).sum()
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "pairs_of_torch.py"
    path.write_text(TEXT)
    return str(path)


def test_a_layer_is_picked_by_its_name(source: str) -> None:
    with pytest.raises(InputError, match=r"differ in batch or steps: e \(2 x 5 steps\), d .* or --layer e"):
        python_trace(f"{source}:translator", ModelOptions())
    for layer, steps in (("e", 5), ("d", 4)):
        trace = python_trace(f"{source}:translator", ModelOptions(layer=layer), lags=True)
        assert (trace.states[0].name, trace.timesteps) == (f"{layer}.h", steps)
        assert trace.lags
    assert python_loss(f"{source}:translator", ModelOptions(layer="d")).tape.recurrences[0].name == "d"


def test_a_call_is_picked_by_its_number(source: str) -> None:
    with pytest.raises(InputError, match=r"called 2 times .*trace\(call=0\) to trace\(call=1\), or --call"):
        python_trace(f"{source}:twice", ModelOptions())
    assert [python_trace(f"{source}:twice", ModelOptions(call=call)).timesteps for call in (0, 1)] == [5, 4]
    assert len(python_loss(f"{source}:twice", ModelOptions(call=1)).tape.recurrences[0].states["h"]) == 4


@pytest.mark.parametrize("options", [{"layer": "e"}, {"call": 0}])
def test_without_a_pair_there_is_nothing_to_pick(source: str, options: dict[str, str]) -> None:
    for opened in (python_trace, python_loss):
        with pytest.raises(InputError, match=r"means nothing here, because .* returned no PyTorch pair"):
            opened(f"{source}:tape", ModelOptions(**options))  # type: ignore[arg-type]


def test_on_the_command_line(source: str) -> None:
    from rnngraph.cli.app import app

    result = CliRunner().invoke(app, ["diagnose", f"{source}:translator", "--layer", "e"])
    assert result.exit_code == 0
    assert "at lag 4" in result.output
