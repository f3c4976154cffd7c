"""Parts of sentences that findings, reports and pictures have in common: what is left, and how fast it goes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rnngraph.diagnosis.curve import LN10
from rnngraph.diagnosis.evidence import is_extinct
from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Path

NEXT_TO_NOTHING = -6.0  # decades, below which a person is told so in words
_ALL, _MORE = math.log10(0.995), math.log10(1.5)  # between these a sentence says "all"
_GROWN = math.log10(1.05)  # from here on what is left is written as a growth
NECESSARY = "That is needed to learn from there, but may not be enough."  # of what a remedy leaves
_FRACTIONS = (
    (0.9, "nine tenths"), (0.8, "four fifths"), (0.75, "three quarters"), (2 / 3, "two thirds"), (0.5, "half"),
    (1 / 3, "a third"), (0.25, "a quarter"), (0.2, "a fifth"), (0.1, "a tenth"), (0.01, "a hundredth"),
    (0.001, "a thousandth"),
)  # fmt: skip


def tempo(rate: float) -> str:
    """Say in how many steps a gradient halves or doubles, `rate` in nats a step; nothing where it hardly does."""
    if not math.isfinite(rate) or abs(rate) < 1e-4:
        return ""
    number = amount_text(math.log(2) / abs(rate))
    return f"{'halved' if rate < 0 else 'doubled'} every {'step' if number == '1' else f'{number} steps'}"


def no_credit(path: Path) -> str:
    """Say beyond which lag nothing is learnt, and what is left at the one that is judged."""
    epsilon, layer = percent(math.log10(path.layer.limits.epsilon)), path.layer
    beyond = f"there is no credit beyond lag {path.reach} (less than {epsilon} is left)"
    if path.decades == -math.inf:
        return f"{beyond}: the gradient is exactly zero at lag {path.horizon}."
    resolved = f" Beside a gradient of short lag {layer.trace.dtype} cannot tell that from nothing."
    left = f"{is_left(path.decades)} at lag {path.horizon}{pace_of(path)}."
    return f"{beyond}: {left}{resolved if is_extinct(path) else ''}"


def unexplained(rate: float, lag: int, decades: float) -> float:
    """Give the decades by which less is left at a lag than a pace in nats a step explains; 0 where it does."""
    less = rate * (lag - 1) / LN10 - decades  # which are counted from lag 1
    return less if max(_MORE, abs(decades) / 3) < abs(less) else 0.0


def pace_of(path: Path) -> str:
    """Say how fast the gradient shrinks or grows, where that explains what is left."""
    return "" if unexplained(path.layer.rate, path.horizon, path.decades) else pace(path.layer)


def pace(layer: Layer) -> str:
    """Say how fast the gradient shrinks or grows."""
    said = tempo(layer.rate)
    return f" ({said})" if said else ""


def counted(number: int, noun: str) -> str:
    """Write a number of things: 1 step, 2 steps."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def percent(decades: float) -> str:
    """Write what is left in a sentence: as `share_text`, or nothing, or all."""
    if decades == -math.inf:
        return "nothing"
    return "all" if _ALL <= decades < _MORE else share_text(decades).replace(".0 %", " %")


def part_text(share: float) -> str:
    """Write a part of a whole as a percentage, `18 %`."""
    return f"{100 * share:.0f} %"


def left_text(decades: float) -> str:
    """Write what is left as a person says it, the exact figure in brackets: next to nothing (2e-14)."""
    return f"next to nothing ({power(decades)})" if -math.inf < decades < NEXT_TO_NOTHING else percent(decades)


def is_left(decades: float) -> str:
    """Say how much is left: 12 % is left; or that it has grown: it grows ×15."""
    text = left_text(decades)
    return f"it grows {times_text(decades)}" if text.startswith("×") else f"{text} is left"


def power(decades: float) -> str:
    """Write a number of any size with one figure: 2e-14, 1e-400."""
    exponent = math.floor(decades)
    mantissa = round(10 ** (decades - exponent))
    return f"1e{exponent + 1}" if mantissa == 10 else f"{mantissa}e{exponent}"


def share_text(decades: float) -> str:
    """Write what is left in a few characters: 100 %, 29 %, 1.2 %, 0.97 %, 0.03 %, 1e-16, 0, or a growth: ×2.7, ×1e8.

    What is under 1 % is never written as 1 %, on the other side of the mark.
    """
    if math.isnan(decades):
        return "?"
    if decades == -math.inf:
        return "0"
    if decades >= _GROWN:
        return times(decades)
    left = 100 * 10**decades
    if left >= 9.95:
        return f"{min(left, 100):.0f} %"
    if left >= 0.95:
        return f"{left:.1f} %" if decades >= -2 else f"{min(left, 0.99):.2g} %"
    return f"{left:.1g} %" if left >= 0.0095 else power(decades)


def amount_text(value: float) -> str:
    """Write a positive number with two figures: 0.19, 330, 5e-7."""
    if 1e-3 <= value < 1e4:
        return f"{float(f'{value:.2g}'):g}"
    return power(math.log10(value)) if 0 < value < math.inf else f"{value:g}"


def times(decades: float) -> str:
    """Write a factor: ×0.58, ×100, ×5e7, ×0."""
    if decades == -math.inf:
        return "×0"
    if not -3 <= decades < 3:
        return f"×{power(decades)}"
    factor = 10**decades
    return f"×{factor:.2g}" if factor < 99.5 else f"×{factor:.0f}"


def times_text(decades: float) -> str:
    """Write a factor as a person says it: ×100, ×2 million, ×5e19."""
    if decades >= 13:
        return times(decades)
    rounded = float(f"{10**decades:.2g}")
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if rounded >= size:
            return f"×{rounded / size:g} {word}"
    return times(decades)


def factor_text(factor: float) -> str:
    """Write what a step keeps with two figures behind the point where they are of use: ×0.50, ×13, ×2e-7."""
    if math.isnan(factor):
        return ""
    if 0.095 <= factor < 9.95:
        return f"×{factor:.2f}"
    return times(math.log10(factor)) if factor > 0 else "×0"


def kept_text(share: float) -> str:
    """Say what a step keeps in words where they are plain, and exactly in brackets: about half of it (×0.54)."""
    if share >= 0.95:
        return f"{100 * share:.3g} % of it"
    exact = factor_text(share)
    if share < 10**NEXT_TO_NOTHING:
        return f"next to nothing of it ({exact})"
    near, word = min(_FRACTIONS, key=lambda one: abs(math.log(share / one[0])))
    off = abs(share / near - 1)
    if off < 0.095:
        return f"{'about ' if off > 0.02 else ''}{word} of it ({exact})"
    return f"{100 * share:.2g} % of it"


def spans_text(chosen: NDArray[np.bool_]) -> str:
    """List runs of timesteps: t = 3 to 40, t = 50."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    runs = [(int(first), int(stop) - 1) for first, stop in list(pairwise(edges.tolist()))[::2]]
    named = [f"t = {first}" if first == last else f"t = {first} to {last}" for first, last in runs]
    return ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
