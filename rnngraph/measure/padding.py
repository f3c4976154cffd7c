"""Bring the columns of a short recurrence to the length of the longest, as an encoder and its decoder need it.

In: what was measured over a recurrence's own timesteps. Out: the same over all of the trace's; what is added is "not
observed".
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import GateTrace, StateTrace

# What stands where nothing was observed, by the kind of a column's numbers.
_NOTHING = {"f": np.nan, "i": 0, "b": False}


def padded_state(state: StateTrace, time: int) -> StateTrace:
    """Give a state whose columns are all (T,); its node ids are -1 where there is no step."""
    return state if len(state.nodes) == time else replace(state, **_padded_columns(state, len(state.nodes), time))


def padded_gate(gate: GateTrace, time: int) -> GateTrace:
    """Give a gate whose columns are all (T,)."""
    if len(gate.mean) == time:
        return gate
    return replace(gate, mean=_padded(gate.mean, time), saturated=_padded(gate.saturated, time))


def _padded_columns(state: StateTrace, own: int, time: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for field in fields(state):
        value = getattr(state, field.name)
        if isinstance(value, Magnitudes) and value.value.shape[-1:] == (own,):
            columns[field.name] = Magnitudes(
                _padded(value.value, time), _padded(value.status, time, fill=Status.UNOBSERVED)
            )
        elif isinstance(value, np.ndarray):
            columns[field.name] = _padded(value, time, fill=-1 if field.name == "nodes" else None)
    return columns


def _padded(column: Array, time: int, *, fill: int | None = None) -> Array:
    missing = (*column.shape[:-1], time - column.shape[-1])
    filler = _NOTHING[column.dtype.kind] if fill is None else fill
    return np.concatenate([column, np.full(missing, filler, dtype=column.dtype)], axis=-1)
