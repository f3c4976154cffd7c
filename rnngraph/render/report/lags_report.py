"""The lag report: what is left by lag, and of every loss at every step, as rows of bars or as JSON.

In: a trace with lags. Out: what is to be said of every state, its curve, what sums it up, and its matrix; for a rich
console with the bars of every view of one loss, or as strict JSON, null where there is no number. The credit of a
linear recurrence is summed up alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from rnngraph.diagnosis.credit import log_norm
from rnngraph.diagnosis.curve import LN10, LagCurve, lag_curve, taken
from rnngraph.diagnosis.diagnose import headline_of
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.sentences import counted, left_text, tempo
from rnngraph.diagnosis.slope import half_life
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.nearest import check_known
from rnngraph.render.report.seen.chart import BarRows
from rnngraph.render.report.seen.sparklines import Row
from rnngraph.render.report.text import Headline, headline_document, printable, wrapped
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import REVERSE, LagTrace, StateTrace, Trace


@dataclass(frozen=True, slots=True)
class LagSummary:
    """A lag curve in few numbers; `horizon` is the longest lag that enough of it has behind it, 0 where none is."""

    curve: LagCurve
    horizon: int
    rate: float  # nats per step; NaN where there is none
    reach: int | None  # the longest lag up to which 1 % or more is left

    @property
    def half_life(self) -> float | None:
        """Steps in which it halves; None where it does not shrink."""
        return half_life(self.rate)

    @property
    def whole(self) -> bool:
        """Whether it reaches as far as was measured."""
        return self.reach is not None and self.reach >= self.curve.longest

    def curve_document(self) -> list[dict[str, Any]]:
        """Lay the curve out for JSON, in decades, an entry a lag."""
        columns = [(values / LN10).tolist() for values in (self.curve.median, self.curve.low, self.curve.high)]
        return [
            {"lag": lag, "median": median, "q10": low, "q90": high, "pairs": int(pairs)}
            for lag, (median, low, high, pairs) in enumerate(zip(*columns, self.curve.pairs, strict=True), start=1)
        ]


@dataclass(frozen=True, slots=True)
class StateLags:
    """One state's lags. `matrix` is log10 of the norm over the taken samples, (S, own T + 1), column 0 the start.

    -inf is an exact zero, NaN what comes after the loss or was not measured.
    """

    state: StateTrace
    lags: LagTrace
    matrix: Floats
    summary: LagSummary


def summed(lags: LagTrace, direction: str) -> LagSummary:
    """Sum up a lag matrix."""
    limits, curve = Thresholds(), lag_curve([lags], direction)
    horizon = curve.covered(limits.coverage)
    rate = curve.rate(horizon) if horizon else float("nan")
    return LagSummary(curve, horizon, rate, curve.memory_horizon(limits.epsilon))


def state_lags(trace: Trace, *, states: Sequence[str] | None = None) -> list[StateLags]:
    """Work out the lag report of all states, or of those named.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    if not trace.lags:
        raise no_lags(trace)
    by_name = {state.name: state for state in trace.states}
    check_known(states or (), [lags.state for lags in trace.lags], "there is no state {} in the trace: choose among")
    chosen = [(by_name[lags.state], lags) for lags in trace.lags if not states or lags.state in states]
    return [StateLags(state, lags, log_norm(lags.log) / LN10, summed(lags, state.direction)) for state, lags in chosen]


def sentence(one: LagSummary) -> str:
    """Sum a state's lags up: what is left, how fast it goes, how far it reaches."""
    if not one.horizon:
        return "No loss with a gradient has a step before it, so there is no lag to report."
    left = left_text(one.curve.median[one.horizon - 1] / LN10)
    parts = [f"{left[0].upper()}{left[1:]} is left at lag {one.horizon}", tempo(one.rate)]
    if one.reach is not None:
        parts.append(f"1 % or more to lag {one.reach}{' at least' if one.whole else ''}")
    return "; ".join(part for part in parts if part) + "."


MOST_ROWS = 16  # losses that are shown


@dataclass(frozen=True, slots=True)
class LagsReport:
    """What `rnngraph lags` prints; give it to a rich console."""

    trace: Trace
    states: tuple[StateLags, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width of a console."""
        trace, sentences = self.trace, headline_of(self.trace)
        if sentences is not None:
            yield Headline(sentences)
        parts = (
            printable(trace.model), counted(trace.timesteps, "timestep"), trace.dtype, taken(self.states[0].lags)
        )  # fmt: skip
        yield from wrapped(" · ".join(part for part in parts if part), console, options.max_width, "dim")
        for one in self.states:
            yield Text()
            name = f"{printable(one.state.name)}   {one.state.cell}, layer {one.state.layer}, {one.state.direction}"
            yield Text(name, style="bold", no_wrap=True, overflow="ellipsis")
            yield from wrapped(sentence(one.summary), console, options.max_width)
            if one.summary.curve.pairs.any():
                yield curve_rows(one.summary.curve)
                yield Text()
            yield loss_rows(one)


def lags_report(trace: Trace, *, states: Sequence[str] | None = None) -> LagsReport:
    """Prepare the lag report of all states, or of those named, for a rich console.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    return LagsReport(trace, tuple(state_lags(trace, states=states)))


def curve_rows(curve: LagCurve) -> BarRows:
    """Show the median of what is left by lag, between the 10th and the 90th percentile."""
    named = (("90 %", curve.high), ("median", curve.median), ("10 %", curve.low))
    rows = [Row(name, np.append(0.0, values[: curve.longest] / LN10), ("", "")) for name, values in named]
    pairs = curve.pairs[curve.pairs > 0]
    return BarRows(rows, f"left by lag, of {pairs.min()} to {pairs.max()} pairs each", names="", first="lag 0")


def loss_rows(one: StateLags) -> RenderableType:
    """Show what is left of every loss at every step, the last one on top; of many losses a few."""
    losses = one.lags.losses
    if not len(losses):
        return Text("No loss has a gradient.")
    chosen = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), MOST_ROWS)).round().astype(int))
    reverse = one.state.direction == REVERSE
    rows = [Row(f"t={losses[place]}", _left(one.matrix[place, 1:], reverse=reverse), ("", "")) for place in chosen]
    return BarRows(rows[::-1], "what is left of it at every step", names="loss")


def _left(row: Floats, *, reverse: bool) -> Floats:
    """Put a row in relation to what it is where its loss arrives."""
    known = np.flatnonzero(np.isfinite(row))
    if not known.size:
        return np.full_like(row, np.nan)
    shares: Floats = row - row[known[0] if reverse else known[-1]]
    return shares


SCHEMA = 1


def lags_json(trace: Trace, *, states: Sequence[str] | None = None) -> str:
    """Write the report of `rnngraph lags --json`: one line of JSON, without the line's end.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    return json_line({
        "schema": SCHEMA,
        **picked(trace, "model", "timesteps"),
        "states": [_state(one) for one in state_lags(trace, states=states)],
        "updates": [
            {**picked(one, "recurrence", "lags"), "log10": one.log / LN10} for one in trace.updates
        ],
        "headline": headline_document(headline_of(trace)),
    })  # fmt: skip


def _state(one: StateLags) -> dict[str, Any]:
    return {
        **picked(one.state, "name", "layer", "direction", "kind"),
        **picked(one.summary, "rate", "half_life"),
        **picked(one.lags, "samples", "max_lag"),
        "memory_horizon": one.summary.reach,
        "losses_available": one.lags.available,
        "floor": None,  # of a gain, as earlier versions had one
        "curve": one.summary.curve_document(),
        "matrix": {
            "losses": one.lags.losses,
            "timesteps": np.arange(-1, one.matrix.shape[1] - 1),
            "log10": one.matrix,
        },
    }
