"""A row an argument: the direction in which claim and differences differ most, and what to make of kinks.

In: a subject. Out: rows of a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.gradcheck.report import CheckRow
from rnngraph.gradcheck.slopes import Line
from rnngraph.gradcheck.subject import Subject

BESIDE = 0.01  # how far the arguments move off a kink, as a share of their size
LOOKS: tuple[Callable[[Array], Array], ...] = (np.abs, lambda move: -np.abs(move), *[np.asarray] * 14)  # beside a kink


def worst_of(rows: list[CheckRow]) -> CheckRow:
    """Choose the direction to report: a wrong one before one that could not be resolved, then the largest error."""
    return max(rows, key=lambda one: (one.wrong, not one.passed, not one.resolved, one.relative_error))


def check_rows(subject: Subject, generator: np.random.Generator, directions: int) -> tuple[list[CheckRow], list[str]]:
    """Check every argument.

    Returns: rows, and sentences on those that cannot be told.
    """

    def worst_at(one: Subject, name: str, places: Sequence[int]) -> tuple[CheckRow, list[Line]]:
        drawn = [{place: one.direction(place, generator) for place in places} for _ in range(directions)]
        lines = [Line(one, direction, name) for direction in drawn]
        return worst_of([line.compare() for line in lines]), lines

    rows, notes = [], []
    beside: Subject | None = None
    around: list[Sequence[Any]] = []  # gradients beside a kink
    for name, places in subject.rows():
        worst, lines = worst_at(subject, name, places)
        told, finite = worst.passed and worst.resolved, all(np.isfinite(subject.claimed[k]).all() for k in places)
        if not told and finite and any(line.is_kinked() for line in lines):
            points = [subject.near(BESIDE, generator, turned) for turned in LOOKS if not around]
            around = around or [subject.gradients(one, subject.upstream) for one in points]
            if not all(is_between(subject.claimed[k], [one[k] for one in around]) for k in places):
                worst = replace(worst, passed=False, resolved=True)
            else:
                beside = beside or subject.at(subject.near(BESIDE, generator))
                worst, _ = worst_at(beside, name, places)
        if not worst.resolved and not (np.isfinite(worst.numeric) and all(k in subject.trusted for k in places)):
            worst = replace(worst, passed=False)
            notes.append(f"{worst.name}: differences cannot tell, because {_reason(worst, subject.dtype)}.")
        rows.append(worst)
    return rows, notes


def is_between(here: Array, beside: Sequence[Array]) -> bool:
    """Tell, where there is a kink at the point, whether the gradient is one that lies between those beside it.

    Every element is held to its range beside the point, widened by the largest of these ranges: where several kinks
    meet, a layer's gradient may lie outside of its own range, but not by much more than that.
    """
    around = np.array(beside)
    least, most = around.min(axis=0), around.max(axis=0)
    outside = np.maximum(here - most, least - here).max(initial=0.0)
    return not outside > (most - least).max(initial=0.0) + 1e-3 * np.abs(around).max(initial=0.0)


def _reason(one: CheckRow, dtype: str) -> str:
    if not np.isfinite(one.numeric):
        return "the forward gives NaN or infinity there"
    return (
        f"the slope is too small, or the forward too steep or bent, beside the {dtype} rounding of the outputs; let it "
        "compute in float64, or use arguments of which the outputs depend more, or fewer"
    )
