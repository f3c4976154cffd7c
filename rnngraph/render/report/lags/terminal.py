"""The lag report for a rich console: a curve and a matrix a state, with the sentence that sums them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.curve import taken
from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.sentences import counted
from rnngraph.render.report.headline import Headline
from rnngraph.render.report.lags.plots import curve_plot, heat_map
from rnngraph.render.report.lags.states import StateLags, sentence, state_lags
from rnngraph.render.report.text import printable, spelled, wrapped
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
