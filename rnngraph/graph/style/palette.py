"""Colours: the names that shapes have, each with a colour on light and one on dark paper, and the scales of the sum.

Numbers in, names out; the scales of one picture are fitted to its graph. They are ones that people with
colour-blindness and printers keep in order. The colours that mean a status do so wherever they stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

from rnngraph.graph.model import Graph
from rnngraph.graph.sheet import Line
from rnngraph.graph.summary import Summary
from rnngraph.trace.magnitudes import Status

Stops = tuple[tuple[float, str, str], ...]  # place -> light, dark

# Everything that has one colour. What the page's style sheets name is here, too.
THEME: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#0f172a", "#f0f4f9"),
    "muted": ("#526077", "#a7b3c4"),
    "line": ("#8a97a8", "#74839a"),
    "rule": ("#d5dce6", "#303b4a"),
    "fold": ("#f6f8fb", "#131a24"),
    "fold-line": ("#94a3b8", "#64748b"),
    "amount": ("#b4bec9", "#566273"),  # bars of other quantities, which are grey and linear
    "middle": ("#0d1420", "#05080f"),  # text on 1 % to 3 %; darker on the dark one, to be read in grey
    "faint": ("#434f63", "#a7b3c4"),  # text on less than 1 %, where muted would not be told from the box
    "state": ("#eef2f7", "#161d28"),
    "gate-line": ("#aab3c0", "#48698f"),
    "op-line": ("#c3cbd6", "#465162"),
    "padding": ("#f3f4f6", "#171c24"),
    "padding-line": ("#d1d5db", "#333c49"),
    "padding-ink": ("#6b7482", "#8b96a6"),
    "red": ("#c62828", "#ff8a80"),
    "orange": ("#b45309", "#f59e0b"),
    "violet": ("#8e44ad", "#c792ea"),
    "grey": ("#858c99", "#8590a0"),
}


def between(value: float, theme: int, stops: Stops) -> str:
    """Mix the two stops around a value, in sRGB; `theme` is 1 for light and 2 for dark."""
    low, high = next((a, b) for a, b in pairwise(stops) if a[0] <= value < b[0] or b == stops[-1])
    return _mixed(str(low[theme]), str(high[theme]), (value - low[0]) / (high[0] - low[0]))


def _mixed(one: str, other: str, part: float) -> str:
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def evenly(light: str, dark: str) -> Stops:
    """Space colours, given with blanks between them, from 0 to 1."""
    pairs = list(zip(light.split(), dark.split(), strict=True))
    return tuple((number / (len(pairs) - 1), *pair) for number, pair in enumerate(pairs))


# Ten samples of matplotlib's viridis (CC0), without the end that vanishes on its paper.
VIRIDIS = evenly(
    "#440154 #472675 #404588 #35618d #2a798e #21918c #22a784 #43be70 #79d152 #aadc32",
    "#6658a8 #5274b2 #3e899e #2d9a92 #22aa83 #44bf70 #7ad151 #aadc32 #dae228 #fde725",
)
# From blue (shrinks) through grey (keeps) to orange (grows): distinct for every kind of colour vision.
BALANCE = evenly(
    "#053e8c #2d70b8 #78a5cd #a0a5ac #dea060 #cc6814 #8c3700", "#60a5fa #69a0e1 #7d9bc3 #8c929b #cd965f #e88c3c #fb923c"
)
# From the paper to brown, for boxes: no colour of the arrows.
AMOUNT = evenly("#fafaf9 #fde0b2 #f3a550 #c25a16 #6b2604", "#161d28 #4a2c12 #8f4a14 #d97a26 #ffcf9a")
# Of several curves the first to the last, from pale to strong.
STRENGTH = evenly("#b9cde8 #5b8fd6 #2563b8 #0b2f6b", "#2c4d78 #3d86dc #7db8fb #d6e9ff")
_FAMILIES = {"v": VIRIDIS, "b": BALANCE, "a": AMOUNT, "s": STRENGTH}
_STEPS = 96
_READABLE = 4.5  # the contrast that WCAG asks of text


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(code: str) -> float:
    parts = [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@cache
def step_of(name: str) -> tuple[str, str]:
    """Give a step of a scale in light and dark: `v7` itself, `v7i` for text on paper, `v7t` for text on it."""
    family, number, use = name[0], int(name[1:].rstrip("it")), name.lstrip(name[0] + "0123456789")
    found = []
    for theme in (0, 1):
        paper, ink = (THEME[one][theme] for one in ("paper", "ink"))
        own = between(number / _STEPS, theme + 1, _FAMILIES[family])
        if use == "t":
            own = max("#ffffff", "#000000", key=partial(_contrast, own))
        elif use == "i":
            inks = (_mixed(own, ink, part / 10) for part in range(11))
            own = next(one for one in inks if _contrast(one, paper) >= _READABLE)
        found.append(own)
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class Scale:
    """A colour scale from `low` to `high`, in decades (log10) or plain numbers; `family` is the letter of its names."""

    low: float
    high: float
    family: str = "v"

    def share(self, value: float) -> float:
        """Say where a value lies between 0 (low) and 1 (high)."""
        if math.isnan(value):
            return 0.0
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def colour(self, value: float) -> str:
        """Name the colour of a value."""
        return f"{self.family}{round(self.share(value) * _STEPS)}"

    def ink(self, value: float) -> str:
        """Name the colour of text on paper that belongs to a value."""
        return f"{self.colour(value)}i"

    def contrast(self, value: float) -> str:
        """Name the colour of text upon the value's."""
        return f"{self.colour(value)}t"


def strengths(count: int) -> list[str]:
    """Give so many colours from pale to strong; a single one is strong."""
    scale = Scale(min(0, count - 2), count - 1, "s")
    return [scale.colour(place) for place in range(count)]


def balanced(low: float, high: float) -> Scale:
    """Return a scale around 0 (log10 of a gain of 1), as far to either side as the wider needs."""
    known = [abs(value) for value in (low, high) if not math.isnan(value)]
    reach = max([math.log10(2), *known])
    return Scale(-reach, reach, "b")


COLOURS = ("grad", "gain", "saturation", "activation")
STATUS_LINES: dict[Status, tuple[str, Line]] = {
    Status.ZERO: ("grey", "dashed"),
    Status.UNDERFLOW: ("violet", "dashed"),
    Status.NONFINITE: ("red", "solid"),
    Status.UNOBSERVED: ("grey", "dotted"),
}


@dataclass(frozen=True, slots=True)
class Style:
    """The scales of one picture: of the arrows, the bars, the weights, and of the boxes where those are coloured."""

    color: str
    arrows: Scale
    bars: Scale
    weights: Scale
    fills: Scale | None


def choose_style(graph: Graph, color: str = "grad") -> Style:
    """Fit the scales to all steps of a graph, shown or not."""
    gains = graph.gains
    arrows = fitted(graph.carried)
    if color == "gain":
        arrows = balanced(math.log10(gains.low) if gains.low > 0 else math.nan, gains.log10)
    fills = None
    if color in ("saturation", "activation"):
        most = 1.0 if color == "saturation" else graph.activations.high
        fills = Scale(0.0, most if most > 0 else 1.0, "a")
    return Style(color, arrows, fitted(graph.gradients), fitted(graph.contributions), fills)


def fitted(found: Summary) -> Scale:
    """Return a scale over whole decades, at least two of them, that holds all that was summed up."""
    if not found.low > 0:
        return Scale(-1.0, 0.0)
    bottom, top = math.floor(math.log10(found.low) + 1e-9), math.ceil(math.log10(found.high) - 1e-9)
    return Scale(min(bottom, top - 2), top)
