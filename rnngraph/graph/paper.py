"""The paper of every picture: sentences on top, headings, names of rows and columns, the key, and the sheet at the end.

What is drawn stands on it from the top downwards. Its sizes are those for a wide page or for a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rnngraph.graph.layout.geometry import Box, Span, one_line
from rnngraph.graph.layout.metrics import balanced, fit, fit_end, largest, name_lines, width_of, wrap
from rnngraph.graph.model import Column
from rnngraph.graph.sheet import Curve, Line, Shape, Sheet, paragraph, rectangle, rule, words
from rnngraph.graph.sizes import Sizes, check_theme, check_width, is_wide, sizes_of
from rnngraph.graph.style.left import MARK

TEXT, SMALL, SMALLEST = 12.0, 11.0, 10.5  # font sizes
LINE = 18.0  # from line to line of the key
_WIDEST = 1100.0  # of a paragraph that is read
_SWATCH, _AWAY = 20.0, 14.0  # the width of a swatch; from one to the next


@dataclass(frozen=True, slots=True)
class Swatch:
    """What a colour, a line, a circle or a meter means, or words before others."""

    text: str
    fill: str = "paper"
    form: Literal["box", "rule", "ellipse", "meter", "words"] = "box"
    stroke: str = "line"
    line: Line = "solid"
    thickness: float = 0.6


@dataclass
class Paper:
    """A sheet that is being drawn; `y` is how far it has come. It may grow wider than the page for which it is set."""

    width: float
    theme: str
    shapes: list[Shape] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    y: float = 0.0
    wide: bool = field(init=False)  # two panels have room beside each other, and names beside their rows
    sizes: Sizes = field(init=False)

    def __post_init__(self) -> None:
        """Check the options, and choose the sizes of what is drawn.

        Raises:
            InputError: a width too small, or a theme that is none.
        """
        check_width(self.width)
        check_theme(self.theme)
        self.wide, self.sizes = is_wide(self.width), sizes_of(self.width)

    @property
    def margin(self) -> float:
        """What is left free on every side."""
        return self.sizes.margin

    @property
    def inner(self) -> float:
        """The width between the margins."""
        return self.width - 2 * self.margin

    @property
    def read(self) -> float:
        """The right end of what is read line by line."""
        return min(self.width, _WIDEST) - self.margin

    def head(self, title: str, why: str, *others: str) -> None:
        """Write where, why, and whatever is to be known, below each other."""
        sizes, y = self.sizes, self.margin
        looks: list[tuple[str, tuple[float, float], dict[str, Any]]] = [
            ("title", sizes.title, {"bold": True}), ("why", sizes.why, {}),
            *((f"small{number}", sizes.small, {"ink": "muted"}) for number in range(len(others))),
        ]  # fmt: skip
        for text, (name, (size, step), style) in zip((title, why, *others), looks, strict=True):
            if text:
                lines = balanced(one_line(text), self.read - self.margin, size, bold=name == "title", most=20)
                self.shapes.append(paragraph(name, "title", lines, self.margin, y, step, size, **style))
                y += step * len(lines)
            y += 2.5 if name == "title" else 3
        self.y = math.ceil(y)  # whole pixels, lest seams are seen between the cells below

    def heading(self, name: str, text: str, x: float, y: float, room: float) -> None:
        """Write what a panel shows, above it; of a long name its end, which tells it from its neighbours."""
        text = fit_end(one_line(text), room, TEXT, bold=True)
        self.shapes.append(words(name, "header", text, x, y, TEXT, bold=True, align="left"))

    def row_name(self, identity: str, name: str, note: str, middle: float, right: float) -> None:
        """Name a row on its left, and say below what it is."""
        x, hint = self.margin, ", ".join(text for text in (name, note) if text)
        names = name_lines(name, right - x, 12.5, most=3)
        middle += 6.5 * (len(names) - 1)
        top = middle + (1.5 if note else 6.5) - 13 * len(names)
        self.shapes.append(paragraph(identity, "row", names, x, top, 13, 12.5, bold=True, hint=hint))
        if note:
            lines = wrap(note, right - x, SMALL, most=2)
            self.shapes.append(paragraph(f"{identity}n", "row", lines, x, middle + 2.5, 13, SMALL, ink="muted",
                                         hint=hint))  # fmt: skip

    def column_names(self, columns: Sequence[Column], rooms: Sequence[Span], below: Sequence[str]) -> None:
        """Write under every column its steps, and below that what else is known of it."""
        for number, (column, room, more) in enumerate(zip(columns, rooms, below, strict=True)):
            bold = column.kind != "fold"
            ink = "muted" if column.kind == "fold" or column.valid == 0 else "ink"
            fits = (text for text in column.names if width_of(text, SMALLEST, bold=bold) <= room.size)
            name = next(fits, column.names[-1] if bold and column.names else "")
            text, size = largest(name, room.size, (11.5, SMALL, SMALLEST), bold=bold)
            style: dict[str, Any] = {"column": number, "ink": ink}
            if text:
                self.shapes.append(
                    words(f"head{number}", "header", text, room.middle, self.y, size, bold=bold, **style)
                )
            if more:
                self.shapes.append(words(f"below{number}", "header", fit(more, room.size, SMALL), room.middle,
                                         self.y + 14, SMALL, hint=more, **style | {"ink": "muted"}))  # fmt: skip

    def key(self, swatches: Sequence[Swatch], said: str = "") -> None:
        """Write what colours and lines mean behind each other, and behind that what else is to be known."""
        x, right = self.margin, self.read
        for number, one in enumerate(swatches):
            text, name, wide = one_line(one.text), f"key{number}", 0.0 if one.form == "words" else _SWATCH + 5
            long = wide + width_of(text, SMALL)
            if x > self.margin and (x + long > right or not wide):
                x, self.y = self.margin, self.y + LINE
            if one.form == "rule":
                style: dict[str, Any] = {"line": one.line, "thickness": one.thickness}
                self.curves.append(rule(name, [(x, self.y), (x + _SWATCH, self.y)], one.stroke, **style))
            elif wide:
                self.shapes += _swatch(name, one, x, self.y)
            shown = fit(text, right - x - wide, SMALL)
            self.shapes.append(words(f"{name}t", "legend", shown, x + wide, self.y, SMALL, ink="muted", align="left"))
            x += long + _AWAY
        if said:
            if width_of(said, SMALL) > right - x:
                x, self.y = self.margin, self.y + LINE
            found = wrap(said, right - x, SMALL)
            self.shapes.append(paragraph("said", "legend", found, x, self.y - 8, 15, SMALL, ink="muted"))
            self.y += 15 * len(found)

    def finish(self, title: str, description: str) -> Sheet:
        """Make the sheet."""
        high = self.y + self.margin / 2
        return Sheet(
            tuple(self.shapes), tuple(self.curves), Box(self.width / 2, high / 2, self.width, high),
            title=one_line(title), description=one_line(description), theme=self.theme,
        )  # fmt: skip


def _swatch(name: str, one: Swatch, x: float, y: float) -> Iterator[Shape]:
    left, wide, high = {"ellipse": (x + 4, 12.0, 12.0), "meter": (x, _SWATCH, 4.0)}.get(one.form, (x, _SWATCH, 10.0))
    form = "rectangle" if one.form == "meter" else one.form
    yield rectangle(name, "legend", left, y - high / 2, wide, high, form=form, fill=one.fill, stroke=one.stroke,
                    thickness=one.thickness, line=one.line)  # fmt: skip
    if one.form == "meter":
        yield rectangle(f"{name}p", "legend", x, y - high / 2, 0.65 * _SWATCH, high, fill="ink")


def shades(low: float, high: float, floor: float, *, short: bool = False) -> Iterator[Swatch]:
    """Name the steps of the scale of what is left that lie between two decades, and how far those of growth go."""
    yield Swatch("×1" if high > 0 else "100 %", "k12")
    grown = (("g0", "to ×10", 0.5), ("g1", "to ×100", 1), ("g2", "to ×1e4", 2), ("g3", "more", 4))
    yield from (Swatch(text, fill) for fill, text, decades in grown if high > decades)
    lost = (("k10", "10 %", -1), ("k8", "1 %", MARK), ("k4", "1e-4", -4))
    yield from (Swatch(text, fill) for fill, text, decades in lost
                if low <= decades > floor and not (short and decades == -1))  # fmt: skip
    if low <= floor:
        yield Swatch(f"{10**floor:.0e} or less".replace("e-0", "e-"), "k0")
