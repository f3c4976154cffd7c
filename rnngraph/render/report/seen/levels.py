"""Bars of one character: numbers over the steps in, a character a step or a bin of steps out.

Where a line has less room than there are steps, a character is the smallest of its bin, so that no gap is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnngraph.graph.style.left import GROWTH, MARK
from rnngraph.render.report.text import BARS
from rnngraph.trace.magnitudes import Floats

ASCII_LEVELS = "12345678"
LESS, ASCII_LESS = "·", "."
# Legible on dark and on light; what is under the mark is dim on both.
ABOVE, BELOW, GROWN = "bold #4477aa", "dim", "bold #c2560c"

Spans = Sequence[tuple[int, int]]  # the steps of every character, half open


def smallest(values: Floats, spans: Spans) -> list[float]:
    """Give the smallest known value of every span; NaN where none is known."""
    found = []
    for first, stop in spans:
        part = values[first:stop]
        known = part[~np.isnan(part)]
        found.append(float(known.min()) if known.size else math.nan)
    return found


def character(value: float, low: float, high: float, *, ascii_only: bool) -> str:
    """Choose a bar of eight heights for a value between two ends; a dot for less, a blank where nothing is known."""
    if math.isnan(value):
        return " "
    if value < low:
        return ASCII_LESS if ascii_only else LESS
    levels = ASCII_LEVELS if ascii_only else BARS
    if value >= high:  # also a gradient that is not finite
        return levels[-1]
    return levels[min(int((value - low) / (high - low) * len(levels) + 1e-9), len(levels) - 1)]


def style(decades: float) -> str:
    """Choose how a share is printed."""
    return GROWN if decades >= GROWTH else ABOVE if decades >= MARK else BELOW
