"""Points, boxes and the width of text: what layout measures with. Lengths are points (1/72 inch), y goes up."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

Point = tuple[float, float]
ELLIPSIS = "…"
LONGEST_LABEL = 1000  # characters; of signs without a width, thousands would fit into any
_NARROW = frozenset("ijl.,:;'|!()[]{}It f-·")


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


def text_width(text: str, size: float) -> float:
    """Estimate the width of the widest line of `text`; rather too wide, because fonts differ by machine."""
    return max((sum(map(_character_width, line)) for line in text.split("\n")), default=0.0) * size


def shorten(text: str, width: float, size: float) -> str:
    """Cut `text` to `width` points, with an ellipsis where something is missing."""
    if len(text) <= LONGEST_LABEL and text_width(text, size) <= width:
        return text
    kept, room = [], width - text_width(ELLIPSIS, size)
    for character in text[:LONGEST_LABEL]:
        room -= _character_width(character) * size
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + ELLIPSIS


def shorten_name(name: str, width: float, size: float) -> str:
    """Cut the beginning of a dotted name to `width` points: its end tells it from its neighbours."""
    if len(name) <= LONGEST_LABEL and text_width(name, size) <= width:
        return name
    return ELLIPSIS + shorten(name[::-1], width, size).removesuffix(ELLIPSIS)[::-1]


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


def _character_width(character: str) -> float:
    if character in _NARROW:
        return 0.4
    if character.isascii():
        return 0.72 if character.isupper() or character in "mwMW@%<>=+" else 0.63
    if unicodedata.combining(character):
        return 0.0
    return 1.1 if unicodedata.east_asian_width(character) in "WF" else 0.75
