"""What a finding rests on: the weights of the layer itself, whatever the layer is called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace
from tests.diagnosis.verdict_networks import linear, recorded
from tests.linear_cells import orthogonal


def only(diagnosis: Any, rule: str) -> Any:
    return next(finding for finding in diagnosis.findings if finding.rule == rule)


@pytest.mark.parametrize("name", ["my_lstm", "_l", "a_l1_b", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_recurrent_weight_is_found_under_any_name(name: str, layers: int) -> None:
    network = nn.RNN(6, 8, num_layers=layers, gain=0.3, name=name)
    finding = only(rg.diagnose(recorded(network)), "vanishing")
    weight = network.parameter("Wh").value
    assert finding.evidence["spectral_radius"] == pytest.approx(np.abs(np.linalg.eigvals(weight)).max(), rel=1e-6)
    assert finding.evidence["largest_singular_value"] == pytest.approx(np.linalg.norm(weight, 2), rel=1e-6)


@pytest.mark.parametrize("name", ["my_lstm", "rnn"])
def test_the_input_weight_is_found_under_any_name(name: str) -> None:
    trace = recorded(nn.LSTM(6, 8, forget_bias=5.0, name=name))
    diagnosis = rg.diagnose(with_inputs_scaled(trace, 1e-20))
    assert "at most" in only(diagnosis, "dead_inputs").text
    assert rg.diagnose(trace).healthy


def with_inputs_scaled(trace: Trace, factor: float) -> Trace:
    entry = trace.inputs[0]
    return replace(trace, inputs=(replace(entry, steps=Magnitudes.of(entry.steps.value * factor)),))


@pytest.mark.parametrize(
    ("gain", "dtype", "extinct"),
    [(0.5, np.float64, True), (0.7, np.float64, False), (0.7, np.float32, True), (0.87, np.float32, False)],
)
def test_what_is_below_the_resolution_of_the_dtype_is_said(gain: float, dtype: Any, extinct: bool) -> None:
    # 89 lags: 1e-26.8, 1e-13.8 and 1e-5.4, beside 2.2e-16 and 1.2e-7.
    finding = only(rg.diagnose(linear(gain * orthogonal(3), dtype=dtype)), "vanishing")
    assert ("extinct" in finding.evidence) == extinct
    assert (f"{np.dtype(dtype)} cannot tell that from nothing" in finding.text) == extinct


@pytest.mark.parametrize("gain", [1.06, 1.2])
def test_an_overflow_is_predicted_where_it_lies_within_ten_horizons(gain: float) -> None:
    # The loss of one sample is 1000 times that of the other: the larger one overflows first.
    readout = np.array([[1.0], [1000.0]])
    tape = rg.Tape()
    h = start = tape.input(np.ones((2, 1), np.float32))
    states = []
    for t in range(90):
        with tape.scope(t=t):
            h = h * gain
        states.append(h)
    tape.state("cell.h", states, initial=start)
    finding = only(rg.diagnose(rg.record((h * readout.astype(np.float32)).sum(), lags=True)), "exploding")
    lag = (128 * np.log(2) - np.log(1000)) / np.log(gain)
    if lag > 10 * 89:
        assert finding.evidence["overflow_lag"] is None
        assert "overflows" not in finding.text
    else:
        assert finding.evidence["overflow_lag"] == pytest.approx(lag, abs=1)
        assert f"float32 overflows after {finding.evidence['overflow_lag']} steps" in finding.text
