"""Rules on how far back the trace lets anything be judged."""

from __future__ import annotations

import numpy as np

from rnngraph.diagnosis.finding import NOTE, WARNING, Finding
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network
from rnngraph.diagnosis.sentences import counted


def find_too_short(network: Network, layer: Layer) -> Finding | None:
    """There is no lag to judge, or none as long as the horizon that was asked for."""
    if layer.horizon >= 1:
        return _find_unreached_horizon(layer)
    if layer.credit.nonfinite and not layer.sums.pairs.any():
        return None  # the lags are there, but none of their gradients is a number
    others = [one.name for one in network.layers if one.horizon >= 1]
    first = "the last timestep, where this direction starts" if layer.credit.reverse else "the first step"
    return Finding(
        "too_short", WARNING if not others else NOTE, layer.where, {"pairs": int(layer.sums.pairs.sum())},
        "no loss with a step before it",
        f"Trace a longer sequence, or one whose loss is not on {first}.",
        f"{layer.name} is too short to judge: no loss has a step before it to compare with."
        + (f" {', '.join(others)} can be judged." if others else ""),
    )  # fmt: skip


def find_truncated(layer: Layer) -> Finding | None:
    """The recurrence is cut, so nothing is known beyond the cut."""
    window = layer.window
    if window is None:
        return None
    return Finding(
        "truncated", WARNING, layer.where, {"window": window, "judged_to_lag": layer.horizon},
        "detach or truncated back-propagation",
        f"Lags of {window} and more are cut off by design; to judge them, trace without the cut.",
        f"{layer.name} is cut: no gradient goes back over more than {counted(window - 1, 'step')}.",
    )  # fmt: skip


def _find_unreached_horizon(layer: Layer) -> Finding | None:
    if layer.asked is None or layer.window is not None:
        return None
    reach = ~np.isnan(layer.curve.sample_median[:, : layer.asked])
    last, those = int(reach[:, layer.horizon - 1].sum()), int(reach.any(axis=1).sum())
    if layer.horizon >= layer.asked and 2 * last < those:
        return Finding(
            "too_short", WARNING, layer.where, {"asked": layer.asked, "samples": last, "of": those},
            "few samples with so many steps before their losses",
            "Ask for a shorter horizon, or trace longer samples.",
            f"In {layer.name} only {last} of {those} samples have a loss with {layer.asked} steps before it, and the "
            "verdict is theirs alone.",
        )  # fmt: skip
    if layer.horizon >= layer.asked:
        return None
    return Finding(
        "too_short", WARNING, layer.where, {"asked": layer.asked, "judged_to_lag": layer.horizon},
        "no loss with so many steps before it",
        f"Trace a longer sequence or a later loss, or ask for a horizon of at most {layer.horizon}.",
        f"No loss in {layer.name} has more than {layer.horizon} steps before it, so that nothing is known at the "
        f"horizon of {layer.asked}.",
    )  # fmt: skip
