"""The report of a gradient check, as a table for a person or as a JSON document for programs.

In comes what `gradcheck` returns, out comes something that a rich console can print, or text.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from rnngraph.autodiff.gradcheck import GradcheckReport, GradcheckRow
from rnngraph.autodiff.rules import Culprit
from rnngraph.render.terminal_cells import printable

SCHEMA = 1


def check_report(report: GradcheckReport) -> Group:
    """Lay a gradient check out: a row a parameter and input, what is wrong, and the verdict."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("parameter or input", no_wrap=True)
    for heading in ("gradient", "differences", "relative error", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        numbers = f"{row.analytic:.4e}", f"{row.numeric:.4e}", f"{row.relative_error:.1e}"
        table.add_row(printable(row.name), *numbers, _verdict(row))
    culprits = [Text(printable(str(culprit)), style="red") for culprit in report.culprits]
    return Group(table, Text(), *culprits, _conclusion(report))


def check_json(report: GradcheckReport) -> str:
    """Write a gradient check as one line of strict JSON."""
    document = {
        "schema": SCHEMA,
        "passed": report.passed,
        "dtype": report.dtype,
        "tolerance": report.tolerance,
        "rows": [_plain(row) for row in report.rows],
        "culprits": [_plain(culprit) for culprit in report.culprits],
    }
    return json.dumps(document, allow_nan=False)


def _conclusion(report: GradcheckReport) -> Text:
    how = f"({report.dtype}, tolerance {report.tolerance:g})"
    wrong = sum(not row.passed for row in report.rows)
    if report.passed:
        return Text(f"All {len(report.rows)} gradients agree with central differences {how}.", style="bold green")
    if not wrong:
        return Text("Every gradient agrees here, but a rule is wrong in itself.", style="bold red")
    text = f"{wrong} of {len(report.rows)} gradients differ from central differences {how}."
    if not report.culprits:
        text += " Every op's own rule is right, so the fault is in how gradients are added up."
    return Text(text, style="bold red")


def _verdict(row: GradcheckRow) -> Text:
    if not row.passed:
        return Text("wrong", style="bold red")
    return Text("ok", style="green") if row.resolved else Text("too small to tell", style="yellow")


def _plain(record: GradcheckRow | Culprit) -> dict[str, Any]:
    """The fields of a record, with null for a number that JSON lacks."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(record).items()
    }
