"""The decay report as a JSON document, for programs: strict JSON, null where a half-life is infinite or no number."""

from __future__ import annotations

from typing import Any

from rnngraph.render.report.decay.decay_terminal import summary_of
from rnngraph.render.report.lags.lags_report import LagSummary
from rnngraph.render.strict import json_line
from rnngraph.trace.decay import DecayReport, LayerDecay

SCHEMA = 1
FINDING = ("rule", "severity", "evidence", "cause", "advice", "text")


def decay_json(report: DecayReport) -> str:
    """Write the report of `rnngraph decay --json`: one line of JSON, without the line's end."""
    return json_line({
        "schema": SCHEMA,
        "source": report.source,
        "at": "zero input",
        "unit": "steps",
        "fresh": report.fresh,
        "context": report.context,
        "thresholds": dict(report.thresholds),
        "layers": [_layer(layer) for layer in report.layers],
        "unread": [{"name": one.name, "shape": list(one.shape), "reason": one.reason} for one in report.unread],
        "notes": list(report.notes),
    })  # fmt: skip


def _layer(layer: LayerDecay) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": layer.name,
        "family": layer.family,
        "formula": layer.formula,
        "settings": dict(layer.settings),
        "n": layer.n,
        "quantiles": list(layer.quantiles),
        "published": [list(five) for five in layer.published] if layer.published else None,
        "judged": layer.judged,
        "findings": [{name: getattr(one, name) for name in FINDING} for one in layer.findings],
    }
    if layer.live is not None:
        quantiles = layer.live.quantiles
        document["live"] = {
            "quantiles": list(quantiles) if quantiles else None,
            "credit": _credit(summary_of(layer)),
            "notes": list(layer.live.notes),
        }
    return document


def _credit(credit: LagSummary | None) -> dict[str, Any] | None:
    if credit is None:
        return None
    return {
        "half_life": credit.half_life,
        "reach": credit.reach,
        "whole": credit.whole,
        "curve": credit.curve_document(),
    }
