"""What is left of every measured loss, for the page: `diagnosis/one_loss.py` as small whole numbers, and nothing anew.

In comes a trace, out goes a dictionary: the axis of time, the rows of the graph, and a walk a loss and row. Decades are
thousandths of log10, the first one and then the differences; where some are no numbers, all are written as they are:
null is not measured, "0" exactly zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.diagnosis.one_loss import INITIAL, Losses, OneLoss, Walk
from rnngraph.render.page.number_lists import number
from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.trace.model import REVERSE, RecurrenceTrace, StateTrace, Trace

NUMBERS = 600_000  # that a page holds of its walks; of more losses, some are left out


def losses(trace: Trace, wanted: int | None = None) -> dict[str, Any] | None:
    """Lay out the losses of a trace; None where it holds none.

    Args:
        trace: what was recorded.
        wanted: the timestep of the loss that the page begins with; by default the one whose credit can travel furthest.
    """
    if not trace.lags or not trace.lags[0].losses.size:
        return None
    found = Losses(trace)
    start = found.furthest() if wanted is None else found.at(wanted)
    steps = sum(one.timesteps for one in trace.recurrences)
    numbers = _kept(len(found.timesteps), start, max(1, NUMBERS // max(1, steps)))
    seen = [found.seen_from(number) for number in numbers]
    rows = _rows(trace, seen)
    order = sorted(range(len(seen)), key=lambda place: (seen[place].clock, seen[place].timestep))
    return {
        "axis": _axis(trace),
        "rows": [_row(trace, walk) for walk in rows.values()],
        "seen": [_one(seen[place], list(rows)) for place in order],
        "start": order.index(numbers.index(start)),
        "measured": len(found.timesteps),
        "available": trace.lags[0].available,
        "joint": trace.lags[0].joint,
        "bears": _bears(trace),
    }


def _kept(count: int, start: int, most: int) -> list[int]:
    """Choose at most so many losses, evenly spaced, and the one to begin with."""
    spaced = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return sorted({*spaced, start})


def _axis(trace: Trace) -> list[list[int]]:
    """Put the recurrences of one clock side by side, those of another after them: clock, timesteps."""
    lengths: dict[int, int] = {}
    for one in trace.recurrences:
        lengths[one.clock] = max(lengths.get(one.clock, 0), one.timesteps)
    return [[clock, lengths[clock]] for clock in sorted(lengths)]


def _rows(trace: Trace, seen: list[OneLoss]) -> dict[str, Walk]:
    """Find every row that a loss ever walks: the decoder and the top layer first, h above c."""
    place = {one.name: number for number, one in enumerate(trace.recurrences)}
    found = {walk.name: walk for one in seen for walk in one.walks}

    def order(walk: Walk) -> tuple[int, ...]:
        one = walk.recurrence
        return -one.clock, -one.layer, int(one.direction == REVERSE), place[one.name]

    return {walk.name: walk for walk in sorted(found.values(), key=order)}


def _row(trace: Trace, walk: Walk) -> dict[str, Any]:
    one, split = walk.recurrence, len(walk.states) == 1 and walk.name in walk.states
    states = [state for state in trace.states if state.name in walk.states]
    cell = next(cell for cell in trace.cells if cell.name == one.cell)
    gate = next((gate for gate in trace.gates if gate.recurrence == one.name and gate.gate == cell.keeps), None)
    first = states[0]
    kept = split and gate is not None and first.kind == cell.kinds[-1]
    return {
        "name": walk.name,
        "recurrence": one.name,
        "kind": first.kind if split else "",
        "states": [number for number, state in enumerate(trace.states) if state.name in walk.states],
        "layer": one.layer,
        "layers": max(other.layer for other in trace.recurrences) + 1,
        "direction": one.direction if any(other.direction == REVERSE for other in trace.recurrences) else "",
        "reverse": one.direction == REVERSE,
        "clock": one.clock,
        "timesteps": one.timesteps,
        "cell": cell.title,
        "squashed": cell.squashed,
        "gate": [cell.keeps, cell.keeps_title] if gate is not None else None,
        "labelled": kept,
        "gates": _series(gate.mean, one) if gate is not None else [],
        "weights": _series(np.exp(first.gain_weights), one),
        "activation": _series(np.exp(first.gain_activation), one),
        "gain": _series(first.gain, one),
        "saturated": _series(first.saturated, one),
        "sum": _sum(states, one),
    }  # fmt: skip


def _series(values: Floats, one: RecurrenceTrace) -> list[Any]:
    found = [number(round(float(value), 4)) for value in values[: one.timesteps]]
    return found if any(value is not None for value in found) else []


def _sum(states: list[StateTrace], one: RecurrenceTrace) -> list[Any]:
    """Give the norm of the gradient of all losses together, as a share of the largest one."""
    joined = np.sqrt(sum(np.square(state.grad.value[: one.timesteps]) for state in states))
    most = float(np.nanmax(np.where(np.isfinite(joined), joined, 0.0), initial=0.0))
    return [number(round(float(value), 3)) for value in joined / most] if most > 0 else []


def _one(seen: OneLoss, names: list[str]) -> dict[str, Any]:
    walks: list[Any] = [None] * len(names)
    for walk in seen.walks:
        walks[names.index(walk.name)] = {
            "steps": _steps(walk.steps),
            "initial": bool(walk.steps[-1] == INITIAL),
            "lag": int(walk.lags[0]),
            "cut": walk.cut,
            "decades": _decades(walk.decades),
        }
    return {"t": seen.timestep, "clock": seen.clock, "samples": seen.samples, "walks": walks}


def _steps(steps: Integers) -> Any:
    """Write steps that follow one another as the first and how many; the initial state is told apart."""
    own = steps[steps != INITIAL]
    if len(own) < 2 or (np.abs(np.diff(own)) == 1).all():
        return [int(own[0]), len(own)] if len(own) else [0, 0]
    return {"each": own.tolist()}


def _decades(decades: Floats) -> Any:
    if np.isfinite(decades).all():
        whole = np.round(decades * 1000).astype(np.int64)
        return [int(whole[0]), *np.diff(whole).tolist()]
    return {"each": [None if v != v else "0" if v == -np.inf else round(v * 1000) for v in decades.tolist()]}


def _bears(trace: Trace) -> list[int]:
    """List the timesteps that bear a part of the loss, where that is known."""
    return np.flatnonzero(np.nan_to_num(trace.loss_steps) != 0).tolist()
