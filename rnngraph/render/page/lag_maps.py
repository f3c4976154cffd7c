"""The lag matrices of a trace as small whole numbers: hundredths of log10 of `‖∂L_s/∂state_k‖`.

In come `LagTrace`s, out go dictionaries with one map for all samples together and one for each where there is room.
Null is not measured, "0" exactly zero, "n" not finite. Column 0 is the initial state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.diagnosis.credit import log_norm
from rnngraph.diagnosis.curve import LN10
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace, Trace

COLUMNS = 2_000  # neighbouring states share a column where there are more; the largest norm is shown
CELLS = 80_000  # a map a sample is given up to this many numbers a state


def lag_maps(trace: Trace) -> list[dict[str, Any]]:
    """Return the maps of every state that has a lag matrix."""
    number = {state.name: index for index, state in enumerate(trace.states)}
    return [_map(found, number.get(found.state, -1)) for found in trace.lags if found.log.size]


def _map(found: LagTrace, state: int) -> dict[str, Any]:
    order = np.argsort(found.losses, kind="stable")
    logs = found.log[:, order]
    width = -(-logs.shape[2] // COLUMNS)
    each: list[Any] = []
    if logs.shape[0] > 1 and logs.size <= CELLS:
        each = [_hundredths(_binned(sample, width)) for sample in logs]
    return {
        "name": found.state,
        "state": state,
        "losses": found.losses[order].tolist(),
        "available": found.available,
        "samples": found.samples.tolist(),
        "batch": found.batch,
        "width": width,
        "timesteps": logs.shape[2] - 1,
        "all": _hundredths(_binned(log_norm(logs), width)),
        "each": each,
    }


def _binned(logs: Floats, width: int) -> Floats:
    if width == 1:
        return logs
    short = -logs.shape[1] % width
    padded = np.pad(logs, ((0, 0), (0, short)), constant_values=np.nan).reshape(len(logs), -1, width)
    known = ~np.isnan(padded)
    result: Floats = np.where(known.any(axis=2), np.where(known, padded, -np.inf).max(axis=2), np.nan)
    return result


def _hundredths(logs: Floats) -> list[list[Any]]:
    return [[_entry(value) for value in row] for row in (logs / LN10).tolist()]


def _entry(value: float) -> int | str | None:
    if value != value:
        return None
    if value == float("-inf"):
        return "0"
    return "n" if value == float("inf") else round(value * 100)
