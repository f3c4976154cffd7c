"""A diagnosis as text: the same lines as plain text, for a rich console, and as HTML for a notebook.

In: what was judged. Out: a `Diagnosis`; lines of styled parts: the three sentences of `headline`, and the body below
them, in brief, or in full with every finding, its cause and the thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, TypeAlias

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.finding import ERROR, NOTE, WARNING, Finding
from rnngraph.diagnosis.headline import apart, headline, tells
from rnngraph.diagnosis.judged import Judged, LayerVerdict
from rnngraph.diagnosis.remedies.search import CURES
from rnngraph.diagnosis.sentences import counted, is_left, percent, power, tempo

if TYPE_CHECKING:
    from rich.text import Text


Part: TypeAlias = tuple[str, str]  # text, style
UNTRIED = (
    "No remedy was tried: a trace alone cannot be run again. rnngraph diagnose model.py:build tries them on the batch; "
    "in Python, rnngraph.diagnose(trace, trial=rnngraph.trial(loss)), or rnngraph.trial(watch)."
)
NO_INPUT = (
    "What the network is fed is not known, so the states of its lowest layer are judged. It is known where lags are "
    "recorded and an input over time is given to a tape, tape.input of shape (N, T, ...); of a PyTorch model and of "
    "NumPy functions it is what a step multiplies with a weight; of JAX, what a scan reads step by step."
)
NO_UPDATE = (
    "Which share of the gradient of the weights comes from so far is not known: it is summed where each step's part of "
    "it is at hand, in this package's own layers and, with LagOptions(updates=True), in PyTorch's fused layers that "
    "are called once."
)
MORE = "print(diagnosis.full())"
# Colours that read on a light and on a dark ground, in a terminal and on a page.
_STYLES = {ERROR: "bold #cc3311", WARNING: "bold #997700", NOTE: "#4477aa"}
_PAGE = '<div class="rnngraph-diagnosis" style="font-family:sans-serif;white-space:pre-wrap">{code}</div>'
_LAYERS = 6  # that a report in brief lists


@dataclass(frozen=True, slots=True)
class Diagnosis(Judged):
    """The verdict on a network, with everything that it rests on; see `Judged` for the fields."""

    def __repr__(self) -> str:
        """Write the report as plain text: what was found, why, and what helps."""
        return _plain(lines(self))

    def full(self) -> str:
        """Write every finding with its cause and advice too, and the thresholds that they rest on."""
        return _plain(lines(self, full=True))

    def __rich__(self) -> Text:
        """Give the report to a rich console."""
        return text_of(lines(self))

    def _repr_html_(self) -> str:
        """Write the report as an HTML fragment, for a notebook."""
        from rich.console import Console

        console = Console(file=StringIO(), record=True, force_jupyter=False)  # there it would show itself, too
        console.print(self, soft_wrap=True)  # the page wraps its lines
        return console.export_html(inline_styles=True, code_format=_PAGE)


def text_of(parts: Iterable[list[Part]]) -> Text:
    """Put lines of styled parts together as a rich text."""
    from rich.text import Text

    return Text("\n").join([Text.assemble(*line) for line in parts])


def _plain(parts: Iterable[list[Part]]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in parts)


def lines(diagnosis: Judged, *, full: bool = False) -> Iterator[list[Part]]:
    """Give the report line by line, each a list of styled parts."""
    title, why, attempt = headline(diagnosis)
    yield [(title, "bold")]
    for word, text in (("Why  ", why), ("Try  ", attempt)):
        if text:
            yield [(word, "bold"), (text, "")]
    yield []
    yield from body(diagnosis, full=full)


def body(
    diagnosis: Judged, *, full: bool, tried: bool = False, untried: str | None = None, more: str = MORE
) -> Iterator[list[Part]]:
    """Give what stands below the three sentences.

    Args:
        diagnosis: the verdict.
        full: every finding with its cause, advice and thresholds; else what the three sentences do not say.
        tried: also what was tried in vain.
        untried: why no remedy was tried.
        more: how to ask for the rest.
    """
    _, why, attempt = headline(diagnosis)
    colour = "bold #228833" if diagnosis.healthy else _STYLES[ERROR]
    asked = ", the lag that is needed" if diagnosis.asked is not None else ""
    inside = f" in the {diagnosis.horizon_in}" if diagnosis.horizon_in else ""
    at = "" if math.isnan(diagnosis.decades) else f" at lag {diagnosis.horizon}{inside}{asked}"
    said = numbers(diagnosis)
    at += f": {said}" if said else "."
    yield [("Verdict: ", "bold"), (diagnosis.verdict.replace("_", " "), colour), (at, "")]
    if len(diagnosis.flags) > 1:
        yield [("Flags: ", "bold"), (", ".join(diagnosis.flags), "")]
    if len(diagnosis.by_layer) > 1:
        shown = diagnosis.by_layer if full else diagnosis.by_layer[:_LAYERS]
        yield from ([(layer_text(one), "")] for one in shown)
        if len(shown) < len(diagnosis.by_layer):
            yield [(f"  and {counted(len(diagnosis.by_layer) - len(shown), 'more layer')}", "")]
    for finding in diagnosis.findings:
        if full or (finding.rule != diagnosis.verdict and finding.text != why):
            yield []
            yield from _finding_lines(finding, attempt, full=full)
    if full and not math.isnan(diagnosis.decades):
        yield []
        yield [(_update_text(diagnosis), "")]
    if tried and diagnosis.tried:
        yield []
        for one in diagnosis.tried:
            yield [("Tried: ", "bold"), (f"{one.words}: {one.left}{'' if one.helps else ', in vain'}", "")]
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
    if not full:
        yield [(f"Measured: {diagnosis.measured}. More: {more}.", "dim")]
        return
    for check in diagnosis.checks:
        yield [("Checked: ", "bold"), (f"{check}.", "")]
    limits = ", ".join(f"{name} {value:g}" for name, value in diagnosis.thresholds.items())
    yield [(f"Horizon: lag {diagnosis.horizon}. Measured: {diagnosis.measured}. Thresholds: {limits}.", "dim")]


def _update_text(diagnosis: Judged) -> str:
    if diagnosis.update is None:
        return NO_UPDATE
    share = percent(diagnosis.update.decades)
    return f"Of the gradient of the weights {share} comes from lag {diagnosis.update.lag} and beyond."


def _finding_lines(finding: Finding, attempt: str, *, full: bool) -> Iterator[list[Part]]:
    yield [(f"{finding.rule.replace('_', ' ')} ({finding.severity}): ", _STYLES[finding.severity]), (finding.text, "")]
    if full:
        yield [("  cause: ", "bold"), (finding.cause, "")]
    if finding.advice != attempt and (full or finding.severity != NOTE):
        yield [("  advice: ", "bold"), (finding.advice, "")]


def numbers(diagnosis: Judged) -> str:
    """Say what is left at the horizon, how fast it goes, and how far it reaches."""
    if math.isnan(diagnosis.decades):
        return "no lag could be measured."
    where = "at the input" if diagnosis.at_input else "in the states"
    if diagnosis.verdict in ("unwritten", "exploding"):
        return ""  # what is left of next to nothing says nothing, and how much it grows the title says
    pace = tempo(diagnosis.rate) if tells(diagnosis) and not apart(diagnosis) else ""
    left = f"{is_left(diagnosis.decades)} {where}" if diagnosis.horizon > 1 else ""  # 100 % is that at lag 1
    parts = [left, pace]
    if diagnosis.reach:
        inside = (
            f" in the {diagnosis.reach_in}" if diagnosis.reach_in else " from the loss" if diagnosis.horizon_in else ""
        )
        end = f"lag {diagnosis.reach}{inside}" + (" at least" if diagnosis.whole else "")
        parts.append(f"{percent(math.log10(diagnosis.thresholds['epsilon']))} or more to {end}")
    return "; ".join(part for part in parts if part) + "."


def layer_text(one: LayerVerdict) -> str:
    """Say what one layer's states keep, in a line."""
    if math.isnan(one.left):
        return f"  {one.name}: {one.verdict.replace('_', ' ')}"
    return f"  {one.name}: {one.verdict.replace('_', ' ')}, {is_left(one.left)} in its states at lag {one.horizon}"


def _spectrum_lines(diagnosis: Judged) -> Iterator[list[Part]]:
    spectrum = diagnosis.spectrum or {}
    for stack in spectrum.get("stacks", ()):
        exponents = ", ".join(f"{value:+.4g}" for value in stack["lyapunov"])
        yield [(f"Lyapunov exponents of {stack['name']}: ", "bold"), (f"{exponents} nats a step", "")]
        largest = [value for value in stack["singular"] if math.isfinite(value)]
        text = f"  largest singular value of a step: {min(largest):.4g} to {max(largest):.4g}" if largest else ""
        if math.isfinite(stack["product_log"]):
            text += f"; of the whole product: {power(stack['product_log'] / LN10)}"
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
