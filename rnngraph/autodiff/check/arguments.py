"""A row an argument: the direction in which claim and differences differ most, and what to make of kinks.

In: a subject. Out: rows of a report.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from rnngraph.autodiff.check.report import CheckRow
from rnngraph.autodiff.check.slopes import Comparison, compare
from rnngraph.autodiff.check.subject import Subject

BESIDE = {"float64": 0.01, "float32": 0.05}  # how far the arguments move off a kink, as a share of their size
LOOKS = 14  # random points beside a kink


def worst_of(results: list[Comparison]) -> Comparison:
    """Choose the direction to report: a wrong one before one that could not be resolved, then the largest error."""
    return max(
        results,
        key=lambda one: (one.resolved and not one.passed, not one.passed, not one.resolved, one.relative_error),
    )


def check_rows(
    subject: Subject,
    generator: np.random.Generator,
    *,
    directions: int,
    tolerance: float | None = None,
    trusted: Collection[int] = (),
) -> tuple[list[CheckRow], list[str]]:
    """Check every argument.

    Returns: rows, and sentences on those that cannot be told. At a place that is `trusted` such a row passes on the
        word of the ops' rules.
    """
    rows, notes = [], []
    beside: Subject | None = None
    with np.errstate(all="ignore"):
        for place in subject.floating():
            worst = _worst(subject, place, generator, directions, tolerance)
            if worst.kinked and not is_between(subject, place, generator):
                worst = replace(worst, passed=False, resolved=True)
            elif worst.kinked and not (worst.passed and worst.resolved):
                beside = beside or subject.beside(BESIDE[subject.dtype], generator)
                worst = _worst(beside, place, generator, directions, tolerance)
            name = subject.names[place]
            if not worst.resolved and not (place in trusted and np.isfinite(worst.numeric)):
                worst = replace(worst, passed=False)
                notes.append(f"{name}: {_reason(worst, subject.dtype)}.")
            rows.append(
                CheckRow(name, worst.analytic, worst.numeric, worst.relative_error, worst.passed, worst.resolved)
            )
    return rows, notes


def _worst(
    subject: Subject, place: int, generator: np.random.Generator, directions: int, tolerance: float | None
) -> Comparison:
    drawn = [subject.direction(place, generator) for _ in range(directions)]
    found = [compare(subject, place, direction, tolerance=tolerance) for direction in drawn]
    return replace(worst_of(found), kinked=any(one.kinked for one in found))


def is_between(subject: Subject, place: int, generator: np.random.Generator) -> bool:
    """Tell, where there is a kink at the point, whether the gradient is one that lies between those beside it.

    Every element is held to its range beside the point, widened by the largest of these ranges: where several kinks
    meet, a layer's gradient may lie outside of its own range, but not by much more than that.
    """
    found = []
    for look in range(LOOKS + 2):
        points = []
        for other, point in enumerate(subject.points):
            move = 0.01 * subject.direction(other, generator) if point.dtype.kind == "f" else np.zeros_like(point)
            points.append(point + (np.abs(move) if look == 0 else -np.abs(move) if look == 1 else move))
        gradient = subject.gradients(points, subject.upstream)[place]
        found.append(gradient)
    here, around = subject.claimed[place], np.array(found)
    assert here is not None
    least, most = around.min(axis=0), around.max(axis=0)
    outside = np.maximum(here - most, least - here).max(initial=0.0)
    allowed = (most - least).max(initial=0.0) + 1e-3 * np.abs(around).max(initial=0.0)
    return not outside > allowed


def _reason(one: Comparison, dtype: str) -> str:
    if not np.isfinite(one.numeric):
        return "differences cannot tell, because the forward gives NaN or infinity there"
    if one.rough:
        return (
            "differences cannot tell, because the forward has kinks close to the point, or is too steep, for steps "
            f"that are long enough for the {dtype} rounding of the outputs; let it compute in float64, or use fewer or "
            "other arguments"
        )
    return (
        f"differences cannot tell, because the slope is zero or too small beside the {dtype} rounding of the outputs; "
        "use arguments of which the outputs depend more"
    )
