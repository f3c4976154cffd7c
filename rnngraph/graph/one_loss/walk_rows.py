"""The rows of a picture that is seen from one loss, and the time axis that they share.

In: a trace and `OneLoss`. Out: segments in the order of time, an encoder before its decoder, and rows, topmost first.
"""

from __future__ import annotations

import re

import numpy as np

from rnngraph.diagnosis.one_loss import OneLoss, Walk
from rnngraph.graph.one_loss.view import SeenRow, Segment
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import REVERSE, RecurrenceTrace, StateTrace, Trace

_NAMED = 3  # cells of one clock, from which on only the first is named with how many others there are


def axis_length(trace: Trace) -> int:
    """Count the positions of the time axis."""
    return sum(_lengths(trace).values())


def _lengths(trace: Trace) -> dict[int, int]:
    lengths: dict[int, int] = {}
    for one in trace.recurrences:
        lengths[one.clock] = max(lengths.get(one.clock, 0), one.timesteps)
    return lengths


def find_segments(trace: Trace, seen: OneLoss) -> tuple[Segment, ...]:
    """Put the clocks behind each other: what the loss reaches later stands before what it enters."""
    lengths = _lengths(trace)
    waits = {walk.recurrence.clock: int(walk.lags[0]) for walk in seen.walks if walk.lags.size}
    places = {clock: number for number, clock in enumerate(lengths)}
    here = places[seen.clock]

    def order(clock: int) -> tuple[int, int]:
        """What is never reached stays on the side of the loss on which it was computed."""
        if clock == seen.clock or clock in waits:
            return 1, -waits.get(clock, 0) if clock != seen.clock else 0
        return (0 if places[clock] < here else 2), places[clock]

    clocks = sorted(lengths, key=order)
    found, start = [], 0
    for clock in clocks:
        found.append(Segment(clock, name_of_clock(trace, clock) if len(clocks) > 1 else "", start, lengths[clock]))
        start += lengths[clock]
    return tuple(found)


def name_of_clock(trace: Trace, clock: int) -> str:
    """Name what runs on a clock: its cells, of many the first."""
    first, *others = dict.fromkeys(_stem(one, trace) for one in trace.recurrences if one.clock == clock)
    return " + ".join([first, *others] if len(others) < _NAMED else [first, f"{len(others)} others"])


def find_rows(trace: Trace, seen: OneLoss, segments: tuple[Segment, ...]) -> tuple[SeenRow, ...]:
    """Make a row a layer and direction, or a row a state: the last segment on top, upper layers over lower ones."""
    walks = {walk.states: walk for walk in seen.walks}
    order = {segment.clock: number for number, segment in enumerate(segments)}
    rows, measured = [], {lag.state for lag in trace.lags}
    stems = list(dict.fromkeys(_stem(one, trace) for one in trace.recurrences))  # in the order of the computation

    def place(one: RecurrenceTrace) -> tuple[int, int, int, bool]:
        return -order[one.clock], -stems.index(_stem(one, trace)), -one.layer, one.direction == REVERSE

    for one in sorted(trace.recurrences, key=place):
        states = [state for state in trace.states_of(one) if state.name in measured]
        for chosen in [[state] for state in states] if seen.split else [states] if states else []:
            walk = walks.get(tuple(state.name for state in chosen))
            rows.append(_row(trace, one, chosen, walk, segments[order[one.clock]], alone=len(states) == 1))
    return tuple(rows)


def _row(
    trace: Trace, one: RecurrenceTrace, states: list[StateTrace], walk: Walk | None, segment: Segment, *, alone: bool
) -> SeenRow:
    kind = states[0].kind if len(states) == 1 else ""
    name, note = _names(trace, one, states, kind, segment, alone=alone)
    return SeenRow(
        name, note, one, segment, tuple(state.name for state in states), kind, walk,
        states[0].saturated[: one.timesteps], *_gate(trace, one, kind),
    )  # fmt: skip


def _names(
    trace: Trace, one: RecurrenceTrace, states: list[StateTrace], kind: str, segment: Segment, *, alone: bool
) -> tuple[str, str]:
    """Name a row by what tells it from the others."""
    same = [other for other in trace.recurrences if other.clock == one.clock]
    cell = trace.cell_of(one)
    units = trace.recurrent_weight(states[0])
    size = f", {units.shape[0]}\u00a0units" if units is not None and units.shape else ""
    several = len({_stem(other, trace) for other in same}) > 1
    parts = [_stem(one, trace)] if segment.name or several else []
    if len({other.layer for other in same}) > 1:
        parts.append(f"layer {one.layer}")
    if kind and (segment.name or not alone or not parts):
        parts.append(kind)
    if len({other.direction for other in same}) > 1:
        parts.append(one.direction)
    part = next((part for part in cell.parts if part.key == kind and kind), None)
    words = "" if part is None else " ".join(word for word in part.label.split() if word != kind)
    note = f"{one.timesteps} steps" if segment.name else f"{cell.title}{size}" if alone or not kind else words
    return " ".join(parts) or cell.title, note


def _stem(one: RecurrenceTrace, trace: Trace) -> str:
    name = next((state.name.rpartition(".")[0] for state in trace.states_of(one)), "")
    return name or re.sub(r"_l\d+(_reverse)?$", "", one.name)


def _gate(trace: Trace, one: RecurrenceTrace, kind: str) -> tuple[str, Floats | None, bool]:
    """Find the gate that multiplies a state of a cell of several, and whether another state of the cell has one."""
    cell, gate = trace.cell_of(one), trace.keeping_gate(one)
    if gate is None or not kind or len(cell.kinds) < 2 or np.isnan(gate.mean).all():
        return "", None, False
    return ("", None, True) if kind != cell.kinds[-1] else (cell.keeps, gate.mean, False)
