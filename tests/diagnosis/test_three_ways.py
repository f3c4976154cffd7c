"""One network written three ways, on a tape, in PyTorch and in NumPy: what is said must be the same, and true.

The state is `h = g Q h + x W` with orthogonal Q and W, and the loss stands at the last step: of it `g ** k` is left k
steps back, in the states and at the input. Masks, resets and imputed data change that as each test says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.diagnosis.headline import headline
from rnngraph.nn import Parameter
from tests.linear_cells import orthogonal

torch = pytest.importorskip("torch")
N, T, H, GAIN = 2, 20, 4, 0.7
Step = Callable[[Any, Any, Any, Any], Any]
ROW = np.random.default_rng(0).normal(size=(N, T, H))
WAYS = pytest.mark.parametrize("way", ["tape", "torch", "numpy"])


def plain(x: Any, h: Any, beside: Any, p: Any) -> Any:
    return x @ p["W"] + h @ p["Q"]


def reset(x: Any, h: Any, done: Any, p: Any) -> Any:
    return x @ p["W"] + (h * (1 - done)) @ p["Q"]


def masked(x: Any, h: Any, mask: Any, p: Any) -> Any:
    return mask * (x @ p["W"] + h @ p["Q"]) + (1 - mask) * h


def imputed(x: Any, h: Any, mask: Any, p: Any) -> Any:
    """What is missing decays from a mean, as in GRU-D."""
    return (mask * x + (1 - mask) * p["decay"] * 0.1) @ p["W"] + h @ p["Q"]


def weights(gain: float) -> dict[str, Any]:
    return {"W": orthogonal(H), "Q": gain * orthogonal(H), "decay": np.full(H, 0.5)}


class Cell(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, step: Step, gain: float) -> None:
        super().__init__()
        self.step = step
        self.p = torch.nn.ParameterDict({k: torch.nn.Parameter(torch.tensor(v)) for k, v in weights(gain).items()})

    def forward(self, x: Any, h: Any, beside: Any) -> Any:
        return self.step(x, h, beside, self.p)


def traced(way: str, step: Step, *, beside: Any = None, gain: float = GAIN, time: int = T) -> Any:
    """Trace the network; `beside` is data of a number a step and sample."""
    x, other = ROW[:, :time], np.zeros((N, time, 1)) if beside is None else np.array(beside, float)[..., None]
    if way == "torch":
        cell = Cell(step, gain)
        with rg.torch.watch(cell) as watch:
            h = torch.zeros(N, H, dtype=torch.float64)
            for t in range(time):
                h = cell(torch.tensor(x[:, t]), h, torch.tensor(other[:, t]))
            h.sum().backward()
        return watch.trace()
    if way == "numpy":

        def loss(x: Any, other: Any, p: Any) -> Any:
            h = np.zeros((N, H))
            for t in range(time):
                h = step(x[:, t], h, other[:, t], p)
            return h.sum()

        return rg.record(rg.trace_function(loss, x, other, weights(gain)), lags=True)
    tape = rg.Tape()
    fed, data = tape.input(x, "x"), tape.input(other, "beside")
    p = {k: tape.parameter(Parameter(f"cell.{k}", v)) for k, v in weights(gain).items()}
    h = start = tape.input(np.zeros((N, H)), "h0")
    states = []
    for t in range(time):
        with tape.scope(layer="cell", t=t):
            h = step(fed[:, t], h, data[:, t], p)
        states.append(h)
    tape.state("cell.h", states, initial=start)
    return rg.record(h.sum(), lags=True)


@WAYS
def test_a_recurrence_alone_is_not_bypassed(way: str) -> None:
    """Over 14 steps it keeps 0.5 ** 14, which is under 1e-4, and from the input one step back on 0.5 ** 13, over it."""
    diagnosis = rg.diagnose(traced(way, plain, gain=0.5, time=15))
    assert diagnosis.by_layer[0].decades == pytest.approx(14 * math.log10(0.5))
    assert diagnosis.decades == pytest.approx(13 * math.log10(0.5))
    assert [one.rule for one in diagnosis.findings] == ["attenuating"]
    title, why, attempt = headline(diagnosis)
    assert title == "The gradient fades within 7 steps: further back, under 1 % of it is left."  # 0.5 ** 6 is 1.6 %
    assert why == "Each step back keeps half of it (×0.50)."
    assert attempt.startswith("Where a gate or a decay keeps the state, bring it nearer to 1; else start the recurrent")


@WAYS
@pytest.mark.parametrize("at", [(8, 8), (8, 11)])
def test_where_samples_start_anew_only_what_follows_is_judged(way: str, at: tuple[int, int]) -> None:
    """Nothing goes back over a reset: the gradient does not vanish there, and is not cut for all."""
    done = np.arange(T) == np.array(at)[:, None]
    trace = traced(way, reset, beside=done)
    np.testing.assert_array_equal(trace.lags[0].severed, done)
    assert [f"{trace.recurrences[0].name} starts anew at 2 steps in 2 samples" in one for one in trace.notes].count(
        True
    )
    diagnosis = rg.diagnose(trace)
    assert diagnosis.flags == ("healthy",)
    assert diagnosis.horizon == 11  # the longer of both goes back from step 19 to step 8
    assert diagnosis.decades == pytest.approx(10 * math.log10(GAIN))


@WAYS
def test_a_mask_is_no_input(way: str) -> None:
    """The second sample keeps its state from step 12 on: those are no steps of it, and none of its lags is over 11."""
    mask = np.arange(T) < np.array([T, 12])[:, None]
    trace = traced(way, masked, beside=mask)
    (fed,) = trace.input_lags
    assert fed.weight == pytest.approx(2.0)  # of an orthogonal weight of four rows
    back = np.arange(T)[::-1]
    np.testing.assert_allclose(np.exp(fed.log[0, 0]) / 2, GAIN**back, rtol=1e-9)  # the loss gives each unit 1
    np.testing.assert_allclose(np.exp(fed.log[1, 0, :12]) / 2, GAIN ** (back[:12] - 8), rtol=1e-9)
    np.testing.assert_array_equal(trace.lags[0].copied, ~mask)
    assert rg.diagnose(trace).decades == pytest.approx(18 * math.log10(GAIN))  # of the first sample, beside lag 1


@pytest.mark.parametrize("way", ["torch", "numpy"])
def test_data_is_an_input_where_a_step_imputes_it(way: str) -> None:
    mask = np.random.default_rng(1).random((N, T)) < 0.6
    diagnosis = rg.diagnose(traced(way, imputed, beside=mask))
    assert diagnosis.at_input
    assert diagnosis.decades == pytest.approx(18 * math.log10(GAIN))


@WAYS
def test_an_input_that_is_not_written_is_told_by_its_weight(way: str) -> None:
    """A thousandth of a millionth of the input reaches a state that keeps it."""

    def shut(x: Any, h: Any, beside: Any, p: Any) -> Any:
        return 1e-9 * (x @ p["W"]) + h @ p["Q"]

    diagnosis = rg.diagnose(traced(way, shut, gain=1.0))
    assert diagnosis.verdict == "unwritten"
    assert diagnosis.findings[0].evidence["written_decades"] == pytest.approx(-9 - math.log10(2))
    assert "Look at the input weights" in diagnosis.findings[0].advice


def test_a_pace_that_explains_nothing_is_not_given() -> None:
    """Two samples keep all and give little of the gradient; the third gives most of it, and loses that at one step."""
    tape = rg.Tape()
    h = start = tape.input(np.ones((3, 2)), "h0")
    states = []
    for t in range(10):
        with tape.scope(t=t):
            h = h * np.array([[1.0], [1.0], [1.0 if t != 8 else 1e-3]])
        states.append(h)
    tape.state("cell.h", states, initial=start)
    diagnosis = rg.diagnose(rg.record((h * np.array([[0.01], [0.01], [1.0]])).sum(), lags=True))
    assert diagnosis.rate == pytest.approx(0, abs=1e-6)
    assert diagnosis.decades == pytest.approx(math.log10(0.021 / 1.02))
    assert headline(diagnosis)[1].startswith("It is not kept evenly: what gives most of the gradient keeps less of it")
