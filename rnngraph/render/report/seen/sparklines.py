"""The rows of one loss as data: for every walk what is left by timestep, and where it ends, in words.

In: a walk. Out: a `Row`; and for a number over the steps a character a step or a bin of steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.one_loss import Walk
from rnngraph.diagnosis.sentences import percent, share_text, times_text
from rnngraph.graph.style.left import EXPLODED, GROWTH, MARK, end_of
from rnngraph.render.report.text import BAR_STYLE, BARS
from rnngraph.trace.magnitudes import Floats

LESS = "·"
# Legible on dark and on light; what is under the mark is dim on both.
ABOVE, BELOW, GROWN = f"bold {BAR_STYLE}", "dim", "bold #c2560c"

Spans = Sequence[tuple[int, int]]  # the steps of every character, half open


def smallest(values: Floats, spans: Spans) -> list[float]:
    """Give the smallest known value of every span; NaN where none is known."""
    found = []
    for first, stop in spans:
        part = values[first:stop]
        known = part[~np.isnan(part)]
        found.append(float(known.min()) if known.size else math.nan)
    return found


def character(value: float, low: float, high: float) -> str:
    """Choose a bar of eight heights for a value between two ends; a dot for less, a blank where nothing is known."""
    if math.isnan(value):
        return " "
    if value < low:
        return LESS
    if value >= high:  # also a gradient that is not finite
        return BARS[-1]
    return BARS[min(int((value - low) / (high - low) * len(BARS) + 1e-9), len(BARS) - 1)]


def style(decades: float) -> str:
    """Choose how a share is printed."""
    return GROWN if decades >= GROWTH else ABOVE if decades >= MARK else BELOW


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the report: decades by timestep, NaN where nothing was walked, and where it ends: what, and at what."""

    name: str
    decades: Floats  # (own T,)
    end: tuple[str, str]  # such as "1 % at", "lag 7"


def row_of(walk: Walk) -> Row:
    """Lay a walk out over time; the initial state is no step."""
    return Row(walk.name, walk.over_time(), _end(walk))


def _end(walk: Walk) -> tuple[str, str]:
    """Say where a walk ends: at the mark, where it explodes, or with what is left at its last step."""
    what, place = end_of(walk.decades, cut=walk.cut)
    if what == "nothing":
        return "", "unmeasured" if np.isnan(walk.decades).all() else f"under {percent(MARK)}"
    if what in ("explodes", "dies"):
        return f"{times_text(EXPLODED) if what == 'explodes' else percent(MARK)} at", f"lag {walk.lags[place]}"
    where = "the cut" if what == "cut" else f"t={walk.steps[place]}"
    return f"at {where}", share_text(float(walk.decades[place]))
