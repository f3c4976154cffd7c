"""The report of a gradient check, in colours for a person or as a JSON document for programs.

In comes what `check` returns, out comes something that a rich console can print, or text.
"""

from __future__ import annotations

from dataclasses import asdict

from rich.text import Text

from rnngraph.gradcheck.report import CheckReport
from rnngraph.render.report.text import printable
from rnngraph.render.strict import json_line, picked

SCHEMA = 1


def check_report(report: CheckReport) -> Text:
    """Colour a gradient check: the verdict, a row an argument, and what is wrong."""
    text = Text("\n".join(map(printable, report.lines())))
    text.highlight_regex(r"(?m)^gradients agree.*|  ok$", "green")
    text.highlight_regex(r"(?m)^gradients (DIFFER|CANNOT).*|  WRONG$", "bold red")
    text.highlight_regex(r"(?m)  (too small to|cannot) tell$", "yellow")
    return text


def check_json(report: CheckReport) -> str:
    """Write a gradient check as one line of strict JSON."""
    return json_line({
        "schema": SCHEMA,
        **picked(report, "passed", "dtype", "tolerance", "where"),
        "rows": [
            picked(row, "name", "analytic", "numeric", "relative_error", "passed", "resolved") for row in report.rows
        ],
        "culprits": [asdict(culprit) for culprit in report.culprits],
    })  # fmt: skip
