"""What the loss tells every state directly: the gradients that enter the recurrence, one seed a timestep.

In: a tape and the cotangents of its loss. Out: `Seeds`. A seed s holds all that reaches states at timestep s without
having passed another state, so that the loss's gradient is the sum over seeds of what each carries back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Floats
from rnngraph.measure.norms import row_norms
from rnngraph.measure.routes import Routes


@dataclass(frozen=True, slots=True)
class Seeds:
    """Gradients that enter at states: by node id, with the timestep where each enters, and their norms."""

    entering: dict[int, Array]
    step: dict[int, int]
    norms: Floats  # (T, N) over all states of a timestep; NaN or infinity where one is not finite

    @property
    def steps(self) -> list[int]:
        """The timesteps at which a loss enters."""
        return [int(t) for t in np.flatnonzero((self.norms != 0).any(axis=1))]


def find(routes: Routes, starts: Mapping[int, Contribution]) -> Seeds:
    """Walk from the loss to the first state on every path and keep what arrives."""
    steps: dict[int, int] = {}
    for node_id, places in routes.measured.items():
        columns = [column for _, column in places if column]
        if columns:
            steps[node_id] = columns[0] - 1
    entering: dict[int, Array] = {}
    norms = np.zeros((routes.time, routes.batch))
    with np.errstate(all="ignore"):
        for node_id, arrived in _arrivals(routes.tape, steps, starts):
            gradient = np.asarray(arrived, dtype=np.float64)
            size = row_norms(gradient.reshape(routes.batch, -1))
            if size.any():
                entering[node_id] = gradient
                norms[steps[node_id]] = np.hypot(norms[steps[node_id]], size)
    return Seeds(entering, {node_id: steps[node_id] for node_id in entering}, norms)


def _arrivals(tape: Tape, states: Mapping[int, int], starts: Mapping[int, Contribution]) -> Iterator[tuple[int, Array]]:
    """Give what the sweep brings to the states that it meets first; it is not walked past them."""
    after = set[int]()  # a state leads here
    for node in tape.nodes:
        if node.id in states or not after.isdisjoint(node.inputs):
            after.add(node.id)
    begun = {start: _widened(cotangent) for start, cotangent in starts.items() if start in after}
    for step in sweep(tape, begun, wanted=after, until=states):
        if step.node.id in states:
            yield step.node.id, step.gradient


def spread(candidates: list[int], count: int, *, always: set[int]) -> list[int]:
    """Choose at most `count` of the candidates: the last, those in `always`, then evenly spaced ones."""
    if len(candidates) <= count:
        return candidates
    kept = {candidates[-1], *sorted(always & set(candidates), reverse=True)[: max(count - 2, 0)]}
    for place in np.linspace(0, len(candidates) - 1, count).round().astype(int)[::-1]:
        if len(kept) < count:
            kept.add(candidates[place])
    return sorted(kept)


def _widened(value: Contribution) -> Contribution:
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value
