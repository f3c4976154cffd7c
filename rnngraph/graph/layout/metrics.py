"""The width of text in DejaVu Sans, the widest of the fonts that a sheet may be shown in: it fits in all of them.

In: text, a font size. Out: pixels, and text that is broken or cut to a width. The numbers are the advance widths of the
font in thousandths of its size; Helvetica's, Arial's and Liberation Sans' are about an eighth less.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

ELLIPSIS = "…"
LONGEST_LABEL = 1000  # characters; of signs without a width, thousands would fit into any
_OTHERS = {
    "\u00a0": 348, "×": 838, "·": 380, "…": 1000, "←": 1000, "→": 1000, "—": 1000, "\u2013": 556, "‖": 500, "∂": 544,
    "◂": 600, "▸": 600, "σ": 779, "²": 438,
}  # fmt: skip


class _Widths(dict[str, int]):
    """The width of every character, of those from the space to the tilde and some others as given."""

    def __init__(self, *given: int) -> None:
        super().__init__(zip(map(chr, range(32, 127)), given, strict=True), **_OTHERS)

    def __missing__(self, character: str) -> int:
        width = 1100 if unicodedata.east_asian_width(character) in "WF" else 750
        found = self[character] = 0 if unicodedata.combining(character) else width
        return found


_PLAIN = _Widths(
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656,
    557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613,
    635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818,
    592, 592, 525, 636, 337, 636, 838,
)  # fmt: skip
_BOLD = _Widths(
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696, 696,
    696, 696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775,
    637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500, 500, 675,
    716, 593, 716, 678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924,
    645, 652, 582, 712, 365, 712, 838,
)  # fmt: skip
_TOGETHER = re.compile(r"(?<=\d) (?=%)|(?<=\blag) (?=\d)| (?=×\d)| (?=·)")  # blanks at which no line ends
_PARTS = re.compile(r"[^ ._]*[ ._]|[^ ._]+")  # of a name
_MOST_WORDS = 4000  # characters of a paragraph that are looked at


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Measure the widest line of a text."""
    if "\n" in text:
        return max(width_of(line, size, bold=bold) for line in text.split("\n"))
    widths = _BOLD if bold else _PLAIN
    return sum(map(widths.__getitem__, text)) * size / 1000


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


def largest(text: str, width: float, sizes: Sequence[float], *, bold: bool = False) -> tuple[str, float]:
    """Choose the first of the sizes, which descend, at which a text fits; it is cut to the last where none does."""
    lines = [line[: LONGEST_LABEL + 1] for line in text.split("\n")]
    widest = max(width_of(line, 1.0, bold=bold) for line in lines)
    size = next((size for size in sizes[:-1] if widest * size <= width), sizes[-1])
    return "\n".join(fit(line, width, size, bold=bold) for line in lines), size


def fit_end(name: str, width: float, size: float, *, bold: bool = False) -> str:
    """Cut the beginning of a dotted name to a width: its end tells it from its neighbours."""
    if len(name) <= LONGEST_LABEL and width_of(name, size, bold=bold) <= width:
        return name
    return ELLIPSIS + fit(name[::-1], width, size, bold=bold).removesuffix(ELLIPSIS)[::-1]


def wrap(text: str, width: float, size: float, *, bold: bool = False, most: int = 6) -> list[str]:
    """Break a text into lines of a width, at most so many: the last one says with an ellipsis that it goes on."""
    lines, words = [""], _TOGETHER.sub("\u00a0", text[:_MOST_WORDS]).split(" ")
    for number, word in enumerate(words):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width_of(longer, size, bold=bold) <= width:
            lines[-1] = longer
        elif lines[-1] and len(lines) == most:
            lines[-1] = fit(" ".join((lines[-1], *words[number:])), width, size, bold=bold)
            break
        elif lines[-1]:
            lines.append(fit(word, width, size, bold=bold))
        else:
            lines[-1] = fit(word, width, size, bold=bold)
    return [line.replace("\u00a0·", " ·") for line in lines]


def balanced(text: str, width: float, size: float, *, bold: bool = False, most: int = 6) -> list[str]:
    """Break as `wrap` does, into lines of about the same length."""
    best = wrap(text, width, size, bold=bold, most=most)
    if len(best) == 1 or best[-1].endswith(ELLIPSIS):
        return best
    for share in (0.6, 0.7, 0.8, 0.9):
        found = wrap(text, width * share, size, bold=bold, most=most)
        if len(found) == len(best) and not found[-1].endswith(ELLIPSIS):
            return found
    return best


def longest_part(name: str, size: float) -> float:
    """Measure the widest part of a name in bold, such as its lines end with."""
    parts = _PARTS.findall(name[-LONGEST_LABEL:])
    return max((width_of(part.rstrip(), size, bold=True) for part in parts), default=0.0)


def name_lines(name: str, width: float, size: float, *, most: int) -> list[str]:
    """Break a name in bold behind its blanks, dots and underscores; within a part only where that is too wide.

    Of more lines than `most` these are the last, behind an ellipsis: the end of a name tells it from its neighbours.
    """
    lines = [""]
    for part in _PARTS.findall(name[-LONGEST_LABEL:]):
        for piece in [part] if width_of(part.rstrip(), size, bold=True) <= width else part:
            if lines[-1] and width_of((lines[-1] + piece).rstrip(), size, bold=True) > width:
                lines.append("")
            lines[-1] += piece
    if len(lines) > most:
        lines = [fit_end(ELLIPSIS + lines[-most], width, size, bold=True), *lines[len(lines) - most + 1 :]]
    return [line.rstrip() for line in lines]
