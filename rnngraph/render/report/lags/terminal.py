"""The lag report for a rich console: a curve and a matrix a state, with the sentence that sums them up.

Both are as wide as the page and no wider: where there are more lags or steps than characters, one shows the middle one
of those that it stands for. The scale is that of every view of one loss: 1e-6 to 1, or more where it grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.curve import LN10, LagCurve, taken
from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.sentences import counted, share_text
from rnngraph.graph.charts.lag_rows import middle
from rnngraph.graph.style.left import MARK, ends_of, level_text
from rnngraph.render.report.headline import Headline
from rnngraph.render.report.lags.states import StateLags, sentence, state_lags
from rnngraph.render.report.seen.levels import ASCII_LESS, LESS, character, style
from rnngraph.render.report.text import printable, spelled, wrapped
from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.trace.model import REVERSE, Trace


@dataclass(frozen=True, slots=True)
class LagsReport:
    """What `rnngraph lags` prints; give it to a rich console."""

    trace: Trace
    states: tuple[StateLags, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width and the characters of a console."""
        trace, sentences, ascii_only = self.trace, headline_of(self.trace), options.ascii_only
        if sentences is not None:
            yield Headline(sentences)
        parts = (
            printable(trace.model), counted(trace.timesteps, "timestep"), trace.dtype, taken(self.states[0].lags)
        )  # fmt: skip
        line = spelled(" · ".join(part for part in parts if part), ascii_only=ascii_only)
        yield from wrapped(line, console, options.max_width, "dim")
        for one in self.states:
            yield Text()
            name = f"{printable(one.state.name)}   {one.state.cell}, layer {one.state.layer}, {one.state.direction}"
            yield Text(name, style="bold", no_wrap=True, overflow="ellipsis")
            yield from wrapped(spelled(sentence(one.summary), ascii_only=ascii_only), console, options.max_width)
            width, reverse = options.max_width, one.state.direction == REVERSE
            plots = [heat_map(one.matrix, one.lags.losses, width=width, ascii_only=ascii_only, reverse=reverse)]
            if one.summary.curve.pairs.any():
                plots = [curve_plot(one.summary.curve, width=width, ascii_only=ascii_only), Text(), *plots]
            for plot in plots:
                plot.plain = spelled(plot.plain, ascii_only=ascii_only)
                plot.no_wrap = True
                yield plot


def lags_report(trace: Trace, *, states: Sequence[str] | None = None) -> LagsReport:
    """Prepare the lag report of all states, or of those named, for a rich console.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    return LagsReport(trace, tuple(state_lags(trace, states=states)))


HEIGHT, WIDEST, MOST_ROWS, MARGIN = 13, 100, 16, 8


def curve_plot(curve: LagCurve, *, width: int, ascii_only: bool) -> Text:
    """Plot the median and the band from the 10th to the 90th percentile of what is left, over the lag."""
    longest = curve.longest
    groups = _groups(longest, width)
    low, median, high = (
        np.array([middle(values[group] / LN10) for group in groups]) for values in (curve.low, curve.median, curve.high)
    )
    bottom, top = ends_of(np.concatenate([low, median, high]))
    mark, band, bar, corner, dash, rule = "*:|+--" if ascii_only else "●░│└─┄"
    step = (top - bottom) / (HEIGHT - 1)
    lines = []
    for number in range(HEIGHT):
        level = top - number * step
        line = Text.assemble((f"{_label(level, step):>{MARGIN - 2}} {bar}", "dim"))
        for values in zip(low, median, high, strict=True):
            sign, how = _sign(values, level, step, mark, band, bottom)
            line.append(*((rule, "dim") if sign == " " and abs(level - MARK) < step / 2 else (sign, how)))
        lines.append(line)
    end = f"lag {longest}"
    pairs = curve.pairs[curve.pairs > 0]
    below = [
        " " * (MARGIN - 1) + corner + dash * len(groups),
        " " * MARGIN + "1" + end.rjust(max(len(groups) - 1, len(end) + 1)),
        f"{' ' * MARGIN}left: {mark} median, {band} 10 to 90 %; {pairs.min()} to {pairs.max()} pairs a lag",
    ]
    last = float(curve.median[longest - 1] / LN10)
    if last < bottom:
        below.append(f"{' ' * MARGIN}smaller than {share_text(bottom)}, down to {share_text(last)} at lag {longest}")
    return Text("\n").join([*lines, *(Text(text, style="dim") for text in below)])


def _label(level: float, step: float) -> str:
    whole = round(level)
    if abs(level - whole) > min(step / 2, 0.01):
        return ""
    return level_text(whole)


def _sign(
    values: tuple[float, float, float], level: float, step: float, mark: str, band: str, bottom: float
) -> tuple[str, str]:
    low, middle, high = values
    if math.isnan(middle) or high < bottom - step / 2:
        return " ", ""
    if abs(middle - level) <= step / 2:
        return mark, style(middle)
    inside = low <= level + step / 2 and level - step / 2 <= high
    return (band, "dim") if inside else (" ", "")


def heat_map(matrix: Floats, losses: Integers, *, width: int, ascii_only: bool, reverse: bool = False) -> Text:
    """Show the matrix: a line a loss step, a sign a timestep, the initial state first, by what is left of each loss."""
    if not len(losses):
        return Text("No loss has a gradient.")
    chosen = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), MOST_ROWS)).round().astype(int))
    groups = _groups(matrix.shape[1], width)
    left = np.stack([_left(matrix[number], reverse=reverse) for number in chosen])
    low, high = ends_of(left)
    lines = [Text("    loss  what is left of it at every step, from the initial state on", style="dim")]
    for number, row in zip(chosen[::-1], left[::-1], strict=True):
        line = Text.assemble((f"{int(losses[number]):>6} {'|' if ascii_only else '│'}", "dim"))
        for group in groups:
            value = middle(row[group])
            line.append(character(value, low, high, ascii_only=ascii_only), style=style(value))
        lines.append(line)
    less = ASCII_LESS if ascii_only else LESS
    legend = f"{share_text(low)} to {share_text(high)}, {less} is less, blank was not walked or measured"
    return Text("\n").join([*lines, Text(" " * MARGIN + legend, style="dim")])


def _left(row: Floats, *, reverse: bool) -> Floats:
    """Put a row in relation to what it is where its loss arrives."""
    known = np.flatnonzero(np.isfinite(row[1:])) + 1
    if not known.size:
        return np.full_like(row, np.nan)
    shares: Floats = row - row[known[0] if reverse else known[-1]]
    return shares


def _groups(count: int, width: int) -> list[Integers]:
    """Divide lags or steps among the characters of a line."""
    return list(np.array_split(np.arange(count), max(min(count, width - MARGIN, WIDEST), 1)))
