"""What a layer's credit comes to: its lag curve, how far it reaches, and in how many steps it halves.

In: the `LagTrace` of a layer's own input. Out: a `CreditSummary`, by the same measures as the states that are watched.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.diagnosis.curve import LagCurve, lag_curve
from rnngraph.diagnosis.slope import half_life
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.trace.decay import LayerDecay
from rnngraph.trace.model import FORWARD, LagTrace


@dataclass(frozen=True, slots=True)
class CreditSummary:
    """`reach` is the longest lag at which the share `epsilon` is left; `whole` where that is as far as was measured."""

    curve: LagCurve
    horizon: int
    half_life: float | None
    reach: int | None
    epsilon: float

    @property
    def whole(self) -> bool:
        """Whether the credit reaches as far as the batch is long."""
        return self.reach is not None and self.reach >= self.curve.longest


def summary_of(layer: LayerDecay) -> CreditSummary | None:
    """Sum up the credit of a layer; None where none was measured."""
    lags = None if layer.live is None else layer.live.credit
    return None if lags is None or not len(lags.losses) else summed(lags)


def summed(lags: LagTrace) -> CreditSummary:
    """Sum up a lag matrix."""
    limits = Thresholds()
    curve = lag_curve([lags], FORWARD)
    horizon = curve.covered(limits.coverage)
    rate = curve.rate(horizon) if horizon else float("nan")
    return CreditSummary(curve, horizon, half_life(rate), curve.memory_horizon(limits.epsilon), limits.epsilon)
