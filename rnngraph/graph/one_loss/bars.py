"""Bars in a fold and in a strip: one a step, in that step's colour, or one a pixel where there are more steps.

In: values, a place. Out: shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.graph.sheet import Shape, rectangle
from rnngraph.graph.style.left import EXPLODED, FLOOR, GROWTH, MARK, tone
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
    """Choose the axis of a picture: from the floor to 100 %, or to the largest of a gradient that grows."""
    known = left[np.isfinite(left)]
    most = float(known.max()) if known.size else 0.0
    if most < GROWTH:
        return Axis(floor, 0.0, floor=floor)
    least = float(known.min())
    return Axis(0.0 if least > MARK else max(floor, np.floor(least)), most, floor=floor)


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
        bins = max(1, int(stop - start))
        edges = np.linspace(0, len(values), bins + 1).astype(int)
        found = np.array([_furthest(values[a:b]) for a, b in pairwise(edges)])
        values, pitch = found, (stop - start) / bins
    gap = 0.9 if pitch >= 4 else 0.4 if pitch >= 2.5 else 0.25
    for number, value in enumerate(values.tolist()):
        yield start + pitch * number, pitch - gap, value


def _furthest(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known[np.argmax(np.abs(known))]) if known.size else float("nan")
