"""What all charts have in common: the sentences on top, sizes for a wide and a narrow page, round ticks, the sheet.

Lengths are pixels, y goes down as far as `finish`, which makes the sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from rnngraph.errors import InputError
from rnngraph.graph.draw import THEMES
from rnngraph.graph.layout.geometry import Box, one_line
from rnngraph.graph.layout.metrics import fit, width_of, wrap
from rnngraph.graph.one_loss.pen import paragraph, rectangle, words
from rnngraph.graph.one_loss.room import check_width
from rnngraph.graph.sheet import Curve, Shape, Sheet, Theme
from rnngraph.graph.style.left import GROWN, LEFT

MARGIN = 20.0
TEXT, SMALL = 12.0, 11.0
_WIDE = 640  # pixels from which two panels stand beside each other


@dataclass
class Paper:
    """A sheet that is being drawn, from the top downwards; `y` is how far it has come."""

    width: int
    theme: str
    shapes: list[Shape] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    y: float = MARGIN

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: a width too small, or a theme that is none.
        """
        check_width(self.width)
        if self.theme not in THEMES:
            raise InputError(f"the theme {self.theme!r} is unknown; choose one of {', '.join(THEMES)}.")

    @property
    def wide(self) -> bool:
        """Whether two panels have room beside each other."""
        return self.width >= _WIDE

    @property
    def margin(self) -> float:
        """What is left free on every side."""
        return MARGIN if self.wide else 14.0

    def head(self, title: str, why: str, small: str) -> None:
        """Write where, why, and what is shown."""
        sizes = ((21.0, 27.0), (14.0, 19.0), (12.0, 16.0)) if self.wide else ((18.0, 23.0), (12.5, 17.0), (11.0, 14.5))
        for name, text, (size, step), style in (
            ("title", title, sizes[0], {"bold": True}),
            ("why", why, sizes[1], {}),
            ("small", small, sizes[2], {"ink": "muted"}),
        ):
            bold = name == "title"
            found = wrap(one_line(text), self.width - 2 * self.margin, size, bold=bold) if text else []
            if found:
                self.shapes.append(paragraph(name, "title", found, self.margin, self.y, step, size, **style))
            self.y += step * len(found) + (3 if found else 0)

    def heading(self, name: str, text: str, x: float, y: float, room: float) -> None:
        """Write what a panel shows, above it."""
        self.shapes.append(words(name, "header", fit(text, room, TEXT, bold=True), x, y, TEXT, bold=True, align="left"))

    def legend(self, text: str, *, grown: bool) -> None:
        """Explain the colours, and write what else is to be known."""
        marks = [
            (LEFT[12], "100 %"),
            (LEFT[10], "10 %"),
            (LEFT[8], "1 %"),
            (LEFT[4], "1e-4"),
            (LEFT[0], "1e-6 or less"),
        ]
        marks += [(GROWN[0], "×3"), (GROWN[2], "×100"), (GROWN[3], "×1e4")] if grown else []
        x = self.margin
        for number, (tone, name) in enumerate(marks):
            long = width_of(name, SMALL) + 34
            if x + long > self.width - self.margin:
                x, self.y = self.margin, self.y + 18
            self.shapes.append(
                rectangle(f"key{number}", "legend", x, self.y - 6, 20, 12, fill=tone.name, stroke="line", thickness=0.5)
            )
            self.shapes.append(words(f"keyt{number}", "legend", name, x + 24, self.y, SMALL, ink="muted", align="left"))
            x += long
        if width_of(text, SMALL) > self.width - self.margin - x - 10:
            x, self.y = self.margin, self.y + 18
        else:
            x += 10
        found = wrap(text, self.width - self.margin - x, SMALL)
        self.shapes.append(paragraph("said", "legend", found, x, self.y - 8, 15, SMALL, ink="muted"))
        self.y += 15 * len(found)

    def finish(self, title: str, description: str) -> Sheet:
        """Make the sheet."""
        high = self.y + self.margin / 2
        frame = Box(self.width / 2, -high / 2, self.width, high)
        return Sheet(
            tuple(self.shapes), tuple(self.curves), frame, title=one_line(title), description=one_line(description),
            unit="px", theme=cast(Theme, self.theme),
        )  # fmt: skip


def ticks(count: int, room: float, *, apart: float = 34.0) -> Iterator[int]:
    """Give round numbers below `count`, from 0 on, and the last one; at least so many pixels apart."""
    if count < 1:
        return
    step = next(
        digit * 10**power for power in range(12) for digit in (1, 2, 5)
        if digit * 10**power * room / max(count - 1, 1) >= apart or digit * 10**power >= count
    )  # fmt: skip
    last = count - 1
    for value in range(0, last, step):
        if (last - value) * room / max(last, 1) >= apart * 0.7:
            yield value
    yield last


def spread(count: int, most: int) -> Sequence[tuple[int, int]]:
    """Divide so many steps among at most so many places, as half-open ranges."""
    from itertools import pairwise

    import numpy as np

    edges = np.linspace(0, count, min(count, most) + 1).round().astype(int).tolist()
    return list(pairwise(edges))
