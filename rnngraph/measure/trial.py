"""What becomes of the gradient if weights are changed: a recording is run again, and its lags are measured anew.

In: a recording that can be run again, and changes. Out: lags of a few losses and samples, or how far a gradient is off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.lags import measure_lags
from rnngraph.measure.recording import Array, Recording
from rnngraph.norms import norm
from rnngraph.trace.change import TRUNCATE, Change
from rnngraph.trace.model import InputLagTrace, LagTrace

Lags: TypeAlias = tuple[tuple[LagTrace, ...], tuple[InputLagTrace, ...]]
SAMPLES = LOSSES = 8


@runtime_checkable
class Changeable(Protocol):
    """What a recording offers beside the protocol where it can be run again; one that cannot has no such method."""

    def changed(self, changes: Sequence[Change]) -> Any:
        """Run the whole pass again with changed weights, on the same data; None where a change means nothing here.

        Returns:
            a `Recording`; of a cut it is enough that it has `Gradients`.
        """


@runtime_checkable
class Gradients(Protocol):
    """What a recording that can be cut offers, before it is cut and after."""

    def gradients(self) -> Mapping[str, Array]:
        """Give the gradients of the recurrences' weights by name."""


class Trial:
    """Tries changes on what was recorded, on at most 8 samples and 8 losses."""

    def __init__(self, recording: Recording | Changeable) -> None:
        """Look at a recording; where it is not `Changeable`, every try gives None."""
        self._recording = recording
        self._gradients: Mapping[str, Array] | None = None

    @property
    def able(self) -> bool:
        """Whether anything can be tried."""
        return isinstance(self._recording, Changeable)

    def lags(self, changes: Sequence[Change], *, joint: bool | None = None) -> Lags | None:
        """Measure the lags after some changes, of a loss that is read as `LagOptions` says; None where none is made."""
        again = self._run(changes)
        if again is None:
            return None
        with np.errstate(all="ignore"):
            return measure_lags(again, LagOptions(LOSSES, SAMPLES, updates=False, joint=joint))[:2]

    def truncation(self, length: int) -> float | None:
        """Measure `‖g_K - g‖ / ‖g‖` of the recurrences' weights, for chunks of K steps; None where it cannot be."""
        again = self._run([Change(TRUNCATE, length)])
        if not isinstance(again, Gradients) or not isinstance(self._recording, Gradients):
            return None
        with np.errstate(all="ignore"):
            if self._gradients is None:
                self._gradients = self._recording.gradients()
            cut = again.gradients()
            whole = math.hypot(*(norm(one) for one in self._gradients.values()))
            apart = math.hypot(*(norm(one - cut.get(name, 0 * one)) for name, one in self._gradients.items()))
        return apart / whole if math.isfinite(whole) and whole > 0 and math.isfinite(apart) else None

    def _run(self, changes: Sequence[Change]) -> Any:
        if not isinstance(self._recording, Changeable):
            return None
        with np.errstate(all="ignore"):
            return self._recording.changed(changes)
