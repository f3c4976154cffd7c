"""A diagnosis as text: the same lines as plain text, for a rich console, and as HTML for a notebook.

In: a `Diagnosis`. Out: lines of styled parts, the three sentences of `headline` first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, TypeAlias

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.finding import ERROR, NOTE
from rnngraph.diagnosis.headline import sentences_of
from rnngraph.diagnosis.judged import Judged, LayerVerdict
from rnngraph.diagnosis.remedies.search import CURES
from rnngraph.diagnosis.sentences import gain_text, pace_texts

if TYPE_CHECKING:
    from rich.text import Text


Part: TypeAlias = tuple[str, str]  # text, style
UNTRIED = (
    "No remedy was tried: a saved trace, or a trace alone, cannot be run again. rnngraph diagnose model.py:build tries "
    "them on the batch, where build returns a loss of rnngraph or a PyTorch pair (module, batch); in Python, "
    "rnngraph.diagnose(trace, trial=rnngraph.trial(loss)), or rnngraph.trial(watch)."
)
NO_INPUT = (
    "What the network is fed is not known, so the states of its lowest layer are judged. A tape knows it where an "
    "input over time is given, tape.input of shape (N, T, ...), and lags are recorded; of a PyTorch model it is what "
    "was computed before, or data that a step multiplies with a weight."
)
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


def plain_text(diagnosis: Judged) -> str:
    """Write the report as plain text."""
    return "\n".join("".join(text for text, _ in line) for line in lines(diagnosis))


def rich_text(diagnosis: Judged, *, verbose: bool = False, untried: str | None = None) -> Text:
    """Give the report to a rich console; `untried` says why no remedy was tried."""
    from rich.text import Text

    return Text("\n").join([Text.assemble(*line) for line in lines(diagnosis, verbose=verbose, untried=untried)])


def html(diagnosis: Judged) -> str:
    """Write the report as an HTML fragment, for a notebook."""
    rows = []
    for line in lines(diagnosis):
        spans = "".join(
            f'<span style="{_CSS[style]}">{escape(text)}</span>' if style in _CSS else escape(text)
            for text, style in line
        )
        rows.append(f"<div>{spans or '&nbsp;'}</div>")
    return f'<div class="rnngraph-diagnosis" style="font-family:sans-serif;line-height:1.5">{"".join(rows)}</div>'


def lines(diagnosis: Judged, *, verbose: bool = False, untried: str | None = None) -> Iterator[list[Part]]:
    """Give the report line by line, each a list of styled parts."""
    title, why, attempt = sentences_of(diagnosis)
    yield [(title, "bold")]
    for word, text in (("Why  ", why), ("Try  ", attempt)):
        if text:
            yield [(word, "bold"), (text, "")]
    yield []
    colour = "bold green" if diagnosis.healthy else "bold red"
    asked = ", the lag that is needed" if diagnosis.asked is not None else ""
    at = f" at lag {diagnosis.horizon}{asked}"
    yield [("Verdict: ", "bold"), (diagnosis.verdict.replace("_", " "), colour), (at, "")]
    yield [(numbers(diagnosis), "")]
    if len(diagnosis.flags) > 1:
        yield [("Flags: ", "bold"), (", ".join(diagnosis.flags), "")]
    if len(diagnosis.by_layer) > 1:
        yield from ([(layer_text(one), "")] for one in diagnosis.by_layer)
    for finding in diagnosis.findings:
        yield []
        style = _STYLES.get(finding.severity, _WARNING_STYLE)
        yield [(f"{finding.rule.replace('_', ' ')} ({finding.severity}): ", style), (finding.text, "")]
        yield [("  cause: ", "bold"), (finding.cause, "")]
        if finding.advice != attempt:
            yield [("  advice: ", "bold"), (finding.advice, "")]
    if verbose and diagnosis.tried:
        yield []
        for tried in diagnosis.tried:
            yield [("Tried: ", "bold"), (f"{tried.words}: {tried.left}{'' if tried.helps else ', in vain'}", "")]
    if diagnosis.spectrum is not None:
        yield []
        yield from _spectrum_lines(diagnosis)
    yield []
    if diagnosis.verdict in CURES and not diagnosis.able:
        yield [("Note: ", "bold"), (untried or UNTRIED, "")]
    if not diagnosis.at_input and not math.isnan(diagnosis.decades):
        yield [("Note: ", "bold"), (NO_INPUT, "")]
    for note in diagnosis.notes:
        yield [("Note: ", "bold"), (f"{note.rstrip('.')}.", "")]
    limits = ", ".join(f"{name} {value:g}" for name, value in diagnosis.thresholds.items())
    yield [(f"Horizon: lag {diagnosis.horizon}. Measured: {diagnosis.measured}. Thresholds: {limits}.", "dim")]


def numbers(diagnosis: Judged) -> str:
    """Say what is left at the horizon, and how fast it goes, in a line."""
    if math.isnan(diagnosis.decades):
        return "No lag could be measured."
    gain = gain_text(diagnosis.decades) + (" at the input" if diagnosis.at_input else " in the states")
    parts = pace_texts(gain, diagnosis.horizon, diagnosis.rate, diagnosis.half_life)
    if diagnosis.reach is not None:
        end = diagnosis.reach
        reach = f"to lag {end} at least" if diagnosis.whole else f"to lag {end}"
        parts.append(f"{diagnosis.thresholds['epsilon']:.0%} or more is left {reach}")
    return "; ".join(parts)


def layer_text(one: LayerVerdict) -> str:
    """Say what one layer's states keep, in a line."""
    if math.isnan(one.decades):
        return f"  {one.name}: {one.verdict.replace('_', ' ')}"
    first = gain_text(one.decades_from_first, "+.1f")
    return (
        f"  {one.name}: {one.verdict.replace('_', ' ')}, {gain_text(one.decades, '+.1f')} in its states at lag "
        f"{one.horizon} ({first} from lag 1 on)"
    )


def _spectrum_lines(diagnosis: Judged) -> Iterator[list[Part]]:
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
