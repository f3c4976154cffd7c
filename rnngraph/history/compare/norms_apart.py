"""Where the norms of two networks part on the walk back: the layer, the state and the step.

In: pairs of layers. Out: for every state that both have, its norms by steps back, and where they part. Each is taken
against the norm at which the two begin, so that the size of the losses does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.layer import Layer
from rnngraph.history.compare.match import Pair, name_of_two
from rnngraph.trace.magnitudes import Booleans, Floats, Status
from rnngraph.trace.model import REVERSE, StateTrace

APART = 0.5  # decades, a factor of three
LASTING = 3  # steps that stay apart: a single one is chance


@dataclass(frozen=True, slots=True)
class NormsApart:
    """The norms of one state of a pair, in decades of where both begin; entry 0 is the last step."""

    recurrence: str
    state: str
    layer: int
    a: Floats  # (K,) NaN where not observed, -inf where zero
    b: Floats  # (K,)
    start: float  # decades of B over A where both begin; NaN where they have no step in common
    parts: int | None  # steps back from the last step at which they part, None where they stay together
    timesteps: tuple[int, int]  # of A and B, where they part or else where they end

    @property
    def by(self) -> float:
        """How far B lies above A where they part, in decades; infinite where one of them is zero."""
        return float(self.b[self.parts] - self.a[self.parts]) if self.parts is not None else 0.0


def norms_apart(pairs: Sequence[Pair]) -> Iterator[NormsApart]:
    """Compare the norms of every state that both sides have."""
    for pair in pairs:
        for one in pair.a.states:
            for two in pair.b.states:
                if one.kind == two.kind:
                    yield _compared(pair, one, two)


def first_apart(found: Sequence[NormsApart]) -> NormsApart | None:
    """Choose the one that parts first on the walk back; the upper layer where several do at once."""
    parted = [one for one in found if one.parts is not None]
    return min(parted, key=lambda one: (one.parts, -one.layer), default=None)


def lasting(apart: Booleans) -> int | None:
    """Find the first of some places in a row that are apart; of a row that is shorter, all must be."""
    if not len(apart):
        return None
    runs = np.convolve(apart, np.ones(min(LASTING, len(apart)), np.int64), mode="valid") >= min(LASTING, len(apart))
    return int(runs.argmax()) if runs.any() else None


def _compared(pair: Pair, one: StateTrace, two: StateTrace) -> NormsApart:
    name, a, b = name_of_two(one.name, two.name), _walked(pair.a, one), _walked(pair.b, two)
    both = min(len(a), len(b))
    a, b = a[:both], b[:both]
    known = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    if not known.size:
        return NormsApart(pair.name, name, one.layer, a, b, float("nan"), None, (0, 0))
    start = float(b[known[0]] - a[known[0]])
    a, b = a - a[known[0]], b - b[known[0]]
    seen = np.flatnonzero(~np.isnan(a) & ~np.isnan(b))
    with np.errstate(invalid="ignore"):  # of two zeros, which are not apart
        place = lasting(np.abs(b[seen] - a[seen]) >= APART)
    parts = None if place is None else int(seen[place])
    at = both - 1 if parts is None else parts
    steps = _timestep(pair.a, at), _timestep(pair.b, at)
    return NormsApart(pair.name, name, one.layer, a, b, start, parts, steps)


def _walked(layer: Layer, state: StateTrace) -> Floats:
    """Give the decades of a state's norms in the order of the walk back."""
    own = state.grad[: layer.recurrence.timesteps]
    nothing = (own.status == Status.ZERO) | (own.status == Status.UNDERFLOW)
    decades = np.where(nothing, -np.inf, own.log10)
    return decades if layer.recurrence.direction == REVERSE else decades[::-1]


def _timestep(layer: Layer, back: int) -> int:
    return back if layer.recurrence.direction == REVERSE else layer.recurrence.timesteps - 1 - back
