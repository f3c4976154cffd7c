"""A history as a JSON document, for programs: strict JSON, null where there is no number. Gains are in decades."""

from __future__ import annotations

from typing import Any

from rnngraph.history.course import History, Series, trend_sentence
from rnngraph.history.measurement import Measurement, Reading
from rnngraph.history.trend import Trend
from rnngraph.render.strict import json_line

SCHEMA = 1


def history_json(history: History) -> str:
    """Write the report of `rnngraph history --json`: one line of JSON, without the line's end."""
    return json_line({
        "schema": SCHEMA,
        "folder": history.folder,
        "horizon": history.horizon,
        "asked": history.asked,
        "checks": [
            _check(history, one, place, gain)
            for place, (one, gain) in enumerate(zip(history.measurements, history.gains, strict=True))
        ],
        "trend": trend_document(history),
        "trends": [{"name": one.name, "horizon": one.horizon, **_trend(history, one.trend)} for one in history.series],
        "skipped": [{"name": one.name, "reason": one.reason} for one in history.skipped],
    })  # fmt: skip


def _check(history: History, one: Measurement, place: int, gain: float) -> dict[str, Any]:
    return {
        "step": one.step,
        "file": one.label,
        "loss": one.loss,
        "verdict": one.verdict,
        "flags": list(one.flags),
        "reach": one.reach,
        "reach_is_whole": one.whole,
        "gain": gain,
        "half_life": one.half_life,
        "states": [_reading(line, place) for line in history.series if not line.at_input and line.readings[place]],
        "inputs": [_reading(line, place) for line in history.series if line.at_input and line.readings[place]],
        "trend": history.trend.trends[place],
    }


def _reading(line: Series, place: int) -> dict[str, Any]:
    one = line.readings[place]
    return reading_document(one, line.gains[place]) if one is not None else {}


def reading_document(one: Reading, gain: float) -> dict[str, Any]:
    """Lay one reading out, with its gain at whatever lag it is compared at."""
    document = {
        "name": one.name,
        "reach": one.reach,
        "reach_is_whole": one.whole,
        "gain": gain,
        "half_life": one.half_life,
    }
    return document if one.at_input else {**document, "peak": one.peak, "saturated": one.saturated}


def trend_document(history: History) -> dict[str, Any]:
    """Lay the trend of the whole out, with its sentence."""
    return _trend(history, history.trend) | {"text": trend_sentence(history)}


def _trend(history: History, trend: Trend) -> dict[str, Any]:
    known = trend.trend is not None
    return {"trend": trend.trend, "since": history.steps[trend.since] if known else None}
