"""The lag report for a rich console: a curve and a matrix a state, with the sentence that sums them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.curve import taken
from rnngraph.render.report.lags.plots import curve_plot, heat_map
from rnngraph.render.report.lags.states import StateLags, sentence, state_lags
from rnngraph.render.report.text import printable
from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class LagsReport:
    """What `rnngraph lags` prints; give it to a rich console."""

    trace: Trace
    states: tuple[StateLags, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width and the characters of a console."""
        trace = self.trace
        dot = "-" if options.ascii_only else "·"
        length = "1 timestep" if trace.timesteps == 1 else f"{trace.timesteps} timesteps"
        yield Text.assemble(
            (printable(trace.model), "bold"),
            *(f" {dot} {part}" for part in (length, trace.dtype, taken(self.states[0].lags))),
        )
        for one in self.states:
            yield Text()
            yield Text(
                f"{one.state.name}   {one.state.cell}, layer {one.state.layer}, {one.state.direction}", style="bold"
            )
            yield Text(sentence(one))
            if one.curve.pairs.any():
                yield curve_plot(one.curve, width=options.max_width, ascii_only=options.ascii_only)
                yield Text()
            yield heat_map(one.matrix, one.lags.losses, width=options.max_width, ascii_only=options.ascii_only)


def lags_report(trace: Trace, *, states: Sequence[str] | None = None) -> LagsReport:
    """Prepare the lag report of all states, or of those named, for a rich console.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    return LagsReport(trace, tuple(state_lags(trace, states=states)))
