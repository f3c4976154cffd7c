"""The rules of a verdict in one table: plain functions of a layer, or of the whole network.

A rule gives a finding or nothing. A new one is a function in one of the files beside this one, and a row here; where it
may be the verdict, its name also has its rank in `finding.VERDICTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rnngraph.diagnosis.finding import Finding
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.rules.comparison import find_layer_differs, find_sample_differs
from rnngraph.diagnosis.rules.gradient import (
    find_attenuating,
    find_exploding,
    find_gate_timescale,
    find_saturated,
    find_vanishing,
)
from rnngraph.diagnosis.rules.network import Network
from rnngraph.diagnosis.rules.reach import find_too_short, find_truncated
from rnngraph.diagnosis.rules.signal import (
    find_dead,
    find_dead_inputs,
    find_masked_samples,
    find_no_signal,
    find_non_finite,
    find_silent_samples,
)

LayerRule: TypeAlias = Callable[[Layer], Finding | None]
NetworkRule: TypeAlias = Callable[[Network], Finding | None]

FIRST: LayerRule = find_no_signal  # a layer without a signal is judged no further
LAYER_RULES: tuple[LayerRule, ...] = (
    find_dead,
    find_exploding,
    find_saturated,
    find_vanishing,
    find_too_short,
    find_truncated,
    find_attenuating,
    find_gate_timescale,
    find_masked_samples,
    find_silent_samples,
    find_sample_differs,
)
NETWORK_RULES: tuple[NetworkRule, ...] = (find_non_finite, find_dead_inputs, find_layer_differs)


def judge(layer: Layer) -> list[Finding]:
    """Apply the rules of a layer."""
    silent = FIRST(layer)
    return [silent] if silent else [found for rule in LAYER_RULES if (found := rule(layer))]


def judge_network(network: Network) -> list[Finding]:
    """Apply the rules that look at all layers."""
    return [found for rule in NETWORK_RULES if (found := rule(network))]
