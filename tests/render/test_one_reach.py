"""One trace, one number a question: every view says the same of all losses together, and the same of one loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.chosen_loss import seen
from rnngraph.diagnosis.report import layer_text
from rnngraph.diagnosis.sentences import is_left
from rnngraph.graph.charts.lags_chart import lag_sheet
from rnngraph.graph.style.left import EXPLODED, MARK
from rnngraph.history.measurement import measured
from rnngraph.render.report.comparison_report import comparison_report
from rnngraph.render.report.lags_report import lags_json, lags_report, state_lags
from rnngraph.render.report.norms.terminal import norms_report
from rnngraph.trace.model import Trace
from tests.diagnosis.path_networks import (
    D,
    H,
    each,
    early_losses,
    fed,
    gate,
    keeping,
    last,
    of_two,
    reset_before_the_last_losses,
    some_samples_keep,
)
from tests.diagnosis.verdict_networks import linear, recorded
from tests.render.exact_networks import exact

LENGTHS = np.arange(90) < [[90], [60], [40], [25]]


def traced(make: Callable[[int], rg.Tensor]) -> Trace:
    return rg.record(make(1), lags=True)


def one_loss_weighs_most(seed: int) -> rg.Tensor:
    weights = np.where(np.arange(90) == 30, 1e6, 1.0)
    return each(gate(nn.LSTM(D, H, seed=seed), "f", 1.0), seed, weights)


TRACES: dict[str, Callable[[], Trace]] = {
    "a loss a step": partial(exact, 0.5, timesteps=30),
    "the last loss": partial(exact, 0.5, timesteps=30, last=True),
    "a plain recurrence": lambda: linear(np.diag([0.9, 0.5])),
    "one loss weighs most": partial(traced, one_loss_weighs_most),
    "early losses": partial(traced, early_losses),
    "late losses": partial(traced, reset_before_the_last_losses),
    "some samples": partial(traced, some_samples_keep(5, 16)),
    "many lengths": lambda: recorded(nn.GRU(6, 8), mask=LENGTHS, copy=True),
    "many lengths, the last loss": lambda: recorded(nn.LSTM(6, 8), mask=LENGTHS, copy=True, loss="last"),
    "an output gate that is shut": partial(traced, lambda seed: last(gate(keeping(seed), "o", -4.0), seed)),
    "two layers": partial(traced, of_two((1.0, -1.0))),
    "both ways": partial(exact, 0.4, timesteps=30, both=True),
    "keeps": partial(exact, 1.0, timesteps=30),
    "grows": partial(exact, 1.4, timesteps=30),
    "cut": partial(traced, lambda seed: each(nn.LSTM(D, H, seed=seed, truncate=20), seed)),
    "two inputs": partial(traced, lambda seed: nn.RNN(D, H, seed=seed)(fed(seed))[:, 10::30].sum()),
}  # fmt: skip


def text_of(report: Any) -> str:
    console = Console(width=100, legacy_windows=False)
    with console.capture() as found:
        console.print(report)
    return " ".join(found.get().split())


def chart_texts(trace: Trace) -> str:
    return " ".join(shape.text.replace("\n", " ") for shape in lag_sheet(trace).shapes if shape.text)


def numbers(words: str, text: str) -> set[int]:
    return {int(found) for found in re.findall(words, text)}


@pytest.mark.parametrize("name", TRACES)
def test_every_view_gives_one_reach(name: str) -> None:
    trace = TRACES[name]()
    diagnosis = rg.diagnose(trace)
    reach = diagnosis.reach
    assert reach == summed_by_hand(trace)
    assert measured(trace, "").reach == json.loads(lags_json(trace))["reach"] == reach
    whole = f"{reach}{'+' * diagnosis.whole}"
    assert re.search(
        rf"\breach {re.escape(whole)} {re.escape(whole)}", text_of(comparison_report(rg.compare(trace, trace)))
    )
    said = numbers(r"(?:within|the gradient \w+) (\d+) steps?[:,]", str(diagnosis)) if "dies" in str(diagnosis) else ()
    told = {*said, *numbers(r"(?:1 % or more to|beyond) lag (\d+)", str(diagnosis))}
    assert told == ({reach} if diagnosis.verdict != "exploding" else set())
    ends = numbers(r"1 % or more to lag (\d+)", chart_texts(trace))
    assert (min(ends) if not diagnosis.whole else max(ends)) == reach
    assert diagnosis.whole or re.search(rf"lag {reach}\b", text_of(lags_report(trace)))


@pytest.mark.parametrize("name", TRACES)
def test_every_view_gives_one_number_for_what_is_left_in_the_states(name: str) -> None:
    trace = TRACES[name]()
    readings = {one.name: one for one in measured(trace, "").readings}
    states = {one.state.recurrence: one.summary for one in state_lags(trace)}
    for layer in rg.diagnose(trace).by_layer:
        left = readings[layer.name].gain(layer.horizon)
        assert layer.left == pytest.approx(left)
        assert math.isnan(left) or f"{is_left(left)} in its states at lag {layer.horizon}" in layer_text(layer)
        if len(trace.states_of(next(one for one in trace.recurrences if one.name == layer.name))) == 1:
            assert states[layer.name].left[layer.horizon - 1] == pytest.approx(left)


@pytest.mark.parametrize("name", TRACES)
def test_a_monitor_logs_the_same(name: str) -> None:
    pytest.importorskip("torch")
    from rnngraph.monitor.scalars import scalars

    trace = TRACES[name]()
    logged = scalars(trace, None)
    for layer in rg.diagnose(trace).by_layer:  # what is not finite is left out
        assert logged.get(f"rnngraph/{layer.name}/gain", layer.left) == pytest.approx(layer.left, nan_ok=True)


@pytest.mark.parametrize("name", TRACES)
def test_every_view_gives_one_end_of_the_loss_that_is_looked_from(name: str) -> None:
    trace = TRACES[name]()
    one = seen(trace)
    assert one is not None
    ends = set()
    for walk in one.walks:
        above = np.flatnonzero(walk.decades >= MARK)
        dies = above.size and above[-1] < len(walk.steps) - 1
        if dies and not (walk.decades >= EXPLODED).any():
            ends.add(int(walk.lags[above[-1]]))
    flags = [shape.text for shape in lag_sheet(trace).shapes if re.fullmatch(r"c\d+ft", shape.id)]
    assert {int(text.split()[-1]) for text in flags if "×100" not in text} == ends
    drawn = " ".join(shape.text for shape in rg.draw(trace).shapes if shape.text)
    assert numbers(r"(?:credit|and) ends at lag (\d+)", drawn) <= ends
    norms = text_of(norms_report(trace, one))
    assert all(f"lag {lag}" in norms for lag in ends)


def summed_by_hand(trace: Trace) -> int:
    """Work the reach out in plain loops: on every path, of sums over losses and samples, of what there is at lag 1."""
    found = []
    lowest = {(one.clock, one.direction): one for one in reversed(trace.recurrences)}
    for one in lowest.values():
        fed = next((each for each in trace.input_lags if one.name in each.recurrences), None)
        states = [lags for lags in trace.lags if lags.state in {state.name for state in trace.states_of(one)}]
        start = np.sqrt(sum(np.exp(2 * lags.log[:, :, 1:]) for lags in states))
        norms = start if fed is None else np.exp(fed.log)
        found.append(last_lag(norms, start, states[0], reverse=one.direction == "reverse"))
    short = [reach for reach, longest in found if reach < longest]
    return min(short) if short else max(reach for reach, _ in found)


def last_lag(norms: Any, start: Any, lags: Any, *, reverse: bool) -> tuple[int, int]:
    """Give the last lag with 1 % or more, and the longest."""
    by_lag: dict[int, list[tuple[float, float]]] = {}
    for sample in range(norms.shape[0]):
        for number in range(norms.shape[1]):
            t, lag, walked = int(lags.arrivals[sample, number]), -1, []
            if not start[sample, number, t] > 0:
                continue
            while 0 <= t < norms.shape[2]:
                if not lags.copied[sample, t]:
                    lag += 1
                    walked.append(norms[sample, number, t])
                if lags.severed[sample, t]:
                    break
                t += 1 if reverse else -1
            for lag in range(1, len(walked)):
                by_lag.setdefault(lag, []).append((walked[lag], walked[1]))
    sums = {lag: (sum(one for one, _ in pairs), sum(one for _, one in pairs)) for lag, pairs in by_lag.items()}
    above = [0]
    for lag, (left, first) in sums.items():
        weight = first / sums[1][1] / (len(by_lag[lag]) / len(by_lag[1]))
        if left / first * min(weight / 0.1, 1.0) >= 0.01:
            above.append(lag)
    return max(above), max(sums)
