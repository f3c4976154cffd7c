"""The lag report: for every state its curve, what sums it up, and its matrix.

In comes a trace with lags, out come `StateLags`, and something that a rich console can print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.credit import log_norm
from rnngraph.diagnosis.curve import LN10, LagCurve, lag_curve, taken
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.sentences import gain_text, pace_texts
from rnngraph.diagnosis.slope import half_life
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.errors import InputError
from rnngraph.render.lags_terminal import curve_plot, heat_map
from rnngraph.render.terminal_cells import printable
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace, StateTrace, Trace


@dataclass(frozen=True, slots=True)
class StateLags:
    """One state's lags. `matrix` is log10 of the norm over the taken samples, (S, T + 1), column 0 the initial state.

    -inf is an exact zero, NaN what comes after the loss or was not measured.
    """

    state: StateTrace
    lags: LagTrace
    curve: LagCurve
    matrix: Floats
    horizon: int
    rate: float  # nats per step; NaN where there is none
    half_life: float | None
    memory_horizon: int | None


def reports(trace: Trace, *, states: Sequence[str] | None = None) -> list[StateLags]:
    """Work out the lag report of all states, or of those named.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    if not trace.lags:
        raise no_lags(trace)
    by_name = {state.name: state for state in trace.states}
    names = [lags.state for lags in trace.lags]
    unknown = [name for name in states or () if name not in names]
    if unknown:
        raise InputError(f"there is no state {unknown[0]!r} in the trace: choose among {', '.join(names)}.")
    limits = Thresholds()
    return [_report(by_name[lags.state], lags, limits) for lags in trace.lags if not states or lags.state in states]


def _report(state: StateTrace, lags: LagTrace, limits: Thresholds) -> StateLags:
    curve = lag_curve([lags], state.direction)
    horizon = curve.covered(limits.coverage)
    rate = curve.rate(horizon) if horizon else float("nan")
    matrix = log_norm(lags.log) / LN10
    return StateLags(state, lags, curve, matrix, horizon, rate, half_life(rate), curve.memory_horizon(limits.epsilon))


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


def lags_report(trace: Trace, states: Sequence[StateLags]) -> LagsReport:
    """Prepare the lag report for a rich console."""
    return LagsReport(trace, tuple(states))


def sentence(one: StateLags) -> str:
    """Sum a state's lags up: what is left, how fast it goes, how far it reaches."""
    if not one.horizon:
        return "No loss with a gradient has a step before it, so there is no lag to report."
    gain = gain_text(one.curve.median[one.horizon - 1] / LN10)
    parts = pace_texts(gain, one.horizon, one.rate, one.half_life)
    if one.memory_horizon is not None:
        end = " at least" if one.memory_horizon >= one.curve.longest else ""
        parts.append(f"memory horizon (1% left): lag {one.memory_horizon}{end}")
    return "; ".join(parts) + "."
