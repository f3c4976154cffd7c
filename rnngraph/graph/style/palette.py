"""Colours: a scale that people with colour-blindness and printers keep in order, and the fixed ones.

Numbers in, `#rrggbb` out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Colour = tuple[int, int, int]

# Ten samples of matplotlib's viridis (CC0), without its lightest end, which vanishes on white paper.
VIRIDIS: tuple[Colour, ...] = (
    (68, 1, 84), (71, 38, 117), (64, 69, 136), (53, 97, 141), (42, 121, 142), (33, 145, 140),
    (34, 167, 132), (67, 190, 112), (121, 209, 82), (170, 220, 50),
)  # fmt: skip
# From blue (shrinks) through grey (keeps) to orange (grows): distinct for every kind of colour vision.
BALANCE: tuple[Colour, ...] = (
    (5, 62, 140), (45, 112, 184), (120, 165, 205), (160, 165, 172), (222, 160, 96), (204, 104, 20), (140, 55, 0),
)  # fmt: skip
# From white to brown, for boxes: light where little is there, and no colour of the arrows.
AMOUNT: tuple[Colour, ...] = ((250, 250, 249), (253, 224, 178), (243, 165, 80), (194, 90, 22), (107, 38, 4))

RED = "#c62828"
ORANGE = "#d97706"
GREY = "#9ca3af"
PALE = "#c3cbd6"
VIOLET = "#8e44ad"


@dataclass(frozen=True, slots=True)
class Scale:
    """A colour scale from `low` to `high`, in decades (log10) or plain numbers."""

    low: float
    high: float
    stops: tuple[Colour, ...] = VIRIDIS

    def share(self, value: float) -> float:
        """Say where a value lies between 0 (low) and 1 (high)."""
        if math.isnan(value):
            return 0.0
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def colour(self, value: float) -> str:
        """Return the colour of a value."""
        return hexadecimal(self._mixed(value))

    def ink(self, value: float) -> str:
        """Return a colour for text on white: the value's own, darkened until it can be read."""
        red, green, blue = self._mixed(value)
        dark = min(1.0, 115 / max(luminance((red, green, blue)), 1))
        return hexadecimal((round(red * dark), round(green * dark), round(blue * dark)))

    def contrast(self, value: float) -> str:
        """Return ink or paper, whichever is read better on the value's colour."""
        return "paper" if luminance(self._mixed(value)) < 128 else "ink"

    def _mixed(self, value: float) -> Colour:
        along = self.share(value) * (len(self.stops) - 1)
        index = min(int(along), len(self.stops) - 2)
        part = along - index
        first, second = self.stops[index], self.stops[index + 1]
        red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
        return red, green, blue


def decades(low: float, high: float) -> Scale:
    """Return a scale over whole decades that holds `low` to `high` (log10), at least two of them."""
    if math.isnan(low) or math.isnan(high):
        return Scale(-1.0, 0.0)
    bottom, top = math.floor(low + 1e-9), math.ceil(high - 1e-9)
    return Scale(min(bottom, top - 2), top)


def balanced(low: float, high: float) -> Scale:
    """Return a scale around 0 (log10 of a gain of 1), as far to either side as the wider needs."""
    known = [abs(value) for value in (low, high) if not math.isnan(value)]
    reach = max([math.log10(2), *known])
    return Scale(-reach, reach, BALANCE)


def luminance(colour: Colour) -> float:
    """Return how light a colour looks, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def hexadecimal(colour: Colour) -> str:
    """Write a colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
