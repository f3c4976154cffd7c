"""How much room there is: the two ways in which a picture is set, by its width.

In: pixels. Out: the room for columns, and the sizes of everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnngraph.errors import InputError
from rnngraph.graph.one_loss.fold import Room
from rnngraph.graph.one_loss.view import SeenRow

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


def check_width(width: object) -> None:
    """Refuse a width in which nothing can be read.

    Raises:
        InputError: no whole number between 200 and 100,000.
    """
    if not isinstance(width, int) or isinstance(width, bool) or not LEAST <= width <= MOST:
        raise InputError(f"the width is {width!r}; give pixels, a whole number from {LEAST} to {MOST}.")


def is_wide(width: int) -> bool:
    """Whether names stand beside the rows, and initial states beside the first step."""
    return width >= WIDE_FROM


def sizes_of(width: int) -> Sizes:
    """Give the sizes of a picture."""
    return SETTINGS[is_wide(width)]


def room_of(width: int, rows: Sequence[SeenRow]) -> Room:
    """Give the room that a picture has for its columns."""
    sizes = sizes_of(width)
    columns = sizes.columns if is_wide(width) else max(3, sizes.columns * width // NARROW)
    if width > WIDE:
        columns = sizes.columns * width // WIDE
    return Room(width - sizes.first - right_margin(width, rows), sizes.pitch, sizes.close, sizes.least, sizes.fold,
                int(columns))  # fmt: skip


def right_margin(width: int, rows: Sequence[SeenRow]) -> float:
    """Give the room that is left free on the right: also for the initial states of a reverse direction."""
    reverse = any(row.way == "right" and not math.isnan(row.initial) for row in rows)
    return sizes_of(width).margin + (44 if is_wide(width) and reverse else 0)
