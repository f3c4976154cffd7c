"""What is seen from one loss as a JSON document: which loss, and what is left of it in every row, by lag."""

from __future__ import annotations

from typing import Any

from rnngraph.diagnosis.one_loss import INITIAL, OneLoss, Walk


def seen_document(seen: OneLoss | None) -> dict[str, Any] | None:
    """Lay a loss and its rows out as plain dictionaries, topmost layer last; None where it is the sum of all losses."""
    if seen is None:
        return None
    return {
        "t": seen.timestep,
        "clock": seen.clock,
        "samples": seen.samples,
        "joint": seen.joint,
        "rows": [_row(walk) for walk in seen.walks],
    }


def _row(walk: Walk) -> dict[str, Any]:
    return {
        "name": walk.name,
        "recurrence": walk.recurrence.name,
        "states": list(walk.states),
        "cut": walk.cut,
        "steps": [
            {"t": None if t == INITIAL else t, "lag": lag, "log10": log10, "zero": zero}
            for t, lag, log10, zero in zip(
                walk.steps.tolist(),
                walk.lags.tolist(),
                walk.decades.tolist(),
                (walk.decades == float("-inf")).tolist(),
                strict=True,
            )
        ],
    }
