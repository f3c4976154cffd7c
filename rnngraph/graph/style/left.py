"""The scale of every view of what is left: the ends of an axis, the names of its levels, colours and widths.

In: decades, the decimal logarithm of a share. Out: a `Tone`, which has a colour in light and one in dark, text, pixels.
The colour fades into the paper; one hue, the width, dots and the number say the same, so that print in grey does, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from rnngraph.graph.style.palette import THEME, Stops, between, step_of
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.precision import precision_of

FLOOR = -6.0  # smaller shares are drawn alike; numbers are never clipped
MARK = -2.0  # the mark stands at 1 %, where the colours jump on purpose
GROWTH = math.log10(3)  # a stack's lower layers rise to ×1.3, because credit sinks from above: that is no alarm
EXPLODED = 2.0  # the mark of a gradient that grows stands at ×100

# decades -> light, dark. White text needs the one at 3 % darker than half-way.
STOPS: Stops = (
    (-6.0, "#eef2f7", "#161d28"), (-4.0, "#dce5f1", "#1b2a3f"), (-2.0, "#b9cde8", "#274468"),
    (-2.0, "#5b8fd6", "#3d86dc"), (-1.5, "#3d76c4", "#5d9fec"),
    (-1.0, "#2563b8", "#7db8fb"), (0.0, "#0b2f6b", "#d6e9ff"),
)  # fmt: skip
# up to how many decades -> light, dark
RAMP: Stops = (
    (1.0, "#c2560c", "#e8792f"), (2.0, "#a63c06", "#ff9a52"), (4.0, "#862a04", "#ffb985"),
    (math.inf, "#5e1a02", "#ffdcc2"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tone:
    """One step of the scale: its name in style sheets, its two colours, and the name of the colour of text on it."""

    name: str
    light: str
    dark: str
    text: str


def _text(number: int) -> str:
    return "faint" if number < 8 else "middle" if number == 8 else "paper"


# Half a decade each: k0 is 1e-6 or less, k8 is 1 %, k12 is all of it; g0 begins at ×3.
LEFT = tuple(
    Tone(f"k{number}", between(number / 2 - 6, 1, STOPS), between(number / 2 - 6, 2, STOPS), _text(number))
    for number in range(13)
)
GROWN = tuple(Tone(f"g{number}", light, dark, "paper") for number, (_, light, dark) in enumerate(RAMP))
COLOURS = THEME | {tone.name: (tone.light, tone.dark) for tone in (*LEFT, *GROWN)}


def ends_of(values: Floats, lowest: float | None = None, *, floor: float = FLOOR) -> tuple[float, float]:
    """Give the ends of an axis in decades: a floor and 1, or all there is where it grows or goes to a `lowest`."""
    known = values[np.isfinite(values)]
    high = float(math.ceil(known.max())) if known.size and known.max() >= GROWTH else 0.0
    if lowest is None and not high:
        return floor, high
    least = math.floor(known.min(initial=0) + 1e-9)  # all of it may be rounded to a little less
    return max(floor if lowest is None else lowest, min(0.0 if high else -1.0, least)), high


What: TypeAlias = Literal["explodes", "dies", "unknown", "cut", "reaches", "nothing"]


def end_of(decades: Floats, *, cut: bool) -> tuple[What, int]:
    """Say how the credit of a loss ends that walks over steps of which so much is left, and at which of them.

    It explodes at the first step that passes ×100. Else it ends at the last one at which 1 % or more is left: there it
    dies, or what comes behind is unknown, or the walk itself ends, at a declared cut or as far as there are steps.
    Nothing, at -1, is where no step has as much.
    """
    grown, above = (np.flatnonzero(decades >= least) for least in (EXPLODED, MARK))
    if grown.size:
        return "explodes", int(grown[0])
    if not above.size:
        return "nothing", -1
    last = int(above[-1])
    if last + 1 < len(decades):
        return ("unknown" if math.isnan(decades[last + 1]) else "dies"), last
    return ("cut" if cut else "reaches"), last


def level_text(level: int) -> str:
    """Write a power of ten as what is left: ×1e4, ×100, 100 %, 1 %, 1e-4."""
    named = {2: "×100", 1: "×10", 0: "100 %", -1: "10 %", -2: "1 %", -3: "0.1 %"}
    return named.get(level) or (f"×1e{level}" if level > 0 else f"1e{level}")


def floor_of(dtype: str) -> float:
    """Give the decades under which shares of a kind of number are drawn alike: what it cannot tell from nothing."""
    return max(FLOOR, math.log10(precision_of(dtype).eps))


def tone(decades: float, *, floor: float = FLOOR) -> Tone:
    """Choose the step of the scale: the nearest half decade on this side of 1 %. Exactly nothing is the palest."""
    if math.isnan(decades) or decades <= floor:
        return LEFT[0]
    if decades >= GROWTH:
        return next(found for found, (most, _, _) in zip(GROWN, RAMP, strict=True) if decades <= most)
    number = round(2 * (min(decades, 0.0) + 6))
    return LEFT[max(number, 8) if decades >= MARK else min(max(number, 0), 7)]


def width(decades: float) -> float:
    """Give the width of an arrow in pixels: 2 at 1 %, 7 at 100 %, more for growth; thin, as it is dotted, below."""
    if math.isnan(decades) or decades < MARK:
        return 1.2
    if decades <= 0:
        return 7 + 2.5 * decades
    return 7 + 0.8 * min(decades, 5.0)  # a head that is wider has no room between two boxes


def is_dotted(decades: float) -> bool:
    """Whether an arrow is dotted: less than 1 % goes along it."""
    return not decades >= MARK


def colour(name: str, *, dark: bool = False) -> str:
    """Give the hexadecimal colour of a name in a theme; nothing for none."""
    return name and (COLOURS.get(name) or step_of(name))[dark]
