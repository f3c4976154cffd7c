"""The lag report: how far back all losses together reach, and what is left of each at every step, or JSON.

In: a trace with lags. Out: a row of bars a place where credit is counted, and a row a loss; for a rich console, or as
strict JSON, null where there is no number. The credit of a linear recurrence is summed up alike.
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
from rnngraph.diagnosis.diagnose import judge, network_seen
from rnngraph.diagnosis.headline import headline
from rnngraph.diagnosis.layer import no_lags
from rnngraph.diagnosis.one_loss import Losses
from rnngraph.diagnosis.sentences import counted, percent, share_text
from rnngraph.diagnosis.slope import half_life
from rnngraph.diagnosis.sums import Sums, sums_of
from rnngraph.diagnosis.thresholds import Thresholds
from rnngraph.graph.charts.lag_rows import LagRow, lag_rows
from rnngraph.graph.style.left import MARK
from rnngraph.history.measurement import Reading, readings_of
from rnngraph.nearest import check_known
from rnngraph.render.report.seen.chart import BarRows
from rnngraph.render.report.seen.sparklines import Row
from rnngraph.render.report.text import Headline, headline_document, printable, wrapped
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace, StateTrace, Trace

TOGETHER = "all losses together, of what is there a step back"


@dataclass(frozen=True, slots=True)
class LagSummary:
    """Some lags in few numbers; `left` is of all losses together, in decades of what there is at lag 1."""

    curve: LagCurve
    sums: Sums
    left: Floats  # (L,); entry 0 is lag 1
    rate: float  # nats per step; NaN where there is none
    reach: int | None  # the last lag at which 1 % or more is left

    @property
    def half_life(self) -> float | None:
        """Steps in which it halves; None where it does not shrink."""
        return half_life(self.rate)

    @property
    def whole(self) -> bool:
        """Whether it reaches as far as was measured."""
        return self.reach is not None and self.reach >= self.sums.longest

    def curve_document(self) -> list[dict[str, Any]]:
        """Lay the curve out for JSON, in decades, an entry a lag: all losses together, and how single ones differ."""
        curve = self.curve
        columns = [(values / LN10).tolist() for values in (curve.median, curve.low, curve.high)]
        return [
            {"lag": lag, "left": left, "median": median, "q10": low, "q90": high, "pairs": int(pairs)}
            for lag, (left, median, low, high, pairs) in enumerate(
                zip(self.left.tolist(), *columns, self.sums.pairs, strict=True), start=1
            )
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
    sums = sums_of(curve.credit)
    horizon = sums.covered(limits.coverage)
    rate = curve.rate(horizon) if horizon else float("nan")
    return LagSummary(curve, sums, sums.end_to_end() / LN10, rate, sums.reach(limits.epsilon))


def state_lags(trace: Trace, *, states: Sequence[str] | None = None) -> list[StateLags]:
    """Work out the lags of all states, or of those named.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    chosen = _chosen(trace, states)
    by_name = {state.name: state for state in trace.states}
    pairs = [(by_name[lags.state], lags) for lags in trace.lags if lags.state in chosen]
    return [StateLags(state, lags, log_norm(lags.log) / LN10, summed(lags, state.direction)) for state, lags in pairs]


def _chosen(trace: Trace, states: Sequence[str] | None) -> list[str]:
    if not trace.lags:
        raise no_lags(trace)
    known = [lags.state for lags in trace.lags]
    check_known(states or (), known, "there is no state {} in the trace: choose among")
    return [name for name in known if not states or name in states]


MOST_ROWS = 16  # losses that are shown


@dataclass(frozen=True, slots=True)
class LagsReport:
    """What `rnngraph lags` prints; give it to a rich console."""

    trace: Trace
    states: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width of a console."""
        trace, network = self.trace, network_seen(self.trace)
        if network is not None:
            yield Headline(headline(judge(network)))
        parts = (printable(trace.model), counted(trace.timesteps, "timestep"), trace.dtype, taken(trace.lags[0]))
        yield from wrapped(" · ".join(part for part in parts if part), console, options.max_width, "dim")
        shown = {state.recurrence for state in trace.states if state.name in self.states}
        found = readings_of(network) if network else ()
        places = [one for one in found if one.recurrence in shown and one.reach is not None]
        if places:
            yield Text()
            yield together_rows([(one.name, one) for one in places])
        rows = self._rows()
        if not rows:
            yield Text("No loss has a gradient.")
        for row in rows:
            yield Text()
            yield loss_rows(row)

    def _rows(self) -> list[LagRow]:
        if not self.trace.lags[0].losses.size:
            return []
        losses = Losses(self.trace)
        found = [row for clock in dict.fromkeys(clock for clock, _ in losses.timesteps)
                 for row in lag_rows(losses, clock, split=True)]  # fmt: skip
        return [row for row in found if row.name in self.states]


def lags_report(trace: Trace, *, states: Sequence[str] | None = None) -> LagsReport:
    """Prepare the lag report of all states, or of those named, for a rich console.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    return LagsReport(trace, _chosen(trace, states))


def together_rows(places: Sequence[tuple[str, Reading | LagSummary]]) -> BarRows:
    """Show how much is left by lag, a row a place: 100 % is what there is at lag 1."""
    rows = [Row(name, np.append(np.nan, one.left), _end(one)) for name, one in places]
    return BarRows(rows, TOGETHER, names="place", first="lag 0")


def _end(one: Reading | LagSummary) -> tuple[str, str]:
    if one.reach and one.whole:
        return f"at lag {one.reach}", share_text(float(one.left[one.reach - 1]))
    return f"{percent(MARK)} at", f"lag {one.reach}"


def loss_rows(row: LagRow) -> BarRows:
    """Show what is left of every loss at every step, the last one on top; of many losses a few."""
    losses = row.losses
    chosen = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), MOST_ROWS)).round().astype(int))
    rows = [Row(f"t={losses[place]}", row.matrix[place], ("", "")) for place in chosen]
    return BarRows(rows[::-1], f"{printable(row.name)}: what is left of each loss at every step", names="loss")


SCHEMA = 1


def lags_json(trace: Trace, *, states: Sequence[str] | None = None) -> str:
    """Write the report of `rnngraph lags --json`: one line of JSON, without the line's end.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    network = network_seen(trace)
    return json_line({
        "schema": SCHEMA,
        **picked(trace, "model", "timesteps"),
        "reach": network and network.reach,
        "reach_is_whole": network and network.whole,
        "states": [_state(one) for one in state_lags(trace, states=states)],
        "updates": [
            {**picked(one, "recurrence", "lags"), "log10": one.log / LN10} for one in trace.updates
        ],
        "headline": headline_document(headline(judge(network)) if network else None),
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
