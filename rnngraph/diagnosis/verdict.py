"""A diagnosis as data, and as text: the same lines as plain text, for a rich console, and as HTML for a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.finding import ERROR, NOTE, Finding
from rnngraph.diagnosis.remedies.tried import Tried
from rnngraph.diagnosis.sentences import gain_text, pace_texts

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


@dataclass(frozen=True, slots=True)
class LayerVerdict:
    """What one layer's own states make of a gradient: a line below the verdict on the network. Gains in decades."""

    name: str
    layer: int
    direction: str
    verdict: str
    horizon: int
    decades: float  # at the horizon, of what there was where the loss reads the layer: G
    decades_from_first: float  # of what there was a step before: G1
    peak: float
    rate: float
    half_life: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict on a network, with everything that it rests on.

    `decades` is what is left at the horizon, end to end: at what the network is fed where that is known (`at_input`), of
    what there was at lag 1, summed over losses and samples (-inf for an exact zero, NaN where there is none). `reach` is
    the lag up to which `thresholds["epsilon"]` of it is left, `whole` where that is all that was measured;
    `memory_horizon` is its older name. `asked` is the lag that the task was said to need. `rate` is the slope of the
    layer that decides, in nats per step. `participation` says which share of losses and samples carries it.
    """

    model: str
    verdict: str
    flags: tuple[str, ...]
    horizon: int
    decades: float
    rate: float
    half_life: float | None
    memory_horizon: int | None
    measured: str  # which losses and samples were taken
    thresholds: Mapping[str, float]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()  # of the trace: what a reader of the numbers must know
    spectrum: Mapping[str, Any] | None = None
    reach: int | None = None
    whole: bool = False
    asked: int | None = None
    at_input: bool = False
    participation: Mapping[str, float] = field(default_factory=dict)
    by_layer: tuple[LayerVerdict, ...] = ()
    cell: str = ""  # the title of the layer that decides
    tried: tuple[Tried, ...] = ()  # what was tried, in vain or not
    able: bool = False  # whether anything could be tried

    @property
    def healthy(self) -> bool:
        """Whether the verdict is healthy."""
        return self.verdict == "healthy"

    def __str__(self) -> str:
        """Write the report as plain text."""
        return "\n".join("".join(text for text, _ in line) for line in lines(self))

    def __rich__(self) -> Text:
        """Give the report to a rich console."""
        from rich.text import Text

        return Text("\n").join([Text.assemble(*line) for line in lines(self)])

    def _repr_html_(self) -> str:
        """Write the report as an HTML fragment, for a notebook."""
        rows = []
        for line in lines(self):
            spans = "".join(
                f'<span style="{_CSS[style]}">{escape(text)}</span>' if style in _CSS else escape(text)
                for text, style in line
            )
            rows.append(f"<div>{spans or '&nbsp;'}</div>")
        return f'<div class="rnngraph-diagnosis" style="font-family:sans-serif;line-height:1.5">{"".join(rows)}</div>'


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
    gain = gain_text(diagnosis.decades)
    parts = pace_texts(gain, diagnosis.horizon, diagnosis.rate, diagnosis.half_life)
    if diagnosis.memory_horizon is not None:
        end = diagnosis.memory_horizon
        reach = f"to lag {end}" if end < diagnosis.horizon else f"to lag {end} at least"
        parts.append(f"{diagnosis.thresholds['epsilon']:.0%} or more is left {reach}")
    return "; ".join(parts)


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
