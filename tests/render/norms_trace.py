"""A trace made by hand, for the tests of the reports; its numbers can be told from one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import InputTrace, ParameterTrace, StateTrace, Trace
from tests.graph_table import Table
from tests.traces import state_of, trace_of

STATUSES = [Status.OK, Status.ZERO, Status.UNDERFLOW, Status.NONFINITE, Status.UNOBSERVED]


def magnitudes_of_every_status() -> Magnitudes:
    value = np.array([1e-200, 0.0, 0.0, np.nan, np.nan])
    return Magnitudes(value, np.array(STATUSES, dtype=np.uint8))


def state_trace(timesteps: int, **changes: Any) -> StateTrace:
    """A state whose gradient grows tenfold a step up to 1 at the last, half of it carried."""
    grad = 10.0 ** np.arange(1 - timesteps, 1)
    state = state_of(
        "rnn.h",
        grad,
        initial=Magnitudes.of(grad[0] / 10),
        immediate=Magnitudes.of(grad * 0.6),
        carried=Magnitudes.of(np.append(grad[:-1] * 0.8, 0.0)),
        quantiles=Magnitudes.of(np.stack([grad * 0.1, grad * 0.5, grad * 0.9])),
        gain=np.append(np.full(timesteps - 1, 0.08), np.nan),
        saturated=np.linspace(0, 0.1, timesteps),
    )
    return replace(state, **changes)


def norms_trace(timesteps: int = 4, *, states: tuple[StateTrace, ...] | None = None, **changes: Any) -> Trace:
    """A trace of one state, one weight, one input and a graph of one node, with a word a step."""
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
    table = Table()
    table.add("tanh", scope="rnn.0/forward", shape="(2, 3)", t=3)
    known: dict[str, Any] = {
        "loss": 1.5,
        "labels": tuple(f"word{t}" for t in range(timesteps)),
        "parameters": (weight,),
        "inputs": (InputTrace("x", Magnitudes.of(np.full(timesteps, 0.125))),),
        "graph": table.trace(),
    }
    chosen = (state_trace(timesteps),) if states is None else states
    return trace_of(chosen, timesteps=timesteps, batch=2, **known | changes)
