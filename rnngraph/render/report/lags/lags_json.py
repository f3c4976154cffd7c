"""The lag report as a JSON document, for programs: strict JSON, null where there is no number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.render.report.headline import headline_document
from rnngraph.render.report.lags.states import StateLags, state_lags
from rnngraph.render.strict import json_line
from rnngraph.trace.model import Trace

SCHEMA = 1


def lags_json(trace: Trace, *, states: Sequence[str] | None = None) -> str:
    """Write the report of `rnngraph lags --json`: one line of JSON, without the line's end.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    return json_line({
        "schema": SCHEMA,
        "model": trace.model,
        "timesteps": trace.timesteps,
        "states": [_state(one) for one in state_lags(trace, states=states)],
        "updates": [
            {"recurrence": one.recurrence, "lags": one.lags.tolist(), "log10": (one.log / LN10).tolist()}
            for one in trace.updates
        ],
        "headline": headline_document(headline_of(trace)),
    })  # fmt: skip


def _state(one: StateLags) -> dict[str, Any]:
    return {
        "name": one.state.name,
        "layer": one.state.layer,
        "direction": one.state.direction,
        "kind": one.state.kind,
        "rate": one.summary.rate,
        "half_life": one.summary.half_life,
        "memory_horizon": one.summary.reach,
        "losses_available": one.lags.available,
        "samples": one.lags.samples.tolist(),
        "floor": None,  # of a gain, as earlier versions had one
        "max_lag": one.lags.max_lag,
        "curve": one.summary.curve_document(),
        "matrix": {
            "losses": one.lags.losses.tolist(),
            "timesteps": np.arange(-1, one.matrix.shape[1] - 1).tolist(),
            "log10": one.matrix.tolist(),
        },
    }
