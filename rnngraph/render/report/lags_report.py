"""The lag report: how far back all losses together reach, and what is left of each at every step, or JSON.

In: a trace with lags. Out: a row of bars a place where credit is counted, and a row a loss; for a rich console, or as
strict JSON, null where there is no number. The credit of a linear recurrence is summed up alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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
from rnngraph.graph.steps import evenly
from rnngraph.graph.style.left import MARK
from rnngraph.history.measurement import Reading, readings_of
from rnngraph.nearest import check_known
from rnngraph.render.report.seen.chart import bar_rows
from rnngraph.render.report.seen.sparklines import Row
from rnngraph.render.report.text import (
    Parts,
    Report,
    headline_document,
    headline_lines,
    laid_out,
    printable,
    wrapped,
)
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


@laid_out
def lags_report(width: int, trace: Trace, *, states: Sequence[str] | None = None) -> Parts:
    """Write what `rnngraph lags` prints of all states, or of those named.

    Raises:
        InputError: the trace holds no lags, or no state of that name.
    """
    chosen, network = _chosen(trace, states), network_seen(trace)
    if network is not None:
        yield from headline_lines(width, headline(judge(network)))
    parts = (printable(trace.model), counted(trace.timesteps, "timestep"), trace.dtype, taken(trace.lags[0]))
    yield from wrapped(" · ".join(part for part in parts if part), width, "dim")
    shown = {state.recurrence for state in trace.states if state.name in chosen}
    found = readings_of(network) if network else ()
    places = [one for one in found if one.recurrence in shown and one.reach is not None]
    if places:
        yield Text()
        yield together_rows([(one.name, one) for one in places])
    rows = [row for row in _rows(trace) if row.name in chosen]
    if not rows:
        yield Text("No loss has a gradient.")
    for row in rows:
        yield Text()
        yield loss_rows(row)


def _rows(trace: Trace) -> list[LagRow]:
    if not trace.lags[0].losses.size:
        return []
    losses = Losses(trace)
    clocks = dict.fromkeys(clock for clock, _ in losses.timesteps)
    return [row for clock in clocks for row in lag_rows(losses, clock, split=True)]


def together_rows(places: Sequence[tuple[str, Reading | LagSummary]]) -> Report:
    """Show how much is left by lag, a row a place: 100 % is what there is at lag 1."""
    rows = [Row(name, np.append(np.nan, one.left), _end(one)) for name, one in places]
    return bar_rows(rows, TOGETHER, names="place", first="lag 0")


def _end(one: Reading | LagSummary) -> tuple[str, str]:
    if one.reach and one.whole:
        return f"at lag {one.reach}", share_text(float(one.left[one.reach - 1]))
    return f"{percent(MARK)} at", f"lag {one.reach}"


def loss_rows(row: LagRow) -> Report:
    """Show what is left of every loss at every step, the last one on top; of many losses a few."""
    losses = row.losses
    rows = [Row(f"t={losses[place]}", row.matrix[place], ("", "")) for place in evenly(len(losses), MOST_ROWS)]
    return bar_rows(rows[::-1], f"{printable(row.name)}: what is left of each loss at every step", names="loss")


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
