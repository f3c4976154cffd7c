"""What is tried, in which order, and what of it is said: with whoever runs it again made up, and with real networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.remedies.search import forget_bias
from rnngraph.diagnosis.remedies.tried import Tried
from rnngraph.trace.change import BIAS, CHRONO, INPUTS, ORTHOGONAL, SCALE, TRUNCATE, Change
from rnngraph.trace.model import Trace
from tests.diagnosis.path_networks import D, H, classes, fed, gate, head, keeping, last
from tests.diagnosis.verdict_networks import recorded

LAG = 89


class MadeUp:
    """Leaves what a function of the changes says: decades at the lag, and decades of growth at half of it."""

    def __init__(self, trace: Trace, left: Callable[[Sequence[Change]], tuple[float, float]]) -> None:
        self.trace, self.left, self.asked = trace, left, list[Sequence[Change]]()
        self.able, self.cuts = True, list[int]()

    def lags(self, changes: Sequence[Change], *, joint: bool | None = None) -> Any:
        self.asked.append(changes)
        decades, peak = self.left(changes)
        lag = LAG - np.arange(-1, LAG + 1)
        line = np.where(lag == LAG // 2, peak, decades * (lag - 1) / (LAG - 1))
        log = np.where(lag > 0, math.log(10) * line, 0.0)
        lags = tuple(replace(one, log=np.broadcast_to(log, one.log.shape).copy()) for one in self.trace.lags)
        inputs = tuple(
            replace(one, log=np.broadcast_to(log[1:], one.log.shape).copy()) for one in self.trace.input_lags
        )
        return lags, inputs

    def truncation(self, length: int) -> float | None:
        self.cuts.append(length)
        return 0.25


def plain() -> Trace:
    return recorded(nn.RNN(6, 24), loss="last")


def kinds(asked: Sequence[Sequence[Change]]) -> list[str]:
    return [changes[-1].kind for changes in asked]


def finding(diagnosis: Any) -> Any:
    return next(one for one in diagnosis.findings if one.rule == diagnosis.verdict)


def test_what_was_left_is_read_at_the_lag_that_is_judged() -> None:
    tries = MadeUp(plain(), lambda changes: (-1.0, 0.5))
    diagnosis = rg.diagnose(plain(), horizon=LAG, trial=tries)
    assert diagnosis.tried[0].decades == pytest.approx(-1.0)
    assert diagnosis.tried[0].peak == pytest.approx(0.5)
    assert finding(diagnosis).evidence["after_decades"] == pytest.approx(-1.0)
    assert finding(diagnosis).evidence["before_decades"] == diagnosis.decades


@pytest.mark.parametrize(
    ("decades", "peak", "helps"),
    [
        (-1.99, 0.0, True), (-2.0, 0.0, False), (-1.0, 1.99, True), (-1.0, 2.0, False), (math.nan, 0.0, False),
        (math.nan, math.inf, False),
    ],
)  # fmt: skip
def test_enough_must_be_left_and_nothing_may_explode(decades: float, peak: float, helps: bool) -> None:
    from rnngraph.diagnosis.remedies.tried import Tried

    tried = Tried("words", (), decades, peak)
    assert tried.helps == helps
    assert ("explodes" in tried.left) == (peak >= 2)
    assert not replace(tried, written=False).helps


def test_an_orthogonal_start_comes_first_and_then_a_search_of_a_scale() -> None:
    def left(changes: Sequence[Change]) -> tuple[float, float]:
        if changes[0].kind == ORTHOGONAL:
            return -5.0, 0.0
        return (30 * math.log10(changes[0].number / 3), 0.0) if changes[0].number < 3.2 else (1.0, 5.0)

    tries = MadeUp(plain(), left)
    diagnosis = rg.diagnose(plain(), horizon=LAG, trial=tries)
    assert kinds(tries.asked)[0] == ORTHOGONAL
    assert set(kinds(tries.asked)[1:]) == {SCALE}
    best = diagnosis.tried[-1]
    assert best.helps
    assert 3 * 10 ** (-2 / 30) < best.changes[0].number < 3.2
    assert [one.helps for one in diagnosis.tried[:-1]] == [False] * (len(diagnosis.tried) - 1)
    assert best.words in finding(diagnosis).advice.lower()
    assert "orthogonal" not in finding(diagnosis).advice


def test_the_search_halves_the_logarithm_between_too_little_and_too_much() -> None:
    tries = MadeUp(plain(), lambda changes: (-9.0, 0.0) if changes[0].number < 2.5 else (0.0, 9.0))
    rg.diagnose(plain(), horizon=LAG, trial=tries)
    factors = [changes[0].number for changes in tries.asked if changes[0].kind == SCALE]
    low, high = 0.0, math.inf
    for factor, following in pairwise(factors):
        low, high = (max(low, factor), high) if factor < 2.5 else (low, min(high, factor))
        assert low < following < high
        if low > 0 and high < math.inf:
            assert following == pytest.approx(math.sqrt(low * high), rel=1e-2)
    assert len(factors) == 5


def test_what_helps_nothing_is_no_advice() -> None:
    diagnosis = rg.diagnose(plain(), horizon=LAG, trial=MadeUp(plain(), lambda changes: (-8.0, 0.0)))
    text = finding(diagnosis).advice
    assert text.startswith("Nothing that was tried on this batch helps")
    assert finding(diagnosis).evidence["helped"] == 0
    assert finding(diagnosis).evidence["tried"] == len(diagnosis.tried) == 6
    assert "remedy" not in finding(diagnosis).evidence


def test_what_hears_nothing_is_worth_nothing() -> None:
    faint, deaf = Tried("a larger weight", (), -5.0, 0.0), Tried("a smaller weight", (), -1.0, 0.0, written=False)
    assert max(deaf, faint, key=lambda one: one.worth) is faint


def test_what_explodes_is_not_the_best_of_what_was_tried() -> None:
    # Of what explodes the most is left; a millionth of the others, 1e-5 where the weight is orthogonal.
    def left(changes: Sequence[Change]) -> tuple[float, float]:
        return (-5.0, 0.0) if changes[-1].kind == ORTHOGONAL else (-0.1, 9.0) if changes[-1].kind == SCALE else (-6, 0)

    trial = MadeUp(plain(), left)
    text = finding(rg.diagnose(plain(), horizon=LAG, trial=trial)).advice
    assert {ORTHOGONAL, SCALE} <= set(kinds(trial.asked))
    assert "): 1e-5 is left at best." in text


def test_a_gate_is_opened_by_chrono_and_then_by_its_bias() -> None:
    trace = recorded(nn.LSTM(6, 24), loss="last")
    tries = MadeUp(trace, lambda changes: (-1.0 if changes[0].kind == BIAS else -3.0, 0.0))
    diagnosis = rg.diagnose(trace, horizon=LAG, trial=tries)
    assert kinds(tries.asked)[:2] == [CHRONO, BIAS]
    assert tries.asked[0][0].number == LAG + 1
    # f = 0.1 ** (1 / 89), ln(f / (1 - f)) = 3.64
    assert tries.asked[1][0].number == 3.64
    assert "Set the bias of the forget gate to 3.64 (10 % is left at lag 89)" in finding(diagnosis).advice
    assert forget_bias(0.1, 100) == pytest.approx(3.76, abs=0.005)


def test_a_change_of_several_recurrences_says_so() -> None:
    trace = recorded(nn.LSTM(6, 8, num_layers=2), loss="last")
    diagnosis = rg.diagnose(trace, horizon=LAG, trial=MadeUp(trace, lambda changes: (-1.0, 0.0)))
    assert "et the bias of the forget gate to 3.64 in every recurrence (" in finding(diagnosis).advice


def test_the_best_of_what_helps_comes_first() -> None:
    trace = recorded(nn.LSTM(6, 24), loss="last")
    tries = MadeUp(trace, lambda changes: (-1.5 if changes[0].kind == CHRONO else -0.5, 0.0))
    diagnosis = rg.diagnose(trace, horizon=LAG, trial=tries)
    assert len(tries.asked) == 2  # two that help are enough
    text = finding(diagnosis).advice
    assert text.index("forget gate") < text.index("chrono")
    assert str(finding(diagnosis).evidence["remedy"]).startswith("set the bias")


def test_of_two_that_leave_the_same_the_calmer_comes_first() -> None:
    trace = recorded(nn.LSTM(6, 24), loss="last")
    tries = MadeUp(trace, lambda changes: (-1.0, 1.9 if changes[0].kind == CHRONO else 1.2))
    assert "forget gate" in str(finding(rg.diagnose(trace, horizon=LAG, trial=tries)).evidence["remedy"])
    # What grows tenfold at most on the way is no worse than what does not grow.
    tries = MadeUp(trace, lambda changes: (-1.0, 0.9 if changes[0].kind == CHRONO else 0.1))
    assert "chrono" in str(finding(rg.diagnose(trace, horizon=LAG, trial=tries)).evidence["remedy"])


def test_truncation_is_measured_where_no_lag_is_needed() -> None:
    tries = MadeUp(plain(), lambda changes: (-1.0, 0.0))
    diagnosis = rg.diagnose(plain(), trial=tries)
    assert tries.cuts == [16]  # about twice the reach of 7
    assert "Truncation into chunks of 16 steps changes the weights' gradient by 25 %" in finding(diagnosis).advice
    assert finding(diagnosis).evidence["truncation_error_16"] == 0.25
    asked = MadeUp(plain(), lambda changes: (-1.0, 0.0))
    rg.diagnose(plain(), horizon=LAG, trial=asked)
    assert not asked.cuts


def test_a_healthy_network_is_left_alone() -> None:
    tries = MadeUp(plain(), lambda changes: (0.0, 0.0))
    diagnosis = rg.diagnose(recorded(nn.LSTM(6, 24, forget_bias=5.0)), trial=tries)
    assert diagnosis.healthy
    assert not tries.asked
    assert not diagnosis.tried


def test_who_cannot_try_is_not_asked() -> None:
    tries = MadeUp(plain(), lambda changes: (0.0, 0.0))
    tries.able = False
    diagnosis = rg.diagnose(plain(), trial=tries)
    assert not tries.asked
    assert "No remedy was tried" in str(diagnosis)
    assert "larger; or use an LSTM" in finding(diagnosis).advice
    assert not any(sign.isdigit() for sign in finding(diagnosis).advice)


def test_a_trace_alone_says_what_would_try() -> None:
    assert "rnngraph diagnose model.py:build tries them" in str(rg.diagnose(plain()))
    assert "No remedy was tried" not in str(rg.diagnose(recorded(nn.LSTM(6, 24, forget_bias=5.0))))


# Real networks: what helps, applied by hand, is what was said.


def judged(loss: rg.Tensor, **options: Any) -> Any:
    return rg.diagnose(rg.record(loss, lags=True), trial=rg.trial(loss), **options)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_scale_does_what_it_says(seed: int) -> None:
    diagnosis = judged(last(nn.RNN(D, H, seed=seed), seed), horizon=LAG)
    best = next(one for one in diagnosis.tried if one.helps)
    assert [change.kind for change in best.changes] == [SCALE]
    layer = nn.RNN(D, H, seed=seed)
    layer.parameter("Wh").value[...] *= best.changes[0].number
    again = judged(last(layer, seed), horizon=LAG)
    assert again.decades == pytest.approx(best.decades, abs=1e-9)
    assert again.verdict == "healthy"
    assert diagnosis.decades < -20


def test_small_inputs_free_saturated_units() -> None:
    layer = nn.RNN(D, H, init="orthogonal")
    layer.parameter("b").value[...] = np.where(np.arange(H) % 2, 3.0, -3.0)
    diagnosis = judged(last(layer, 0, scale=0.1), horizon=LAG)
    assert diagnosis.verdict == "saturated"
    assert finding(diagnosis).evidence["after_decades"] > -2
    assert "scale the input weights and biases by" in finding(diagnosis).advice.lower()
    assert next(one for one in diagnosis.tried if one.helps).changes[0].kind == INPUTS


def test_a_shut_gate_is_opened() -> None:
    diagnosis = judged(last(gate(keeping(0), "i", -20.0), 0), horizon=LAG)
    assert diagnosis.verdict == "unwritten"
    assert "Set the biases of the gates i, o, g to 0" in finding(diagnosis).advice
    assert "Before, nothing was written" in finding(diagnosis).advice
    assert all(one.written for one in diagnosis.tried if one.helps)


def test_clipping_is_called_a_safety() -> None:
    layer = nn.RNN(D, H, init="normal", gain=5.0)
    loss = classes(head(layer(fed(0, scale=0.1))[:, LAG], 0), 0)
    diagnosis = judged(loss, horizon=LAG)
    assert diagnosis.verdict == "exploding"
    assert "as a safety; it cures nothing" in finding(diagnosis).advice
    assert finding(diagnosis).evidence["after_peak"] < 2 < finding(diagnosis).evidence["peak_decades"]


def test_a_calm_orthogonal_start_is_named_beside_the_scale_that_was_found() -> None:
    def left(changes: Sequence[Change]) -> tuple[float, float]:
        return (-3.0, 0.0) if changes[0].kind == ORTHOGONAL else (-0.5, 0.5)

    trace = recorded(nn.RNN(6, 24, init="orthogonal", gain=4.0), loss="last")
    text = finding(rg.diagnose(trace, horizon=LAG, trial=MadeUp(plain(), left))).advice
    assert "To start the recurrent weight orthogonal may train as well: 0.1 % is left." in text
    assert text.startswith("Scale the recurrent weight by")


@pytest.mark.parametrize("other", [(-3.0, 2.5), (-4.5, 0.0)])
def test_an_orthogonal_start_that_explodes_or_forgets_is_not_named(other: tuple[float, float]) -> None:
    def left(changes: Sequence[Change]) -> tuple[float, float]:
        return other if changes[0].kind == ORTHOGONAL else (-0.5, 0.5)

    trace = recorded(nn.RNN(6, 24, init="orthogonal", gain=4.0), loss="last")
    text = finding(rg.diagnose(trace, horizon=LAG, trial=MadeUp(plain(), left))).advice
    assert "orthogonal" not in text


def test_what_means_nothing_for_a_cell_is_not_tried() -> None:
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 3)))
    states = []
    for t in range(60):
        with tape.scope(t=t):
            h = (h * 0.5).tanh()
        states.append(h)
    tape.state("cell.h", states, initial=start)
    diagnosis = judged(h.sum())
    assert not diagnosis.tried
    assert finding(diagnosis).advice.endswith("Nothing could be tried on this recurrence.")
    assert TRUNCATE not in finding(diagnosis).advice
