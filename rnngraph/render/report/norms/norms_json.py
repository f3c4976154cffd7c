"""The norms of a trace as a JSON document, for programs.

In comes a trace, out comes text with a schema number. A magnitude is `{"value", "log10", "status"}`; `value`
is null where nothing can be read (non-finite, not observed), and `log10` also where the value is 0. The text
is strict JSON: no NaN, no Infinity, ASCII only.
"""

from __future__ import annotations

import math
from typing import Any

from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.one_loss import OneLoss, Walk
from rnngraph.render.report.text import headline_document
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import ParameterTrace, StateTrace, Trace

SCHEMA = 1
QUANTILES = ("q10", "q50", "q90")


def norms_json(trace: Trace, seen: OneLoss | None = None) -> str:
    """Write the report of `rnngraph norms --json`: one line of JSON, without the line's end."""
    return json_line({
        "schema": SCHEMA,
        **picked(trace, "model", "batch", "timesteps", "dtype", "loss"),
        "states": [_state(state, trace) for state in trace.states],
        "parameters": [_parameter(parameter) for parameter in trace.parameters],
        "inputs": [{"name": one.name, "steps": _magnitudes(one.steps)} for one in trace.inputs],
        "headline": headline_document(headline_of(trace)),
        "seen_from": seen_document(seen),
    })  # fmt: skip


def _state(state: StateTrace, trace: Trace) -> dict[str, Any]:
    recurrence = trace.recurrence_of(state)
    columns: dict[str, list[Any]] = {
        "label": list(trace.labels),
        "valid": recurrence.valid.sum(axis=0).tolist(),
        "grad": _magnitudes(state.grad),
        "immediate": _magnitudes(state.immediate),
        "carried": _magnitudes(state.carried),
        "gain": state.gain.tolist(),
        "saturated": state.saturated.tolist(),
        "quantiles": [
            dict(zip(QUANTILES, step, strict=True))
            for step in zip(*(_magnitudes(state.quantiles[row]) for row in range(len(QUANTILES))), strict=True)
        ],
    }
    return {
        **picked(state, "name", "layer", "direction", "kind"),
        "initial": _magnitude(state.initial),
        "steps": [
            {"t": t} | {name: column[t] for name, column in columns.items()} for t in range(recurrence.timesteps)
        ],
    }


def _parameter(parameter: ParameterTrace) -> dict[str, Any]:
    return {
        **picked(parameter, "name", "cancellation"),
        "grad": _magnitude(parameter.grad),
        "steps": _magnitudes(parameter.steps),
    }


def _magnitude(magnitude: Magnitudes) -> dict[str, Any]:
    return _magnitudes(Magnitudes(magnitude.value.reshape(1), magnitude.status.reshape(1)))[0]


def _magnitudes(magnitudes: Magnitudes) -> list[dict[str, Any]]:
    columns = magnitudes.value.tolist(), magnitudes.log10.tolist(), magnitudes.status.tolist()
    return [
        {"value": value, "log10": log10, "status": Status(status).name.lower()}
        for value, log10, status in zip(*columns, strict=True)
    ]


def seen_document(seen: OneLoss | None) -> dict[str, Any] | None:
    """Lay a loss and its rows out as plain dictionaries, topmost layer last; None where it is the sum of all losses."""
    if seen is None:
        return None
    return {
        "t": seen.timestep,
        **picked(seen, "clock", "samples", "joint"),
        "rows": [_row(walk) for walk in seen.walks],
    }


def _row(walk: Walk) -> dict[str, Any]:
    steps = list(zip(walk.steps.tolist(), walk.lags.tolist(), walk.decades.tolist(), strict=True))
    initial = [] if math.isnan(walk.initial) else [(None, steps[-1][1] + 1, walk.initial)]
    return {
        **picked(walk, "name", "states", "cut"),
        "recurrence": walk.recurrence.name,
        "steps": [
            {"t": t, "lag": lag, "log10": log10, "zero": log10 == -math.inf} for t, lag, log10 in (*steps, *initial)
        ],
    }
