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
from tests.diagnosis.verdict_networks import recorded


def only(diagnosis: Any, rule: str) -> Any:
    return next(finding for finding in diagnosis.findings if finding.rule == rule)


@pytest.mark.parametrize("name", ["my_lstm", "_l", "a_l1_b", "rnn"])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_recurrent_weight_is_found_under_any_name(name: str, layer: int) -> None:
    network = nn.RNN(6, 8, num_layers=2, gain=0.3, name=name)
    diagnosis = rg.diagnose(recorded(network))
    finding = [one for one in diagnosis.findings if one.rule == "vanishing"][layer]
    weight = network.parameter("Wh_l1" if layer else "Wh").value
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
