"""What all charts have in common: the sentences on top, sizes for a wide and a narrow page, round ticks, the sheet.

Lengths are pixels, y goes down as far as `finish`, which makes the sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rnngraph.graph.key import LINE, Swatch, draw_key
from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.metrics import fit_end, width_of, wrap
from rnngraph.graph.sheet import Curve, Shape, Sheet, paragraph, sentences, words
from rnngraph.graph.sizes import check_theme, check_width, is_wide, round_step, sizes_of

TEXT, SMALL = 12.0, 11.0
HEAD = 40.0  # from the heading of a panel to its axes, whose names stand in between


@dataclass
class Paper:
    """A sheet that is being drawn, from the top downwards; `y` is how far it has come."""

    width: int
    theme: str
    shapes: list[Shape] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    y: float = 0.0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: a width too small, or a theme that is none.
        """
        check_width(self.width)
        check_theme(self.theme)

    @property
    def wide(self) -> bool:
        """Whether two panels have room beside each other."""
        return is_wide(self.width)

    @property
    def margin(self) -> float:
        """What is left free on every side."""
        return sizes_of(self.width).margin

    def head(self, *texts: str) -> None:
        """Write where, why, and what is shown."""
        found, y = sentences(texts, sizes_of(self.width), self.width)
        self.y = math.ceil(y)  # whole pixels, lest seams are seen between the cells below
        self.shapes += found

    @property
    def inner(self) -> float:
        """The width between the margins."""
        return self.width - 2 * self.margin

    def heading(self, name: str, text: str, x: float, y: float, room: float) -> None:
        """Write what a panel shows, above it; of a long name its end, which tells it from its neighbours."""
        text = fit_end(one_line(text), room, TEXT, bold=True)
        self.shapes.append(words(name, "header", text, x, y, TEXT, bold=True, align="left"))

    def key(self, swatches: Sequence[Swatch], said: str = "") -> None:
        """Write what colours and lines mean, and behind it what else is to be known."""
        right = self.width - self.margin
        shapes, curves, (x, self.y) = draw_key(swatches, (self.margin, self.y), left=self.margin, right=right)
        self.shapes += shapes
        self.curves += curves
        if said:
            if width_of(said, SMALL) > right - x:
                x, self.y = self.margin, self.y + LINE
            found = wrap(said, right - x, SMALL)
            self.shapes.append(paragraph("said", "legend", found, x, self.y - 8, 15, SMALL, ink="muted"))
            self.y += 15 * len(found)

    def finish(self, title: str, description: str) -> Sheet:
        """Make the sheet."""
        high = self.y + self.margin / 2
        frame = Box(self.width / 2, -high / 2, self.width, high)
        return Sheet(
            tuple(self.shapes), tuple(self.curves), frame, title=one_line(title), description=one_line(description),
            unit="px", theme=self.theme,
        )  # fmt: skip


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
