"""How much room there is for the columns of a picture that is seen from one loss.

In: pixels and rows. Out: the room, and what is left free beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnngraph.graph.one_loss.fold import Room
from rnngraph.graph.one_loss.view import SeenRow
from rnngraph.graph.sizes import NARROW, WIDE, is_wide, sizes_of


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
