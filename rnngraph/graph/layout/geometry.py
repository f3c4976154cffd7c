"""Points and boxes, which layout measures with, text on one line, and Bézier chains between points.

Lengths are pixels, y goes down. A chain has `3k + 1` points: an end, and for every cubic piece two control
points and the next end.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its centre and size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """The x of the left side."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """The x of the right side."""
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        """The y of the upper side."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.y + self.height / 2

    def side(self, way: int) -> float:
        """The x of the left side, `way` -1, or of the right one, 1."""
        return self.x + way * self.width / 2


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where a column or row reaches."""

    start: float
    stop: float

    @property
    def middle(self) -> float:
        """The point half-way."""
        return (self.start + self.stop) / 2

    @property
    def size(self) -> float:
        """The distance from start to stop."""
        return self.stop - self.start


def one_line(text: str) -> str:
    """Make characters that would break a line or a file visible: a newline becomes ↵, a tab ⇥, others pictures."""
    if text.isprintable():  # nothing that is replaced is
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\n":
        return "↵"
    if character == "\t":
        return "⇥"
    code = ord(character)
    if code < 32:
        return chr(0x2400 + code)
    # Lone surrogates, unassigned specials and other controls have no place in XML or UTF-8.
    if unicodedata.category(character) in {"Cc", "Cs"} or code & 0xFFFE == 0xFFFE or character in "\u2028\u2029":
        return "�"
    return character


TURN = 7.0  # how long before a corner a way turns
ARC_DEPTH = 28.0  # how far an arrow back in time hangs below the boxes

Points = tuple[Point, ...]


def straight(start: Point, stop: Point) -> Points:
    """Return the one cubic piece that is the line from `start` to `stop`."""
    (a, b), (c, d) = start, stop
    return start, (a + (c - a) / 3, b + (d - b) / 3), (a + (c - a) * 2 / 3, b + (d - b) * 2 / 3), stop


def path(corners: Sequence[Point]) -> Points:
    """Return the chain of straight pieces along `corners`."""
    return (corners[0], *(point for pair in pairwise(corners) for point in straight(*pair)[1:]))


def rounded(corners: list[Point]) -> Points:
    """Return the chain of cubic pieces along `corners`, with the turns rounded off."""
    chain: list[Point] = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        start, stop = _toward(corner, before, TURN), _toward(corner, after, TURN)
        chain += [*straight(chain[-1], start)[1:], corner, corner, stop]
    return (*chain, *straight(chain[-1], corners[-1])[1:])


def hanging(start: Point, stop: Point, lean: float) -> Points:
    """Return the piece that hangs between two points like a rope; `lean` is how far its knees are set in."""
    low = max(start[1], stop[1]) + ARC_DEPTH + 6
    return start, (start[0] + lean, low), (stop[0] - lean, low), stop


def middle_of(piece: Points) -> Point:
    """Return the point half-way along a cubic piece."""
    (a, b), (c, d), (e, f), (g, h) = piece
    return (a + 3 * c + 3 * e + g) / 8, (b + 3 * d + 3 * f + h) / 8


def _toward(origin: Point, goal: Point, distance: float) -> Point:
    length = abs(goal[0] - origin[0]) + abs(goal[1] - origin[1])
    share = min(0.5, distance / length) if length else 0.0
    return origin[0] + (goal[0] - origin[0]) * share, origin[1] + (goal[1] - origin[1]) * share
