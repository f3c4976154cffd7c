"""Points and boxes, which layout measures with, and text on one line. Lengths are points (1/72 inch), y goes up."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

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
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.y - self.height / 2

    @property
    def top(self) -> float:
        """The y of the upper side."""
        return self.y + self.height / 2


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
