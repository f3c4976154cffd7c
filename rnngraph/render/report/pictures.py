"""The reports that have a picture of their own: what they are, and who draws them.

In: a report that `rg.decay`, `rg.history` or `rg.compare` returned. Out: bytes; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnngraph.errors import InputError
from rnngraph.history.compare.contrast import Contrast
from rnngraph.history.course import Course
from rnngraph.nearest import did_you_mean
from rnngraph.render.report.chart.document import FORMATS
from rnngraph.render.report.compare.comparison_picture import comparison_picture
from rnngraph.render.report.decay.decay_picture import decay_picture
from rnngraph.render.report.history.history_picture import history_picture
from rnngraph.trace.decay import DecayReport


@dataclass(frozen=True, slots=True)
class Pictured:
    """A kind of report, what it is called in messages, and the function that draws it in a format."""

    kind: type
    what: str
    draw: Callable[[Any, str], bytes]


PICTURED = (
    Pictured(DecayReport, "decays", decay_picture),
    Pictured(Course, "a history", history_picture),
    Pictured(Contrast, "a comparison", comparison_picture),
)


def pictured(report: object) -> Pictured | None:
    """Find who draws a report; None for whatever else."""
    return next((one for one in PICTURED if isinstance(report, one.kind)), None)


def format_of(path: Path, what: str) -> str:
    """Choose the format of a report's picture by the suffix of a path.

    Raises:
        InputError: `what` cannot be drawn in a file of this suffix.
    """
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        listed = ", ".join(f".{one}" for one in FORMATS)
        meant = did_you_mean(path.suffix, [f".{one}" for one in FORMATS]) or "."
        raise InputError(f"{str(path)!r} has no suffix that {what} can be drawn in; use one of {listed}{meant}")
    return name
