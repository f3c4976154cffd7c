"""What was tried: a change, what was left of the gradient after it, and how it is said.

In: a network as it was judged, and whoever runs it again. Out: a `Tried` a change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from rnngraph.diagnosis.network import Network, network_of
from rnngraph.diagnosis.sentences import is_left, times
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.progress import doing
from rnngraph.trace.change import Change
from rnngraph.trace.model import InputLagTrace, LagTrace

_DEFAULTS = Thresholds()


@runtime_checkable
class Tries(Protocol):
    """Whoever can run the network again; see `measure.trial.Trial`."""

    @property
    def able(self) -> bool:
        """Whether anything can be tried."""

    def lags(
        self, changes: Sequence[Change], *, joint: bool | None = None
    ) -> tuple[tuple[LagTrace, ...], tuple[InputLagTrace, ...]] | None:
        """Measure the lags after some changes, of a loss that reads many steps or not; None where none is made."""

    def truncation(self, length: int) -> float | None:
        """Measure how far the weights' gradient is off, for chunks of so many steps; None where it cannot be."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A change, in words and as data, and what was measured after it, in decades."""

    words: str
    changes: tuple[Change, ...]
    decades: float  # what is left at the lag that was judged, on the path that has least
    peak: float  # the largest growth in any layer
    written: bool = True  # whether the input is heard at all
    enough: float = _DEFAULTS.attenuating
    most: float = _DEFAULTS.exploding

    @property
    def helps(self) -> bool:
        """Whether enough is left, and nothing explodes."""
        return self.decades > self.enough and self.peak < self.most and self.written

    @property
    def worth(self) -> float:
        """What is left where it is of use: nothing where all explodes, or nothing is heard."""
        return self.decades if self.peak < self.most and self.written else -math.inf

    @property
    def left(self) -> str:
        """Say what was left, and what it grew to on the way."""
        if self.peak >= self.most:
            return "it explodes" if math.isinf(self.peak) else f"it explodes ({times(self.peak)})"
        if not self.written:
            return "nothing is written"
        left = is_left(self.decades)
        grown = self.peak > 1 and not left.startswith("it grows")
        return f"{left}, at most {times(self.peak)} on the way" if grown else left


class Bench:
    """Runs changes on a network, one after the other, at the lag that was judged."""

    def __init__(self, network: Network, tries: Tries) -> None:
        """Take a network that was judged, and who runs it again."""
        self.network, self._tries = network, tries
        self.lag = max(network.head.horizon, 1)
        self.done: list[Tried] = []

    def run(self, words: str, *changes: Change) -> Tried | None:
        """Make some changes, and measure; None where they cannot be made."""
        words += " in every recurrence" if len(self.network.trace.recurrences) > 1 else ""
        with doing(f"trying to {words}"):
            measured = self._tries.lags(changes, joint=self.network.trace.lags[0].joint)
        if measured is None or not measured[0]:
            return None
        network = self.network
        trace = replace(network.trace, lags=measured[0], input_lags=measured[1], updates=())
        again = network_of(trace, network.limits, self.lag)
        left = [path.decades for path in again.paths if path.horizon]
        peaks = [layer.peak for layer in again.layers if not math.isnan(layer.peak)]
        shut = any(path.shut(self.network.limits.unwritten) for path in again.paths)
        found = Tried(
            words, changes, min(left, default=math.nan), max(peaks, default=math.inf), not shut,
            network.limits.attenuating, network.limits.exploding,
        )  # fmt: skip
        self.done.append(found)
        return found
