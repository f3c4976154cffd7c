"""The lag curve and the lag matrix in characters, as wide as the page and no wider.

In come a curve or a matrix, out come rich texts. Where there are more lags or steps than columns, a column shows the
median of those that it stands for.
"""

from __future__ import annotations

import math

import numpy as np
from rich.text import Text

from rnngraph.diagnosis.curve import LN10, LagCurve
from rnngraph.render.terminal_cells import COLOURS
from rnngraph.trace.magnitudes import Floats, Integers

HEIGHT, WIDEST, MOST_ROWS = 12, 100, 16
SHADES, ASCII_SHADES = "░▒▓█", ".:*#"


def curve_plot(curve: LagCurve, *, width: int, ascii_only: bool) -> Text:
    """Plot the median and the band from the 10th to the 90th percentile, in decades of gain over the lag."""
    longest = curve.longest
    margin = 8
    columns = max(min(longest, width - margin, WIDEST), 1)
    groups = np.array_split(np.arange(longest), columns)
    low, middle, high = (
        np.array([_middle(values[group] / LN10) for group in groups])
        for values in (curve.low, curve.median, curve.high)
    )
    known = np.concatenate([part[np.isfinite(part)] for part in (low, middle, high)])
    bottom, top = (math.floor(min(known.min(), 0)), math.ceil(max(known.max(), 0))) if known.size else (-1, 0)
    top = max(top, bottom + 1)
    rows = []
    mark, band = ("*", ":") if ascii_only else ("●", "░")
    step = (top - bottom) / (HEIGHT - 1)
    for row in range(HEIGHT):
        level = top - row * step
        line = Text(f"{level:+6.1f} ", style="dim")
        line.append("|" if ascii_only else "│", style="dim")
        for place in range(columns):
            line.append(*_cell(place, level, step, (low, middle, high), (mark, band, "0"), row))
        rows.append(line)
    rows.append(Text(" " * 7 + ("+" if ascii_only else "└") + ("-" if ascii_only else "─") * columns, style="dim"))
    end = f"lag {longest}"
    rows.append(Text(" " * margin + "1" + end.rjust(max(columns - 1, len(end) + 1)), style="dim"))
    pairs = curve.pairs[curve.pairs > 0]
    rows.append(
        Text(
            f"{' ' * margin}decades of gain: {mark} median, {band} 10-90 %, {pairs.min()}-{pairs.max()} pairs a lag",
            style="dim",
        )
    )
    return Text("\n").join(rows)


def _cell(
    place: int, level: float, step: float, values: tuple[Floats, Floats, Floats], marks: tuple[str, str, str], row: int
) -> tuple[str, str]:
    low, middle, high = (float(part[place]) for part in values)
    if middle == -math.inf:
        return (marks[2], "bold blue") if row == HEIGHT - 1 else (" ", "")
    if abs(middle - level) <= step / 2:
        return marks[0], "bold"
    inside = (low == -math.inf or low <= level + step / 2) and level - step / 2 <= high
    return (marks[1], "dim") if inside and not math.isnan(middle) else (" ", "")


def heat_map(matrix: Floats, losses: Integers, *, width: int, ascii_only: bool) -> Text:
    """Show the matrix: a row a loss step, a column a timestep, the initial state first; darker is more."""
    if not len(losses):
        return Text("No loss has a gradient.")
    margin = 8
    columns = max(min(matrix.shape[1], width - margin, WIDEST), 1)
    chosen = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), MOST_ROWS)).round().astype(int))
    groups = np.array_split(np.arange(matrix.shape[1]), columns)
    known = matrix[np.isfinite(matrix)]
    low, high = (known.min(), known.max()) if known.size else (-1.0, 0.0)
    rows = [Text("    loss  step it is felt at, from the initial state on", style="dim")]
    for row in chosen[::-1]:
        line = Text(f"{int(losses[row]):>6} ", style="dim")
        line.append("|" if ascii_only else "│", style="dim")
        for group in groups:
            line.append(*_shade(_middle(matrix[row, group]), float(low), float(high), ascii_only))
        rows.append(line)
    shades = ASCII_SHADES if ascii_only else SHADES
    legend = f"log10 of the norm: {shades[0]} {low:.1f} to {shades[-1]} {high:.1f}, 0 exactly zero, blank not measured"
    rows.append(Text(" " * margin + legend, style="dim"))
    return Text("\n").join(rows)


def _shade(value: float, low: float, high: float, ascii_only: bool) -> tuple[str, str]:
    if math.isnan(value):
        return " ", ""
    if value == -math.inf:
        return "0", "bold blue"
    if value == math.inf:
        return "!", "bold red"
    share = (value - low) / (high - low) if high > low else 1.0
    shades = ASCII_SHADES if ascii_only else SHADES
    return shades[min(int(share * len(shades)), len(shades) - 1)], COLOURS[
        min(int(share * len(COLOURS)), len(COLOURS) - 1)
    ]


def _middle(values: Floats) -> float:
    known = np.sort(values[~np.isnan(values)])
    return float(known[len(known) // 2]) if known.size else float("nan")
