"""A trace made by hand, for the tests of the reports; its numbers can be told from one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.trace.model import (
    GraphTrace,
    InputTrace,
    Magnitudes,
    ParameterTrace,
    StateTrace,
    Status,
    Trace,
)

STATUSES = [Status.OK, Status.ZERO, Status.UNDERFLOW, Status.NONFINITE, Status.UNOBSERVED]


def magnitudes_of_every_status() -> Magnitudes:
    value = np.array([1e-200, 0.0, 0.0, np.nan, np.nan])
    return Magnitudes(value, np.array(STATUSES, dtype=np.uint8))


def state_trace(timesteps: int, **changes: Any) -> StateTrace:
    """A state whose gradient grows tenfold a step up to 1 at the last, half of it carried."""
    grad = 10.0 ** np.arange(1 - timesteps, 1)
    state = StateTrace(
        name="rnn.h",
        layer=0,
        direction="forward",
        kind="h",
        cell="tanh",
        initial=Magnitudes.of(grad[0] / 10),
        grad=Magnitudes.of(grad),
        immediate=Magnitudes.of(grad * 0.6),
        carried=Magnitudes.of(np.append(grad[:-1] * 0.8, 0.0)),
        quantiles=Magnitudes.of(np.stack([grad * 0.1, grad * 0.5, grad * 0.9])),
        gain=np.append(np.full(timesteps - 1, 0.08), np.nan),
        gain_activation=np.full(timesteps, np.nan),
        gain_weights=np.full(timesteps, np.nan),
        saturated=np.linspace(0, 0.1, timesteps),
        activation=np.full(timesteps, 0.5),
        zeros=np.zeros(timesteps, dtype=np.int64),
        nonfinite=np.zeros(timesteps, dtype=np.int64),
        cut=np.zeros(timesteps, dtype=np.bool_),
        nodes=np.full(timesteps, -1),
    )
    return replace(state, **changes)


def norms_trace(timesteps: int = 4, *, states: tuple[StateTrace, ...] | None = None, **changes: Any) -> Trace:
    weight = ParameterTrace(
        name="rnn.Wh",
        shape=(3, 3),
        grad=Magnitudes.of(2.5),
        steps=Magnitudes.of(np.arange(timesteps) + 0.25),
        cancellation=0.75,
        norm=1.0,
        spectral_radius=0.5,
        largest_singular_value=0.9,
    )
    nothing = np.zeros(0, dtype=np.int64)
    graph = GraphTrace(
        ops=("tanh",),
        labels=("tanh",),
        scopes=("rnn.0/forward",),
        shapes=("(2, 3)",),
        names={},
        op=np.zeros(1, dtype=np.int64),
        scope=np.zeros(1, dtype=np.int64),
        shape=np.zeros(1, dtype=np.int64),
        timestep=np.full(1, 3),
        inputs=nothing,
        offsets=np.zeros(2, dtype=np.int64),
        grad=Magnitudes.unobserved((1,)),
        first_nonfinite_forward=-1,
        first_nonfinite_backward=-1,
    )
    trace = Trace(
        model="a model",
        source="test",
        batch=2,
        timesteps=timesteps,
        dtype="float64",
        loss=1.5,
        loss_steps=np.full(timesteps, np.nan),
        labels=tuple(f"word{t}" for t in range(timesteps)),
        valid=np.ones((2, timesteps), dtype=np.bool_),
        states=(state_trace(timesteps),) if states is None else states,
        gates=(),
        parameters=(weight,),
        inputs=(InputTrace("x", Magnitudes.of(np.full(timesteps, 0.125))),),
        graph=graph,
    )
    return replace(trace, **changes)
