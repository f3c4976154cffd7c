"""What is left of every measured loss, for the page: `diagnosis/one_loss.py` as small whole numbers, and nothing anew.

In comes a trace, out goes a dictionary: the axis of time, the rows of the graph, and a walk a loss and row. Decades are
thousandths of log10, the first one and then the differences; where some are no numbers, all are written as they are:
null is not measured, "0" exactly zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnngraph.diagnosis.chosen_loss import SeenFrom, seen
from rnngraph.diagnosis.one_loss import Losses, OneLoss
from rnngraph.graph.build.broken import broken_steps
from rnngraph.graph.build.loss_circles import bearing
from rnngraph.graph.one_loss.appearance import find_lanes, small_print
from rnngraph.graph.one_loss.view import SeenRow
from rnngraph.graph.one_loss.walk_rows import find_rows, find_segments
from rnngraph.graph.steps import evenly
from rnngraph.render.page.number_lists import number
from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.trace.model import REVERSE, RecurrenceTrace, StateTrace, Trace

NUMBERS = 600_000  # that a page holds of its walks; of more losses, some are left out


def losses(trace: Trace, seen_from: SeenFrom = None, *, said: str = "") -> dict[str, Any] | None:
    """Lay out the losses of a trace; None where none can be looked from.

    Args:
        trace: what was recorded.
        seen_from: the loss that the page begins with: its timestep, or the one whose credit can travel furthest.
        said: of what the numbers of the title are.

    Raises:
        InputError: there is no such loss, or it bears nothing.
    """
    if (begin := seen(trace, seen_from)) is None:
        return None
    found = Losses(trace)
    start = found.timesteps.index((begin.clock, begin.timestep))
    steps = sum(one.timesteps for one in trace.recurrences)
    numbers = _kept(len(found.timesteps), start, max(1, NUMBERS // max(1, steps)))
    shown = [one for number in numbers if (one := found.seen_from(number)).walks]
    shown.sort(key=lambda one: (one.clock, one.timestep))
    segments = find_segments(trace, begin)
    walked = {walk.states for one in shown for walk in one.walks}
    rows = [row for row in find_rows(trace, begin, segments) if row.states in walked]
    return {
        "axis": [[one.clock, one.timesteps, one.name] for one in segments],
        "rows": [_row(trace, one) for one in rows],
        "seen": [_one(one, [row.states for row in rows]) for one in shown],
        "start": [(one.clock, one.timestep) for one in shown].index((begin.clock, begin.timestep)),
        "measured": len(found.timesteps),
        "available": trace.lags[0].available,
        "handovers": find_lanes(trace, begin, rows)[1],
        "bears": np.flatnonzero(bearing(trace, segments)).tolist(),
        "of": small_print(trace, begin, said),
    }


def _kept(count: int, start: int, most: int) -> list[int]:
    """Choose at most so many losses, evenly spaced, and the one to begin with."""
    return sorted({*evenly(count, most), start})


def _row(trace: Trace, row: SeenRow) -> dict[str, Any]:
    one = row.recurrence
    states = [state for state in trace.states if state.name in row.states]
    cell, gate = trace.cell_of(one), trace.keeping_gate(one)
    first = states[0]
    return {
        "name": row.name, "note": row.note, "states": [trace.states.index(state) for state in states],
        "kind": row.kind, "layer": one.layer, "reverse": one.direction == REVERSE, "clock": one.clock,
        "timesteps": one.timesteps, "squashed": cell.squashed, "keeps": cell.keeps_title or cell.keeps,
        "gate": row.gate, "plain": row.plain,
        "gates": _series(gate.mean, one) if gate is not None else [],
        "weights": _series(np.exp(first.gain_weights), one),
        "activation": _series(np.exp(first.gain_activation), one),
        "saturated": _series(first.saturated, one),
        "sum": _sum(states, one),
        "broken": sorted(broken_steps(trace).get(one.name, ())),
    }  # fmt: skip


def _series(values: Floats, one: RecurrenceTrace) -> list[Any]:
    found = [number(round(float(value), 4)) for value in values[: one.timesteps]]
    return found if any(value is not None for value in found) else []


def _sum(states: list[StateTrace], one: RecurrenceTrace) -> list[Any]:
    """Give the norm of the gradient of all losses together, as a share of the largest one."""
    joined = np.hypot.reduce([state.grad.value[: one.timesteps] for state in states])
    most = float(np.nanmax(np.where(np.isfinite(joined), joined, 0.0), initial=0.0))
    return [number(round(float(value), 3)) for value in joined / most] if most > 0 else []


def _one(seen: OneLoss, rows: list[tuple[str, ...]]) -> dict[str, Any]:
    walks: list[Any] = [None] * len(rows)
    for walk in seen.walks:
        walks[rows.index(walk.states)] = {
            "steps": _steps(walk.steps),
            "initial": not math.isnan(walk.initial),
            "lag": int(walk.lags[0]),
            "cut": walk.cut,
            "decades": _decades(np.append(walk.decades, [] if math.isnan(walk.initial) else walk.initial)),
        }
    return {"t": seen.timestep, "clock": seen.clock, "samples": seen.samples, "walks": walks}


def _steps(steps: Integers) -> Any:
    """Write steps that follow one another as the first and how many."""
    if (np.abs(np.diff(steps)) == 1).all():
        return [int(steps[0]), len(steps)]
    return {"each": steps.tolist()}


def _decades(decades: Floats) -> Any:
    if np.isfinite(decades).all():
        whole = np.round(decades * 1000).astype(np.int64)
        return [int(whole[0]), *np.diff(whole).tolist()]
    return {"each": [None if v != v else "0" if v == -np.inf else round(v * 1000) for v in decades.tolist()]}
