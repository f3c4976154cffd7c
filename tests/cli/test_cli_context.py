"""`rnngraph context` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rnngraph.errors import InputError
from rnngraph.trace.used_past import ContextTrace
from tests.typed import strict, typed

MODEL = """
import numpy as np
import rnngraph as rg
from rnngraph import nn

def delayed(lag=3):
    layer = nn.RNN(1, 8, nonlinearity="relu")
    for name, value in (("Wh", np.eye(8, k=1)), ("Wx", np.eye(1, 8)), ("b", 0.0)):
        layer.parameter(name).value[...] = value
    x = np.abs(np.random.default_rng(0).normal(size=(5, 30, 1)))
    hidden = layer(rg.Tape().input(x))
    apart = hidden @ np.eye(8)[:, lag : lag + 1] - np.concatenate([np.zeros((5, lag, 1)), x[:, : 30 - lag]], axis=1)
    return ((apart + 0.1) ** 2).mean()
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return f"{path}:delayed"


def test_the_report(model: str) -> None:
    text = typed("context", model)
    assert text.startswith("The network uses the last 3 steps before it")
    assert next(line for line in text.splitlines() if "in use" in line).split()[0] == "3"
    assert max(map(len, text.splitlines())) <= 80
    assert "uses the step before it" in typed("context", model, "--set", "lag=1")
    assert "none of its past" in typed("context", model, "--set", "lag=0")


def test_bars_have_room_on_a_narrow_page(model: str) -> None:
    lines = typed("context", model, width=44).splitlines()
    assert max(map(len, lines)) <= 44
    assert any("█" in line for line in lines)
    assert not [line for line in lines if line.startswith("█")]  # broken off its numbers


def test_the_document(model: str) -> None:
    document = strict(typed("context", model, "--json"))
    assert document["in_use"] == 3
    assert len(document["lags"]) == len(document["kept"]) == len(document["excess"]) == len(document["counts"])
    assert json.loads(typed("context", model, "--json", "--most", "5"))["lags"][-1] == 5


def test_the_picture(model: str, tmp_path: Path) -> None:
    for name, start in (("c.svg", b"<?xml"), ("c.png", b"\x89PNG"), ("c.pdf", b"%PDF"), ("c.html", b"<!doctype html")):
        typed("context", model, "-o", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(start)
    drawn = (tmp_path / "c.svg").read_text()
    assert "in use" in drawn
    assert "The network uses the last 3 steps before it" in drawn
    assert "prefers-color-scheme:dark" in drawn


def test_the_verdict_at_the_context(model: str) -> None:
    document = json.loads(typed("diagnose", model, "--horizon", "context", "--json"))
    assert (document["asked"], document["horizon"], document["reach"]) == (3, 3, 3)
    with pytest.raises(InputError, match="none of its past"):
        typed("diagnose", model, "--horizon", "context", "--set", "lag=0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--json", "-o", "context.svg"), "leave one of them out"),
        (("-o", "context.bmp"), "use one of .svg, .png, .pdf"),
        (("--most", "0"), "most"),
    ],
)
def test_bad_options(model: str, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        typed("context", model, *arguments)


PAIR = """
import torch

class Delay(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.RNN(1, 6, nonlinearity="relu", bias=False)
        self.rnn.weight_hh_l0.data[:] = torch.eye(6).roll(1, 0)
        self.rnn.weight_hh_l0.data[0] = 0
        self.rnn.weight_ih_l0.data[:] = torch.eye(6)[:, :1]

    def forward(self, x):
        return (self.rnn(x)[0][3:, :, 3] - x[:-3, :, 0] + 0.1).square().mean()

def pair():
    torch.manual_seed(0)
    return Delay(), torch.rand(20, 4, 1)
"""


def test_a_pytorch_pair(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "a_pair_with_a_delay.py"
    path.write_text(PAIR)
    assert json.loads(typed("context", f"{path}:pair", "--json"))["in_use"] == 3
    document = json.loads(typed("diagnose", f"{path}:pair", "--horizon", "context", "--json"))
    assert document["asked"] == 3
    with pytest.raises(InputError, match=r"has no module .nothing."):
        typed("context", f"{path}:pair", "--layer", "nothing")


def test_a_saved_run_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds numbers and no model"):
        typed("context", str(tmp_path / "run.npz"))


def test_the_demo_is_measured_where_no_source_is_given() -> None:
    text = typed("context", "--timesteps", "9", "--hidden-size", "4", "--batch", "2")
    assert [line.split()[0] for line in text.splitlines() if line[:6].strip().isdigit()][:4] == ["0", "1", "2", "4"]


def test_a_network_that_uses_all_of_its_past_says_so() -> None:
    trace = ContextTrace(
        "a model", 9, np.array([0, 1, 2]), np.array([3.0, 2.0, 1.5]), np.full(3, 1.0), np.ones(3, int), None, 0.1
    )
    assert repr(trace) == "The network uses all of its past: 2 steps of it are still worse than all."


def test_a_network_that_uses_little_is_not_said_to_do_as_well_without() -> None:
    said = typed("context", "--timesteps", "30")  # untrained: what a reset costs is 0.8 % of the loss at most
    assert said.startswith("The network uses none of its past: without any, the loss is worse by 1 % at most.")
