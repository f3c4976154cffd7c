"""A diagnosis as text: the same lines as plain text, for a rich console, and as HTML for a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, TypeAlias

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.finding import ERROR, NOTE, Diagnosis, gain_text, pace_texts

if TYPE_CHECKING:
    from rich.text import Text

Part: TypeAlias = tuple[str, str]  # text, style
_STYLES = {ERROR: "bold red", NOTE: "cyan"}
_WARNING_STYLE = "bold yellow"
# A rich style as CSS that reads on a light and on a dark page.
_CSS = {
    "bold": "font-weight:bold",
    "bold green": "font-weight:bold;color:#228833",
    "bold red": "font-weight:bold;color:#cc3311",
    "bold yellow": "font-weight:bold;color:#997700",
    "cyan": "color:#4477aa",
    "dim": "opacity:.7",
}


def lines(diagnosis: Diagnosis) -> Iterator[list[Part]]:
    """Give the report line by line, each a list of styled parts."""
    colour = "bold green" if diagnosis.healthy else "bold red"
    yield [("Verdict: ", "bold"), (diagnosis.verdict.replace("_", " "), colour), (f" at lag {diagnosis.horizon}", "")]
    yield [(numbers(diagnosis), "")]
    if len(diagnosis.flags) > 1:
        yield [("Flags: ", "bold"), (", ".join(diagnosis.flags), "")]
    for finding in diagnosis.findings:
        yield []
        style = _STYLES.get(finding.severity, _WARNING_STYLE)
        yield [(f"{finding.rule.replace('_', ' ')}: ", style), (finding.text, "")]
        yield [("  cause: ", "bold"), (finding.cause, "")]
        yield [("  advice: ", "bold"), (finding.advice, "")]
    if diagnosis.spectrum is not None:
        yield []
        yield from _spectrum_lines(diagnosis)
    yield []
    for note in diagnosis.notes:
        yield [("Note: ", "bold"), (f"{note.rstrip('.')}.", "")]
    limits = ", ".join(f"{name} {value:g}" for name, value in diagnosis.thresholds.items())
    yield [(f"Horizon: lag {diagnosis.horizon}. Measured: {diagnosis.measured}. Thresholds: {limits}.", "dim")]


def numbers(diagnosis: Diagnosis) -> str:
    """Say what is left at the horizon, and how fast it goes, in a line."""
    if math.isnan(diagnosis.decades):
        return "No lag could be measured."
    gain = gain_text(diagnosis.decades, diagnosis.floor)
    parts = pace_texts(gain, diagnosis.horizon, diagnosis.rate, diagnosis.half_life)
    if diagnosis.memory_horizon is not None:
        end = diagnosis.memory_horizon
        reach = f"to lag {end}" if end < diagnosis.horizon else f"to lag {end} at least"
        parts.append(f"{diagnosis.thresholds['epsilon']:.0%} or more is left {reach}")
    return "; ".join(parts)


def plain(diagnosis: Diagnosis) -> str:
    """Write the report as plain text."""
    return "\n".join("".join(text for text, _ in line) for line in lines(diagnosis))


def rich_text(diagnosis: Diagnosis) -> Text:
    """Give the report to a rich console."""
    from rich.text import Text

    return Text("\n").join([Text.assemble(*line) for line in lines(diagnosis)])


def html(diagnosis: Diagnosis) -> str:
    """Write the report as an HTML fragment."""
    rows = []
    for line in lines(diagnosis):
        spans = "".join(
            f'<span style="{_CSS[style]}">{escape(text)}</span>' if style in _CSS else escape(text)
            for text, style in line
        )
        rows.append(f"<div>{spans or '&nbsp;'}</div>")
    return f'<div class="rnngraph-diagnosis" style="font-family:sans-serif;line-height:1.5">{"".join(rows)}</div>'


def _spectrum_lines(diagnosis: Diagnosis) -> Iterator[list[Part]]:
    spectrum = diagnosis.spectrum or {}
    for stack in spectrum.get("stacks", ()):
        exponents = ", ".join(f"{value:+.4g}" for value in stack["lyapunov"])
        yield [(f"Lyapunov exponents of {stack['name']}: ", "bold"), (f"{exponents} nats a step", "")]
        largest = [value for value in stack["singular"] if math.isfinite(value)]
        text = f"  largest singular value of a step: {min(largest):.4g} to {max(largest):.4g}" if largest else ""
        if math.isfinite(stack["product_log"]):
            text += f"; of the whole product: 1e{stack['product_log'] / LN10:+.2f}"
        if text:
            yield [(text, "")]
    for name, weight in spectrum.get("weights", {}).items():
        parts = [
            f"{label} {weight[key]:.4g}"
            for key, label in (
                ("spectral_radius", "spectral radius"),
                ("largest_singular_value", "largest singular value"),
            )
            if math.isfinite(weight[key])
        ]
        yield [(f"  {name}: ", ""), (", ".join(parts), "")]
