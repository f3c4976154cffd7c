"""Networks for the lag tests: layers of the package, and recurrences written out by hand on the tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph import nn
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.lags import measure_lags
from rnngraph.sources.tape.record import open_recording
from rnngraph.trace.model import LagTrace

FULL = LagOptions("all", "all", updates=False)
Array = Any


def captioner(
    layer: Any, *, batch: int = 3, time: int = 7, mask: Array = None, seed: int = 0, scale: float = 1.0
) -> Any:
    """A layer with a softmax at every step; the loss."""
    rng = np.random.default_rng(seed)
    dtype = next(layer.parameters()).value.dtype
    tape = rg.Tape()
    x = tape.input(rng.normal(size=(batch, time, layer.input_size)).astype(dtype))
    hidden = layer(x, mask=mask)
    scores = nn.Linear(hidden.shape[-1], 5, dtype=dtype)(hidden)
    return nn.temporal_softmax_loss(scores, rng.integers(0, 5, size=(batch, time)), mask) * scale


def measured(loss: Any, options: LagOptions = FULL) -> dict[str, LagTrace]:
    """The lag traces by state."""
    return {one.state: one for one in measure_lags(open_recording(loss), options)[0]}


def single_loss_passes(loss: Any) -> Mapping[tuple[str, int, int], Array]:
    """Walk every timestep's loss back on its own with the ordinary sweep: norms per sample by (state, s, column)."""
    tape = loss.tape
    node = next(node for node in tape.nodes if node.op.name == "temporal_softmax")
    outer = next(step.gradient.copy() for step in sweep(tape, {loss.id: np.ones(())}) if step.node is node)
    blocks = {one.block.id: one for one in tape.recurrences if one.block is not None}
    names = {}
    for recurrence in tape.recurrences:
        for kind in recurrence.kinds:
            names[recurrence.initial[kind]] = recurrence.state_name(kind), 0
            for t, node_id in enumerate(recurrence.states.get(kind, ())):
                names[node_id] = recurrence.state_name(kind), t + 1
    found = {}
    for s in range(node.value.shape[1]):
        cotangent = np.zeros_like(outer)
        cotangent[:, s] = outer[:, s]

        def lend(inner: Any, s: int = s) -> None:
            for kind, total in inner.total.items():
                for place, t in enumerate(range(inner.steps.start, inner.steps.stop)):
                    found[blocks[inner.block.id].state_name(kind), s, t + 1] = np.linalg.norm(total[place], axis=1)

        for step in sweep(tape, {node.id: cotangent}, lend=lend):
            if step.node.id in names and not isinstance(step.node, Block):
                name, column = names[step.node.id]
                rows = step.gradient.reshape(len(step.gradient), -1)
                found[name, s, column] = np.linalg.norm(rows, axis=1)
    return found


def by_hand(
    step: Callable[[Any, Any], Any],
    h0: Array,
    *,
    time: int,
    readout: Array,
    losses: Sequence[int] | None = None,
    inputs: Array = None,
    after: Callable[[Any, Any, int], Any] | None = None,
    **declared: Any,
) -> Any:
    """Run `h = step(h, x_t)` from `h0` (batch, units); the loss is the sum over `losses` of `readout · h_s`."""
    tape = rg.Tape()
    h = start = tape.input(h0, "h0")
    x = None if inputs is None else tape.input(inputs, "x")
    states = []
    total = None
    for t in range(time):
        with tape.scope(t=t):
            before = h
            h = step(h, None if x is None else x[:, t])
            h = h if after is None else after(h, before, t)
        states.append(h)
    tape.state("cell.h", states, initial=start, **declared)
    for t in range(time) if losses is None else losses:
        part = (states[t] * readout).sum()
        total = part if total is None else total + part
    return total


def row(trace: LagTrace, s: int, sample: int = 0) -> Array:
    """The norms of one loss at all states, from the loss back to the initial state."""
    place = list(trace.losses).index(s)
    return np.exp(trace.log[sample, place, : s + 2][::-1])


def log_row(trace: LagTrace, s: int, sample: int = 0) -> Array:
    """The natural logarithms of `row`."""
    place = list(trace.losses).index(s)
    return trace.log[sample, place, : s + 2][::-1]
