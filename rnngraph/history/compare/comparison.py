"""What differs between two networks.

In: two traces, saved runs or folders. Out: a `Comparison`, whatever they do not have in common left out and named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rnngraph.errors import InputError
from rnngraph.history.compare.contrast import Comparison, Curves, Gates
from rnngraph.history.compare.match import Pair, left_out, name_of_two, pairs_of
from rnngraph.history.compare.norms_apart import norms_apart
from rnngraph.history.compare.side import Side, side_of
from rnngraph.history.measurement import Reading
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import GateTrace


def compared(a: object, b: object, *, horizon: int | None = None) -> Comparison:
    """Compare; see `rnngraph.compare`."""
    one, two = side_of(a, "A", horizon=horizon), side_of(b, "B", horizon=horizon)
    pairs = pairs_of(one.network, two.network)
    if not pairs:
        raise InputError(
            f"the two have no recurrence in common: A has {_names(one)}, B has {_names(two)}; compare networks that "
            "share the name or the place of one."
        )
    verdicts = [{layer.name: layer.verdict for layer in side.diagnosis.by_layer} for side in (one, two)]
    return Comparison(
        one, two, tuple(_curves(one, two, pairs)),
        tuple((pair.name, verdicts[0][pair.a.name], verdicts[1][pair.b.name]) for pair in pairs),
        tuple(norms_apart(pairs)), tuple(_gates(one, two, pairs)),
        tuple(left_out(one.network, two.network, pairs)),
    )  # fmt: skip


def _curves(a: Side, b: Side, pairs: Sequence[Pair]) -> Iterator[Curves]:
    for at_input in (True, False):
        for pair in pairs:
            here = [one for one in a.measurement.readings if _is(one, pair.a.name, at_input)]
            there = [one for one in b.measurement.readings if _is(one, pair.b.name, at_input)]
            for one, two in zip(here, there, strict=False):
                yield Curves(name_of_two(one.name, two.name), one, two, min(one.horizon, two.horizon))


def _gates(a: Side, b: Side, pairs: Sequence[Pair]) -> Iterator[Gates]:
    for pair in pairs:
        there = {gate.gate: gate for gate in b.trace.gates if gate.recurrence == pair.b.name}
        for gate in a.trace.gates:
            if gate.recurrence == pair.a.name and gate.gate in there:
                two = (gate, there[gate.gate])
                means, saturated = ([_mean(one, key) for one in two] for key in ("mean", "saturated"))
                yield Gates(f"{pair.name}.{gate.gate}", (means[0], means[1]), (saturated[0], saturated[1]))


def _mean(gate: GateTrace, column: str) -> float:
    values: Floats = getattr(gate, column)
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def _is(one: Reading, recurrence: str, at_input: bool) -> bool:
    return one.recurrence == recurrence and one.at_input == at_input


def _names(side: Side) -> str:
    return ", ".join(layer.name for layer in side.network.layers)
