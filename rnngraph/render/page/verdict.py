"""The diagnosis of a trace for the page: the verdict and its findings as plain data.

In comes a trace, out goes a dictionary; None where the trace holds no lags, on which a verdict rests.
"""

from __future__ import annotations

from typing import Any

from rnngraph.render.title import verdict_of
from rnngraph.trace.model import Trace


def verdict(trace: Trace) -> dict[str, Any] | None:
    """Return the verdict and the findings."""
    found = verdict_of(trace)
    if found is None:
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
