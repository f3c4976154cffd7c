"""The rules of a verdict in one table: plain functions of a layer, of a path, or of the whole network.

A rule gives a finding or nothing. A new one is a function in one of the files beside this one, `find_` and the name of
its finding, and a row here; where it may be the verdict, `headline.VERDICTS` says what stands over it.
"""

from __future__ import annotations

from collections.abc import Callable

from rnngraph.diagnosis.finding import Finding
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network, Path
from rnngraph.diagnosis.rules import carriers, gradient, path, reach, signal

LAYER_RULES: tuple[Callable[[Layer], Finding | None], ...] = (
    signal.find_dead,
    gradient.find_exploding,
    gradient.find_readout,
    reach.find_truncated,
    gradient.find_gate_timescale,
    signal.find_masked_samples,
    signal.find_silent_samples,
    carriers.find_sample_differs,
)
# A layer among the others. The first row comes first: a layer without a signal is judged no further.
PLACED_RULES: tuple[Callable[[Network, Layer], Finding | None], ...] = (
    signal.find_no_signal,
    reach.find_too_short,
    carriers.find_bypassed,
)
PATH_RULES: tuple[Callable[[Network, Path], Finding | None], ...] = (
    path.find_unwritten,
    path.find_saturated,
    path.find_vanishing,
    path.find_attenuating,
    carriers.find_few_losses,
    carriers.find_few_samples,
    carriers.find_blind_span,
)
NETWORK_RULES: tuple[Callable[[Network], Finding | None], ...] = (signal.find_non_finite, signal.find_dead_inputs)
# The names of all that can be found.
RULES = tuple(
    rule.__name__.removeprefix("find_") for rule in (*LAYER_RULES, *PLACED_RULES, *PATH_RULES, *NETWORK_RULES)
)
