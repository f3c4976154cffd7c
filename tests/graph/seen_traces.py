"""Traces with lags made up by hand: of every loss a step back keeps a factor that the test knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.trace.model import REVERSE, LagTrace, Trace
from tests.traces import make_trace


def with_lags(trace: Trace, keep: float = 0.5, *, losses: Any = None) -> Trace:
    """Give a trace the lags of a network of which every step back keeps `keep`, the same in all samples."""
    found = []
    for one in trace.recurrences:
        chosen = np.arange(one.timesteps) if losses is None else np.asarray(losses)
        walked = np.arange(one.timesteps + 1) - 1  # the timestep of a column; -1 the initial state
        if one.direction == REVERSE:
            walked[0] = one.timesteps
        lag = chosen[:, None] - walked if one.direction != REVERSE else walked - chosen[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.where(lag >= 0, lag * np.log(keep) if keep else np.where(lag == 0, 0.0, -np.inf), np.nan)
        batch = one.batch
        for state in (state for state in trace.states if state.recurrence == one.name):
            none = np.zeros((batch, one.timesteps), bool)
            found.append(LagTrace(
                state.name, chosen, np.zeros(len(chosen), int), np.arange(batch), np.tile(log, (batch, 1, 1)), none,
                none, np.tile(chosen, (batch, 1)), len(chosen), batch, None,
            ))  # fmt: skip
    return replace(trace, lags=tuple(found))


def seen(cell: str = "tanh", timesteps: int = 30, keep: float = 0.5, **options: Any) -> Trace:
    """Make a trace and its lags."""
    return with_lags(make_trace(cell, timesteps, **options), keep)
