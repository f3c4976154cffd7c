"""Whether the parts of a trace belong together: a file from a stranger may hold anything of the right types.

In: a trace. Out: nothing, or one sentence that says what does not fit. What one column may hold stands with the column.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnngraph.errors import InputError
from rnngraph.trace.declared import check
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.model import FORWARD, REVERSE, GateTrace, StateTrace, Trace
from rnngraph.trace.precision import is_kind


def check_trace(trace: Trace) -> None:
    """Check every column of a trace, and every name and index by which one part refers to another.

    Raises:
        InputError: the first thing that does not fit.
    """
    check(trace, "trace", {"T": trace.timesteps, "nodes": len(trace.graph.op)})
    for problem in (*_graph_problems(trace.graph), *_problems(trace)):
        raise InputError(problem)


def check_shapes(trace: Trace) -> None:
    """Check the shape of every column, before any is read.

    Raises:
        InputError: the first that does not fit.
    """
    check(trace, "trace", {"T": trace.timesteps, "nodes": len(trace.graph.op)}, values=False)


def _problems(trace: Trace) -> Iterator[str]:
    if not is_kind(trace.dtype):
        yield f"its dtype {trace.dtype!r} is no kind of number."
    cells = {cell.name for cell in trace.cells}
    recurrences = {one.name: one for one in trace.recurrences}
    states = [state.name for state in trace.states]
    for label, names in (("recurrences", [one.name for one in trace.recurrences]), ("states", states)):
        if len(set(names)) < len(names):
            yield f"two of its {label} have the same name."
    for recurrence in trace.recurrences:
        if recurrence.cell not in cells:
            yield f"the recurrence {recurrence.name!r} is of the cell {recurrence.cell!r}, which is not described."
        if recurrence.direction not in (FORWARD, REVERSE):
            yield f"the recurrence {recurrence.name!r} has the direction {recurrence.direction!r}."
        if recurrence.timesteps > trace.timesteps or len(recurrence.cut) != recurrence.timesteps:
            yield f"the recurrence {recurrence.name!r} has {recurrence.timesteps} steps, which do not fit."
    parts: list[StateTrace | GateTrace] = [*trace.states, *trace.gates]
    for part in parts:
        if part.recurrence not in recurrences:
            yield f"{part.name!r} belongs to the recurrence {part.recurrence!r}, which is not there."
        elif part.direction != recurrences[part.recurrence].direction:
            yield f"{part.name!r} has the direction {part.direction!r} and its recurrence another."
    clocks = {one.clock for one in trace.recurrences}
    for lag in trace.lags:
        if nowhere := set(lag.clocks.tolist()) - clocks:
            yield f"losses of the lags of {lag.state!r} enter the clock {min(nowhere)}, which no recurrence has."
        if lag.state not in states:
            yield f"there are lags of {lag.state!r}, which is no state of the trace."
        elif lag.samples.size and lag.samples.max() >= lag.batch:
            yield f"the lags of {lag.state!r} are of sample {lag.samples.max()}, and there are {lag.batch}."
        elif lag.max_lag is not None and lag.max_lag < 1:
            yield f"the lags of {lag.state!r} end at lag {lag.max_lag}."
    for update in trace.updates:
        if update.recurrence not in recurrences:
            yield f"the weights of {update.recurrence!r} have lags, and there is no such recurrence."
        elif not update.lags.size or update.lags[0] != 0 or (np.diff(update.lags) <= 0).any():
            yield f"the lags of the weights of {update.recurrence!r} do not rise from 0."
    yield from _input_problems(trace)


def _input_problems(trace: Trace) -> Iterator[str]:
    owners = {state.name: state.recurrence for state in trace.states}
    shapes = {owners.get(lag.state): (*lag.log.shape[:2], lag.log.shape[2] - 1) for lag in trace.lags}
    for one in trace.input_lags:
        if not one.recurrences:
            yield f"the input {one.name!r} has lags, and no recurrence reads it."
        for name in one.recurrences:
            if shapes.get(name) != one.log.shape:
                yield f"the lags of the input {one.name!r} do not fit those of the recurrence {name!r}."


def _graph_problems(graph: GraphTrace) -> Iterator[str]:
    if graph.offsets[0] != 0 or graph.offsets[-1] != len(graph.inputs) or (np.diff(graph.offsets) < 0).any():
        yield "the graph's inputs are not divided among its nodes."
