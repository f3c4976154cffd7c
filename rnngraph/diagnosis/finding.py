"""What a diagnosis says, as data: findings, and the diagnosis that gathers them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

ERROR, WARNING, NOTE = "error", "warning", "note"
# The verdict is the first of these that is found.
VERDICTS = (
    "non_finite", "no_signal", "dead", "dead_inputs", "exploding", "saturated", "vanishing", "too_short", "truncated",
    "healthy",
)  # fmt: skip
FLAGS = (*VERDICTS, "attenuating")

Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: which rule, how grave, where, on what evidence, why, and what to do.

    `where` may hold `state`, `layer`, `direction`, `timestep`, `sample`, `parameter`, `input` and `node`. Evidence
    that is a gain is in decades, a rate in nats per step.
    """

    rule: str
    severity: str
    where: Mapping[str, Value]
    evidence: Mapping[str, Value]
    cause: str
    advice: str
    text: str  # one sentence for a person


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict at a horizon, with everything that it rests on.

    `decades` is the median gain at the horizon (-inf for an exact zero, NaN where there is none), `rate` its slope
    in nats per step, `memory_horizon` the lag beyond which less than `thresholds["epsilon"]` of a gradient is left.
    Where losses were followed only down to a gain of `floor` decades, `decades` at or below it is the most that may
    be left; None where they were followed to the first step.
    """

    model: str
    verdict: str
    flags: tuple[str, ...]
    horizon: int
    decades: float
    rate: float
    half_life: float | None
    memory_horizon: int | None
    floor: float | None
    measured: str  # which losses and samples were taken
    thresholds: Mapping[str, float]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()  # of the trace: what a reader of the numbers must know
    spectrum: Mapping[str, Any] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the verdict is healthy."""
        return self.verdict == "healthy"

    def __str__(self) -> str:
        """Write the report as plain text."""
        from rnngraph.diagnosis.report import plain

        return plain(self)

    def __rich__(self) -> Text:
        """Give the report to a rich console."""
        from rnngraph.diagnosis.report import rich_text

        return rich_text(self)

    def _repr_html_(self) -> str:
        """Show the report in a notebook."""
        from rnngraph.diagnosis.report import html

        return html(self)


def gain_text(decades: float, floor: float | None, form: str = "+.2f") -> str:
    """Write a gain in decades, as the most that may be left where it is at or below the floor."""
    if decades == -math.inf:
        return "exactly zero"
    bound = floor is not None and decades <= floor + 1e-9  # of the rounding from nats to decades
    return f"{'at most ' if bound else ''}1e{decades:{form}}"


def pace_texts(gain: str, horizon: int, rate: float, half_life: float | None) -> list[str]:
    """Say what is left at a horizon and how fast it goes, `rate` in nats a step, as far as it is known."""
    texts = [f"gain at lag {horizon}: {gain}"]
    if math.isfinite(rate):
        texts.append(f"rate {rate:+.4g} nats a step")
    if half_life is not None:
        texts.append(f"half-life {half_life:.3g} steps")
    return texts
