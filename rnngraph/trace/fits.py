"""Whether the columns of a trace fit together: a file from a stranger may hold anything of the right types."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import FORWARD, REVERSE, GraphTrace, LagTrace, StateTrace, Trace


def fits(trace: Trace) -> bool:
    """Tell whether every column has its length, every index its place, and every magnitude a status that exists."""
    time, count = trace.timesteps, len(trace.graph.op)
    names = {state.name for state in trace.states}
    return (
        trace.valid.shape == (trace.batch, time)
        and len(trace.labels) == time
        and trace.loss_steps.shape == (time,)
        and issubclass(np.sctypeDict.get(trace.dtype, str), np.number | np.bool_)
        and len(names) == len(trace.states)
        and _graph_fits(trace.graph)
        and all(_state_fits(state, time, count) for state in trace.states)
        and all(gate.mean.shape == gate.saturated.shape == (time,) for gate in trace.gates)
        and all(gate.log_mean.ndim == 1 for gate in trace.gates)
        and all(_magnitudes_fit(one.grad, ()) and _magnitudes_fit(one.steps, (time,)) for one in trace.parameters)
        and all(_magnitudes_fit(one.steps, (time,)) for one in trace.inputs)
        and all(lag.state in names and _lags_fit(lag, trace) for lag in trace.lags)
        and all(one.lyapunov.ndim == one.singular.ndim == 1 for one in trace.spectrum)
    )


def _magnitudes_fit(magnitudes: Magnitudes, shape: tuple[int, ...]) -> bool:
    value, status = magnitudes.value, magnitudes.status
    if not value.shape == status.shape == shape or (status > max(Status)).any():
        return False
    known, nothing = status == Status.OK, (status == Status.ZERO) | (status == Status.UNDERFLOW)
    return bool((np.isfinite(value[known]) & (value[known] > 0)).all() and (value[nothing] == 0).all())


def _state_fits(state: StateTrace, time: int, count: int) -> bool:
    shapes = {"initial": (), "quantiles": (3, time)}
    for field in fields(state):
        column, shape = getattr(state, field.name), shapes.get(field.name, (time,))
        if isinstance(column, Magnitudes) and not _magnitudes_fit(column, shape):
            return False
        if isinstance(column, np.ndarray) and column.shape != shape:
            return False
    return state.direction in (FORWARD, REVERSE) and bool(((state.nodes >= -1) & (state.nodes < count)).all())


def _graph_fits(graph: GraphTrace) -> bool:
    count = len(graph.op)
    columns = (graph.op, graph.scope, graph.shape, graph.timestep)
    if any(column.shape != (count,) for column in columns) or graph.inputs.ndim != 1:
        return False
    tables = ((graph.op, graph.ops), (graph.scope, graph.scopes), (graph.shape, graph.shapes))
    firsts = graph.first_nonfinite_forward, graph.first_nonfinite_backward
    return (
        _magnitudes_fit(graph.grad, (count,))
        and graph.offsets.shape == (count + 1,)
        and bool((np.diff(graph.offsets) >= 0).all())
        and graph.offsets[0] == 0
        and graph.offsets[-1] == len(graph.inputs)
        and bool(((graph.inputs >= 0) & (graph.inputs < max(count, 1))).all())
        and all(bool(((column >= 0) & (column < len(table))).all()) for column, table in tables)
        and len(graph.labels) == len(graph.ops)
        and all(-1 <= first < count for first in firsts)
    )


def _lags_fit(lag: LagTrace, trace: Trace) -> bool:
    if not lag.losses.ndim == lag.samples.ndim == 1 or lag.log.ndim != 3:
        return False
    samples, losses, steps = lag.log.shape
    return (
        (samples, losses) == (len(lag.samples), len(lag.losses))
        and lag.copied.shape == lag.severed.shape == (samples, steps - 1)
        and 0 < steps <= trace.timesteps + 1
        and bool(((lag.losses >= 0) & (lag.losses < trace.timesteps)).all())
        and lag.births.shape == (samples, losses)
        and bool(((lag.births >= 0) & (lag.births < steps - 1)).all())
        and bool(((lag.samples >= 0) & (lag.samples < trace.batch)).all())
        and lag.followed.shape == (losses,)
        and bool(((lag.followed >= -1) & (lag.followed < trace.timesteps)).all())
        and lag.floor < 0
        and (lag.max_lag is None or lag.max_lag > 0)
    )
