"""A comparison as a JSON document, for programs: strict JSON, null where there is no number. Gains are in decades."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.history.compare.contrast import Comparison, Curves, Gates, parting_sentence, reach_sentence
from rnngraph.history.compare.norms_apart import NormsApart
from rnngraph.history.compare.side import Side
from rnngraph.render.report.history.history_json import reading_document, trend_document
from rnngraph.render.strict import json_line

SCHEMA = 1


def comparison_json(comparison: Comparison, *, worse: tuple[str, ...] | None = None) -> str:
    """Write the report of `rnngraph compare --json`: one line of JSON; `worse` is null where nobody asked."""
    parting, deciding = comparison.parting, comparison.deciding
    return json_line({
        "schema": SCHEMA,
        "text": [reach_sentence(comparison), parting_sentence(comparison)],
        "a": _side(comparison.a),
        "b": _side(comparison.b),
        "deciding": None if deciding is None else deciding.name,
        "curves": [_curves(one) for one in comparison.curves],
        "verdicts": [{"name": name, "a": one, "b": two} for name, one, two in comparison.verdicts],
        "parting": None if parting is None else _norms(parting),
        "norms": [_norms(one) for one in comparison.norms],
        "gates": [_gate(one) for one in comparison.gates],
        "left_out": list(comparison.left_out),
        "worse": None if worse is None else list(worse),
    })  # fmt: skip


def _side(side: Side) -> dict[str, Any]:
    one = side.measurement
    return {
        "label": side.label,
        "model": side.trace.model,
        "step": one.step,
        "loss": one.loss,
        "verdict": one.verdict,
        "flags": list(one.flags),
        "said": one.said,
        "reach": one.reach,
        "reach_is_whole": one.whole,
        "half_life": one.half_life,
        "trend": None if side.history is None else trend_document(side.history),
    }


def _curves(one: Curves) -> dict[str, Any]:
    both = (("a", one.a, one.gains[0], one.reaches[0]), ("b", one.b, one.gains[1], one.reaches[1]))
    return {
        "name": one.name,
        "at_input": one.a.at_input,
        "counts": one.a.counts or one.b.counts,
        "horizon": one.horizon,
        "longest": one.longest,
        "parts_at_lag": one.parts,
        **{key: reading_document(side, gain) | {"reach_in_common": reach} for key, side, gain, reach in both},
        "left": {key: np.round(side.left, 6).tolist() for key, side, _, _ in both},
    }


def _norms(one: NormsApart) -> dict[str, Any]:
    parts = one.parts is not None
    return {
        "recurrence": one.recurrence,
        "state": one.state,
        "start": one.start,
        "parts_after": one.parts,
        "timestep": {"a": one.timesteps[0], "b": one.timesteps[1]} if parts else None,
        "by": one.by if parts else None,
    }


def _gate(one: Gates) -> dict[str, Any]:
    return {
        "name": one.name,
        "mean": {"a": one.mean[0], "b": one.mean[1]},
        "saturated": {"a": one.saturated[0], "b": one.saturated[1]},
    }
