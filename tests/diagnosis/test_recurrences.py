"""Layers of one trace that have a length, a batch and a mask of their own: each is judged as if it were alone."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.consistent import check_trace
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace
from tests.diagnosis.verdict_networks import recorded

MASK = np.arange(30) < np.array([30, 12, 0])[:, None]
NOTHING: dict[str, Any] = {"i": -1, "b": False, "f": np.nan}


def lengthened(part: Any, time: int) -> Any:
    """Fill the columns of a part up with "not observed"."""
    columns: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Magnitudes) and value.value.ndim:
            more = Magnitudes.unobserved((*value.value.shape[:-1], time - value.value.shape[-1]))
            columns[field.name] = Magnitudes(
                np.concatenate([value.value, more.value], axis=-1), np.concatenate([value.status, more.status], axis=-1)
            )
        elif isinstance(value, np.ndarray) and field.name != "log_mean":
            wanted = -1 if field.name == "nodes" else 0 if value.dtype.kind == "i" else NOTHING[value.dtype.kind]
            columns[field.name] = np.concatenate([value, np.full(time - len(value), wanted, value.dtype)])
    return replace(part, **columns)


def joined(long: Trace, short: Trace) -> Trace:
    """Put two passes into one trace, as a loss of both would be recorded."""
    states, gates, parameters = (
        [lengthened(one, long.timesteps) for one in part] for part in (short.states, short.gates, short.parameters)
    )
    cells = {cell.name: cell for cell in (*long.cells, *short.cells)}
    trace = replace(
        long,
        cells=tuple(cells.values()),
        recurrences=(*long.recurrences, *(replace(one, clock=one.clock + 1) for one in short.recurrences)),
        states=(*long.states, *(replace(state, nodes=np.full(long.timesteps, -1)) for state in states)),
        gates=(*long.gates, *gates),
        parameters=(*long.parameters, *parameters),
        lags=(*long.lags, *short.lags),
        input_lags=(*long.input_lags, *short.input_lags),
    )
    check_trace(trace)
    return trace


def of_layer(diagnosis: Any, state: str) -> list[Any]:
    return [
        (one.rule, one.severity, one.text, {key: value for key, value in one.where.items() if key != "node"})
        for one in diagnosis.findings
        if one.where.get("state") == state and one.rule not in ("exploding", "layer_differs")
    ]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_each_layer_is_judged_by_its_own_length_batch_and_mask(bidirectional: bool) -> None:
    long = recorded(nn.LSTM(6, 8, name="encoder"), batch=2)
    decoder = nn.RNN(6, 8, name="decoder", bidirectional=bidirectional, gain=0.7)
    short = recorded(decoder, time=30, batch=3, mask=MASK, copy=True)
    both = rg.diagnose(joined(long, short))
    for alone in (long, short):
        for state in alone.states:
            expected = of_layer(rg.diagnose(alone), state.name)
            assert of_layer(both, state.name) == expected
            assert expected or state.kind == "c"
    silent = next(one for one in both.findings if one.rule == "masked_samples")
    assert silent.where["sample"] == 2
    assert str(silent.where["state"]).startswith("decoder")


def test_a_layer_that_is_masked_everywhere_says_so_beside_one_that_is_not() -> None:
    hidden = nn.RNN(6, 8, name="decoder")(rg.Tape().input(np.ones((3, 30, 6))), mask=np.zeros((3, 30), bool))
    masked = rg.record(hidden[:, 29].sum(), lags=True)
    both = rg.diagnose(joined(recorded(nn.LSTM(6, 8, name="encoder"), batch=2), masked))
    (silent,) = [one for one in both.findings if one.rule == "no_signal"]
    assert silent.text == "No loss reaches decoder: every step is masked."


def test_a_horizon_beyond_a_short_layer_is_said_of_that_layer() -> None:
    both = joined(recorded(nn.LSTM(6, 8, name="encoder"), batch=2), recorded(nn.RNN(6, 8, name="decoder"), time=30))
    (short,) = [one for one in rg.diagnose(both, horizon=60).findings if one.rule == "too_short"]
    assert short.where["state"] == "decoder.h"
    assert "more than 29 steps before it" in short.text


def test_the_numbers_at_the_top_are_those_of_the_layer_with_the_verdict() -> None:
    cut = recorded(nn.LSTM(6, 8, name="encoder", forget_bias=5.0, truncate=10), batch=2)
    short = recorded(nn.RNN(6, 8, name="decoder"), time=7)
    both = rg.diagnose(joined(cut, short))
    assert both.verdict == "truncated"
    assert both.decades == rg.diagnose(short).decades  # the path on which least is left
    assert [one.horizon for one in both.by_layer] == [9, 6]


@pytest.mark.parametrize(("gains", "verdict"), [((0.3, 0.5), "vanishing"), ((4.0, 3.0), "exploding")])
def test_of_layers_with_the_same_verdict_the_most_extreme_one_stands_at_the_top(
    gains: tuple[float, float], verdict: str
) -> None:
    names = ("encoder", "decoder")
    traces = [
        recorded(nn.RNN(6, 24, name=name, init="orthogonal", gain=gain), time=time)
        for name, gain, time in zip(names, gains, (60, 59), strict=True)
    ]
    alone = [rg.diagnose(trace) for trace in traces]
    both = rg.diagnose(joined(*traces))
    assert [one.verdict for one in (*alone, both)] == [verdict] * 3
    assert both.decades == alone[0].decades != alone[1].decades


def test_a_note_on_a_sample_does_not_set_its_layer_apart() -> None:
    decoder = nn.LSTM(6, 8, name="decoder", forget_bias=5.0)
    long = recorded(nn.LSTM(6, 8, name="encoder", forget_bias=5.0), batch=2)
    both = rg.diagnose(joined(long, recorded(decoder, time=30, batch=3, mask=MASK, copy=True)))
    assert both.healthy
    assert {"masked_samples"} <= {one.rule for one in both.findings if one.severity == "note"}
    assert "layer_differs" not in {one.rule for one in both.findings}


def test_a_layer_without_a_lag_does_not_stand_at_the_top_of_one_with_lags() -> None:
    layer = nn.LSTM(6, 8, forget_bias=5.0, bidirectional=True)
    for parameter in layer.parameters():
        if "Wx" in parameter.name:
            parameter.value[...] = 0
    hidden = layer(rg.Tape().input(np.random.default_rng(0).normal(size=(2, 60, 6))))
    diagnosis = rg.diagnose(rg.record(hidden[:, 0].sum(), lags=True))
    assert diagnosis.verdict == "dead_inputs"
    assert diagnosis.horizon == 59
    severities = [one.severity for one in diagnosis.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert len(set(severities)) > 1
