"""The decay report as a JSON document, for programs: strict JSON, null where a half-life is infinite or no number."""

from __future__ import annotations

from typing import Any

from rnngraph.diagnosis.curve import LN10
from rnngraph.render.report.decay.credit_lines import CreditSummary, summary_of
from rnngraph.render.strict import json_line
from rnngraph.trace.decay import DecayFinding, DecayReport, LayerDecay

SCHEMA = 1


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
        "findings": [_finding(one) for one in layer.findings],
    }
    if layer.live is not None:
        quantiles = layer.live.quantiles
        document["live"] = {
            "quantiles": list(quantiles) if quantiles else None,
            "credit": _credit(summary_of(layer)),
            "notes": list(layer.live.notes),
        }
    return document


def _finding(finding: DecayFinding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "evidence": dict(finding.evidence),
        "cause": finding.cause,
        "advice": finding.advice,
        "text": finding.text,
    }


def _credit(credit: CreditSummary | None) -> dict[str, Any] | None:
    if credit is None:
        return None
    curve = credit.curve
    columns = [(values / LN10).tolist() for values in (curve.median, curve.low, curve.high)]
    return {
        "half_life": credit.half_life,
        "reach": credit.reach,
        "whole": credit.whole,
        "curve": [
            {"lag": lag, "median": median, "q10": low, "q90": high, "pairs": int(pairs)}
            for lag, (median, low, high, pairs) in enumerate(zip(*columns, curve.pairs, strict=True), start=1)
        ],
    }
