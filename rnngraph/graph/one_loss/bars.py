"""Bars in a fold and in a strip: one a step, in that step's colour, or one a pixel where there are more steps.

In: values, a place. Out: shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.graph.sheet import Shape, rectangle
from rnngraph.graph.steps import spans_of
from rnngraph.graph.style.left import EXPLODED, FLOOR, MARK, ends_of, tone
from rnngraph.graph.style.palette import Scale
from rnngraph.trace.magnitudes import Floats


@dataclass(frozen=True, slots=True)
class Axis(Scale):
    """The decades from the foot of a bar to its top."""

    floor: float = FLOOR

    @property
    def marks(self) -> list[tuple[float, str]]:
        """The lines that are drawn across: 1 %, or ×100."""
        known = [(MARK, "1 %")] if self.low < MARK else []
        return known + ([(EXPLODED, "×100")] if self.high >= EXPLODED else [])


def axis_of(left: Floats, floor: float) -> Axis:
    """Choose the axis of a picture."""
    return Axis(*ends_of(left, floor=floor), floor=floor)


def bars(
    identity: str, values: Floats, x: tuple[float, float], foot: float, height: float, axis: Axis, *, subject: str = ""
) -> Iterator[Shape]:
    """Draw what is left, in logarithms, from a foot upwards."""
    for number, (left, width, value) in enumerate(_slots(values, x)):
        if np.isnan(value):
            continue
        high = max(2.0, axis.share(value) * height)
        style: dict[str, Any] = {"fill": tone(value, floor=axis.floor).name}
        pale = value < MARK
        if pale and width >= 3:
            style |= {"stroke": "line", "thickness": 0.4}
        yield rectangle(f"{identity}_{number}", "bar", left, foot - high, width, high, subject=subject, **style)
        if pale and width < 3:  # too narrow for an outline: its top alone, so that it is seen on the paper
            yield rectangle(f"{identity}_{number}t", "bar", left, foot - high, width, 0.8, fill="line")


def amounts(identity: str, values: Floats, x: tuple[float, float], foot: float, height: float) -> Iterator[Shape]:
    """Draw another quantity: grey and linear, the largest as high as there is room."""
    known = values[~np.isnan(values)]
    most = float(known.max()) if known.size and known.max() > 0 else 1.0
    for number, (left, width, value) in enumerate(_slots(values, x)):
        if not np.isnan(value):
            high = max(1.0, min(1.0, value / most) * height)
            yield rectangle(f"{identity}_{number}", "bar", left, foot - high, width, high, fill="amount")


def _slots(values: Floats, x: tuple[float, float]) -> Iterator[tuple[float, float, float]]:
    """Give left side, width and value of every bar; of several steps in one pixel the value that lies furthest off."""
    start, stop = x
    pitch = (stop - start) / len(values)
    if pitch < 1.2:
        spans = spans_of(len(values), int(stop - start))
        values, pitch = np.array([_furthest(values[a:b]) for a, b in spans]), (stop - start) / len(spans)
    gap = 0.9 if pitch >= 4 else 0.4 if pitch >= 2.5 else 0.25
    for number, value in enumerate(values.tolist()):
        yield start + pitch * number, pitch - gap, value


def _furthest(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known[np.argmax(np.abs(known))]) if known.size else float("nan")
