"""What a trace must say, from plain JAX: the same recurrence as a Python loop, with a number added to every state.

In: a loop that gives the loss of every step. Out: the gradient of every loss at every state and input, and a check of
a trace. Nothing here knows of scans or taps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnngraph.trace.model import Trace

jax = pytest.importorskip("jax")
jnp = jax.numpy

STEPS, BATCH, INPUTS, UNITS = 6, 3, 2, 4
Array = NDArray[Any]
Loop = Callable[[Any, Any, Mapping[str, Any]], list[Any]]  # weights, x (T, N, D), added by state -> losses of steps


def weights() -> dict[str, Any]:
    """Make weights for a layer, a layer above it, and a head."""
    keys = jax.random.split(jax.random.key(0), 6)
    shapes = {"W": (UNITS, UNITS), "U": (INPUTS, UNITS), "b": (UNITS,), "W2": (UNITS, UNITS), "U2": (UNITS, UNITS),
              "V": (UNITS, 2)}  # fmt: skip
    return {
        name: 0.5 * jax.random.normal(key, shape, float)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def batch(steps: int = STEPS) -> Any:
    """Make an input, (T, N, D)."""
    return jax.random.normal(jax.random.key(9), (steps, BATCH, INPUTS), float)


def cell(p: Any, h: Any, x: Any) -> Any:
    """One step of a tanh layer."""
    return jnp.tanh(h @ p["W"] + x @ p["U"] + p["b"])


def zeros() -> Any:
    """Give a first state."""
    return jnp.zeros((BATCH, UNITS))


@dataclass(frozen=True)
class Truth:
    """Gradients of losses s at states and inputs t: (S, T, N, units)."""

    states: dict[str, Array]
    inputs: Array


def truth_of(loop: Loop, p: Any, x: Any, names: Mapping[str, int]) -> Truth:
    """Differentiate the losses of a loop; `names` gives every state with its steps."""
    added = {name: jnp.zeros((steps, BATCH, UNITS)) for name, steps in names.items()}
    rows = jax.jit(jax.jacrev(lambda added, x: jnp.stack(loop(p, x, added)), argnums=(0, 1)))(added, x)
    return Truth({name: np.asarray(one) for name, one in rows[0].items()}, np.asarray(rows[1]))


def check(trace: Trace, truth: Truth, *, rtol: float = 1e-12, fed: bool = True) -> None:
    """Compare a trace with the truth: the whole loss, and loss by loss, at every state and at the input."""
    for name, rows in truth.states.items():
        state = next(one for one in trace.states if one.name == name)
        total = np.linalg.norm(rows.sum(axis=0).reshape(rows.shape[1], -1), axis=1)
        near(state.grad.value[: len(total)], total, rtol)
        assert check_rows(trace, name, rows, rtol=rtol)
    if fed:
        reads = [one.recurrences for one in trace.input_lags]
        assert reads, "no lags of the input"
        log = combined([one.log for one in trace.input_lags])
        lag = trace.lags[0]
        compare(log, truth.inputs, lag.losses, lag.samples, rtol)
        steps = np.hypot.reduce([one.steps.value for one in trace.inputs], axis=0) if len(trace.inputs) == 1 else None
        if steps is not None:
            near(steps, np.linalg.norm(truth.inputs.sum(axis=0).reshape(len(steps), -1), axis=1), rtol)


def check_rows(trace: Trace, name: str, rows: Array, *, rtol: float) -> int:
    """Compare the losses of single steps at a state; give how many there were."""
    lag = next(one for one in trace.lags if one.state == name)
    norms = np.linalg.norm(rows, axis=3)
    for place, s in enumerate(lag.losses.tolist()):
        found = np.exp(np.where(np.isnan(lag.log[:, place, 1:]), -np.inf, lag.log[:, place, 1:]))
        near(found, norms[s][:, lag.samples].T, rtol)
    return len(lag.losses)


def compare(log: Array, rows: Array, losses: Array, samples: Array, rtol: float) -> None:
    """Compare log norms (B, S, T) with gradients (S, T, N, D)."""
    norms = np.linalg.norm(rows, axis=3)
    for place, s in enumerate(losses.tolist()):
        near(np.exp(log[:, place]), norms[s][:, samples].T, rtol)


def combined(logs: list[Array]) -> Array:
    """Give the one log norm, of one input."""
    assert len(logs) == 1
    return logs[0]


def near(found: Any, known: Any, rtol: float) -> None:
    """Compare; what is small beside the largest may be off by rounding of that."""
    np.testing.assert_allclose(found, known, rtol=rtol, atol=rtol * float(np.abs(known).max(initial=0)))
