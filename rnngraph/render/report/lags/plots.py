"""The lag curve and the lag matrix in characters, as wide as the page and no wider.

In come a curve or a matrix, out come rich texts. Where there are more lags or steps than characters, one shows the
median of those that it stands for.
"""

from __future__ import annotations

import math

import numpy as np
from rich.text import Text

from rnngraph.diagnosis.curve import LN10, LagCurve
from rnngraph.graph.style.palette import Scale
from rnngraph.render.report.text import BRIGHT
from rnngraph.trace.magnitudes import Floats, Integers

HEIGHT, WIDEST, MOST_ROWS, MARGIN = 12, 100, 16, 8
SHADES, ASCII_SHADES = "░▒▓█", ".:*#"


def curve_plot(curve: LagCurve, *, width: int, ascii_only: bool) -> Text:
    """Plot the median and the band from the 10th to the 90th percentile, in decades of gain over the lag."""
    longest = curve.longest
    groups = _groups(longest, width)
    low, middle, high = (
        np.array([_middle(values[group] / LN10) for group in groups])
        for values in (curve.low, curve.median, curve.high)
    )
    known = np.concatenate([part[np.isfinite(part)] for part in (low, middle, high)])
    bottom, top = (math.floor(min(known.min(), 0)), math.ceil(max(known.max(), 0))) if known.size else (-1, 0)
    top = max(top, bottom + 1)
    mark, band, bar, corner, dash = "*:|+-" if ascii_only else "●░│└─"
    step = (top - bottom) / (HEIGHT - 1)
    lines = []
    for number in range(HEIGHT):
        level = top - number * step
        line = Text.assemble((f"{level:+6.1f} {bar}", "dim"))
        for values in zip(low, middle, high, strict=True):
            line.append(*_sign(values, level, step, mark, band, last=number == HEIGHT - 1))
        lines.append(line)
    end = f"lag {longest}"
    pairs = curve.pairs[curve.pairs > 0]
    below = (
        " " * (MARGIN - 1) + corner + dash * len(groups),
        " " * MARGIN + "1" + end.rjust(max(len(groups) - 1, len(end) + 1)),
        f"{' ' * MARGIN}decades of gain: {mark} median, {band} 10-90 %, {pairs.min()}-{pairs.max()} pairs a lag",
    )
    return Text("\n").join([*lines, *(Text(text, style="dim") for text in below)])


def _sign(
    values: tuple[float, float, float], level: float, step: float, mark: str, band: str, *, last: bool
) -> tuple[str, str]:
    low, middle, high = values
    if middle == -math.inf:
        return ("0", "bold blue") if last else (" ", "")
    if abs(middle - level) <= step / 2:
        return mark, "bold"
    inside = (low == -math.inf or low <= level + step / 2) and level - step / 2 <= high
    return (band, "dim") if inside and not math.isnan(middle) else (" ", "")


def heat_map(matrix: Floats, losses: Integers, *, width: int, ascii_only: bool) -> Text:
    """Show the matrix: a line a loss step, a sign a timestep, the initial state first; darker is more."""
    if not len(losses):
        return Text("No loss has a gradient.")
    chosen = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), MOST_ROWS)).round().astype(int))
    groups = _groups(matrix.shape[1], width)
    known = matrix[np.isfinite(matrix)]
    low, high = (float(known.min()), float(known.max())) if known.size else (-1.0, 0.0)
    scale = Scale(low, high if high > low else low + 1, BRIGHT)
    shades = ASCII_SHADES if ascii_only else SHADES
    lines = [Text("    loss  step it is felt at, from the initial state on", style="dim")]
    for number in chosen[::-1]:
        line = Text.assemble((f"{int(losses[number]):>6} {'|' if ascii_only else '│'}", "dim"))
        for group in groups:
            line.append(*_shade(_middle(matrix[number, group]), scale, shades))
        lines.append(line)
    legend = f"log10 of the norm: {shades[0]} {low:.1f} to {shades[-1]} {high:.1f}, 0 exactly zero, blank not measured"
    return Text("\n").join([*lines, Text(" " * MARGIN + legend, style="dim")])


def _shade(value: float, scale: Scale, shades: str) -> tuple[str, str]:
    if math.isnan(value):
        return " ", ""
    if math.isinf(value):
        return ("0", "bold blue") if value < 0 else ("!", "bold red")
    return shades[min(int(scale.share(value) * len(shades)), len(shades) - 1)], scale.colour(value)


def _groups(count: int, width: int) -> list[Integers]:
    """Divide lags or steps among the characters of a line."""
    return list(np.array_split(np.arange(count), max(min(count, width - MARGIN, WIDEST), 1)))


def _middle(values: Floats) -> float:
    known = np.sort(values[~np.isnan(values)])
    return float(known[len(known) // 2]) if known.size else float("nan")
