"""The report of a gradient check, as a table for a person or as a JSON document for programs.

In comes what `check` returns, out comes something that a rich console can print, or text.
"""

from __future__ import annotations

from dataclasses import asdict

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from rnngraph.autodiff.check.report import CheckReport, CheckRow
from rnngraph.render.report.text import printable
from rnngraph.render.strict import json_line

SCHEMA = 1


def check_report(report: CheckReport) -> Group:
    """Lay a gradient check out: a row a parameter and input, what is wrong, and the verdict."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("parameter or input", no_wrap=True)
    for heading in ("gradient", "differences", "relative error", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        numbers = f"{row.analytic:.4e}", f"{row.numeric:.4e}", f"{row.relative_error:.1e}"
        table.add_row(printable(row.name), *numbers, _verdict(row))
    culprits = [Text(printable(str(culprit)), style="red") for culprit in report.culprits]
    where = [Text(printable(sentence), style="red") for sentence in report.where]
    return Group(table, Text(), *where, *culprits, _conclusion(report))


def check_json(report: CheckReport) -> str:
    """Write a gradient check as one line of strict JSON."""
    return json_line({
        "schema": SCHEMA,
        "passed": report.passed,
        "dtype": report.dtype,
        "tolerance": report.tolerance,
        "rows": [asdict(row) for row in report.rows],
        "where": list(report.where),
        "culprits": [asdict(culprit) for culprit in report.culprits],
    })  # fmt: skip


def _conclusion(report: CheckReport) -> Text:
    how = f"({report.dtype}, tolerance {report.tolerance:g})"
    wrong = sum(row.resolved and not row.passed for row in report.rows)
    if report.passed:
        return Text(f"All {len(report.rows)} gradients agree with central differences {how}.", style="bold green")
    if not report.differs:
        return Text(
            f"Not every gradient can be compared with central differences {how}. {report.note}", style="bold red"
        )
    if not wrong:
        return Text("Every gradient agrees here, but a rule is wrong in itself.", style="bold red")
    text = f"{wrong} of {len(report.rows)} gradients differ from central differences {how}."
    if not report.culprits and not report.where:
        text += f" {report.note or 'No op was found wrong by itself: look at how gradients are added up.'}"
    return Text(text, style="bold red")


def _verdict(row: CheckRow) -> Text:
    if not row.resolved:
        return Text("too small to tell" if row.passed else "cannot tell", style="yellow")
    return Text("ok", style="green") if row.passed else Text("wrong", style="bold red")
