"""The two ways in which a picture in pixels is set, by its width: for a page, and for a phone.

In: pixels. Out: the sizes of everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.errors import InputError
from rnngraph.nearest import check_known

THEMES = ("auto", "light", "dark")
WIDE, NARROW = 900, 390
WIDE_FROM = 640  # narrower pictures are set as for a phone
LEAST, MOST = 200, 100_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths in pixels."""

    margin: float
    first: float  # where the columns begin
    pitch: float
    close: float  # to which a column shrinks for a fold's sake
    least: float
    fold: float
    columns: int
    box: tuple[float, float]
    title: tuple[float, float]  # font size and line height
    why: tuple[float, float]
    small: tuple[float, float]
    strip: float  # where the strips begin
    loss: float  # radius


SETTINGS = {
    True: Sizes(20, 146, 66, 57, 52, 60, 10, (50, 32), (21, 26), (14, 19), (12, 15), 212, 15),
    False: Sizes(16, 16, 54, 50, 48, 40, 5, (46, 30), (18, 22.5), (12.5, 17), (11, 14), 16, 14),
}


def round_step(least: float) -> int:
    """Give the smallest of 1, 2, 5, 10, 20, ... that is no less."""
    power = 1
    while 5 * power < least:
        power *= 10
    return next(digit * power for digit in (1, 2, 5) if digit * power >= least)


def ticks(places: range, room: float, *, apart: float = 34.0) -> list[int]:
    """Choose the first place, round numbers, and the last one; at least so many pixels apart."""
    if not places:
        return []
    first, last = places[0], places[-1]
    pitch = room / max(last - first, 1)
    step = round_step(apart / pitch)
    near = max(0.7 * apart, 8.0 * len(str(last)))  # both ends are written, with all their digits
    inner = [value for value in range(0, last, step) if min(value - first, last - value) * pitch >= near]
    return sorted({first, *inner, last})


def check_width(width: object) -> None:
    """Refuse a width in which nothing can be read.

    Raises:
        InputError: no whole number between 200 and 100,000.
    """
    if not isinstance(width, int) or isinstance(width, bool) or not LEAST <= width <= MOST:
        raise InputError(f"the width is {width!r}; give pixels, a whole number from {LEAST} to {MOST}.")


def check_theme(theme: object) -> None:
    """Refuse a theme that is none.

    Raises:
        InputError: neither auto, light nor dark.
    """
    check_known([str(theme)], THEMES, "the theme {} is unknown; choose")


def is_wide(width: float) -> bool:
    """Whether names stand beside the rows, and initial states beside the first step."""
    return width >= WIDE_FROM


def sizes_of(width: float) -> Sizes:
    """Give the sizes of a picture."""
    return SETTINGS[is_wide(width)]
