"""The width of text in Helvetica, and so in Arial, Liberation Sans and Nimbus Sans, which were made to its widths.

In: text, a font size. Out: pixels, and text that is broken or cut to a width. The numbers are the advance widths of the
font in thousandths of its size.
"""

from __future__ import annotations

import unicodedata

from rnngraph.graph.layout.geometry import ELLIPSIS, LONGEST_LABEL

# From the space to the tilde, regular and bold.
_PLAIN = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip
_BOLD = (
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
)  # fmt: skip
_OTHERS = {
    "\u00a0": 278, "×": 584, "·": 318, "…": 1000, "←": 1000, "→": 1000, "—": 1000, "\u2013": 556, "‖": 500, "∂": 540,
    "◂": 600, "▸": 600, "σ": 684, "²": 438,
}  # fmt: skip
_MOST_WORDS = 4000  # characters of a paragraph that are looked at


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Measure one line."""
    widths = _BOLD if bold else _PLAIN
    total = 0
    for character in text:
        code = ord(character)
        total += widths[code - 32] if 32 <= code < 127 else _other(character)
    return total * size / 1000


def fit(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Cut one line to a width, with an ellipsis where something is missing."""
    if len(text) <= LONGEST_LABEL and width_of(text, size, bold=bold) <= width:
        return text
    kept, room = [], width - width_of(ELLIPSIS, size, bold=bold)
    for character in text[:LONGEST_LABEL]:
        room -= width_of(character, size, bold=bold)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + ELLIPSIS


def wrap(text: str, width: float, size: float, *, bold: bool = False, most: int = 6) -> list[str]:
    """Break a text into lines of a width, at most so many: the last one says with an ellipsis that it goes on."""
    lines, words = [""], text[:_MOST_WORDS].split(" ")
    for number, word in enumerate(words):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width_of(longer, size, bold=bold) <= width:
            lines[-1] = longer
        elif len(lines) == most:
            lines[-1] = fit(" ".join((lines[-1], *words[number:])), width, size, bold=bold)
            return lines
        elif lines[-1]:
            lines.append(fit(word, width, size, bold=bold))
        else:
            lines[-1] = fit(word, width, size, bold=bold)
    return lines


def _other(character: str) -> int:
    if character in _OTHERS:
        return _OTHERS[character]
    if unicodedata.combining(character):
        return 0
    return 1100 if unicodedata.east_asian_width(character) in "WF" else 750
