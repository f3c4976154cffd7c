"""The diagnosis of a trace for the page: the verdict and its findings as plain data.

In comes a trace, out goes a dictionary; None where the trace holds no lags, on which a verdict rests.
"""

from __future__ import annotations

from typing import Any

from rnngraph.diagnosis.diagnose import diagnose
from rnngraph.errors import RnnGraphError
from rnngraph.trace.model import Trace


def verdict(trace: Trace) -> dict[str, Any] | None:
    """Return the verdict and the findings."""
    if not trace.lags:
        return None
    try:
        found = diagnose(trace)
    except RnnGraphError:  # a picture of a trace on which no verdict can be given is still a picture
        return None
    return {
        "verdict": found.verdict,
        "horizon": found.horizon,
        "findings": [
            {
                "rule": one.rule, "severity": one.severity, "where": dict(one.where), "cause": one.cause,
                "advice": one.advice, "text": one.text,
            }
            for one in found.findings
        ],
    }  # fmt: skip
