"""The decay report as a JSON document, for programs: strict JSON, null where a half-life is infinite or no number."""

from __future__ import annotations

from typing import Any

from rnngraph.render.report.decay.decay_terminal import summary_of
from rnngraph.render.report.lags.lags_report import LagSummary
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.decay import DecayReport, LayerDecay

SCHEMA = 1


def decay_json(report: DecayReport) -> str:
    """Write the report of `rnngraph decay --json`: one line of JSON, without the line's end."""
    return json_line({
        "schema": SCHEMA,
        "at": "zero input",
        "unit": "steps",
        **picked(report, "source", "fresh", "context", "thresholds", "notes"),
        "layers": [_layer(layer) for layer in report.layers],
        "unread": [picked(one, "name", "shape", "reason") for one in report.unread],
    })  # fmt: skip


def _layer(layer: LayerDecay) -> dict[str, Any]:
    document = {
        **picked(layer, "name", "family", "formula", "settings", "n", "quantiles", "published", "judged"),
        "findings": [picked(one, "rule", "severity", "evidence", "cause", "advice", "text") for one in layer.findings],
    }
    if layer.live is not None:
        document["live"] = {**picked(layer.live, "quantiles", "notes"), "credit": _credit(summary_of(layer))}
    return document


def _credit(credit: LagSummary | None) -> dict[str, Any] | None:
    if credit is None:
        return None
    return {**picked(credit, "half_life", "reach", "whole"), "curve": credit.curve_document()}
