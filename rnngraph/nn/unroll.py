"""The steps of one layer and direction: a block, or with detail "op" primitive operations, a node each.

In: a `Layer`, and a recorded input. Out: the recorded output, and the recurrence that the tape now knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import STATE
from rnngraph.autodiff.recurrence import FORWARD, REVERSE, Recurrence
from rnngraph.autodiff.tensor import Tensor, stack, where
from rnngraph.nn.affine import PROJECT
from rnngraph.nn.cells import Cell


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer and direction that is to be unrolled; `cuts` are places in processing order before which it is cut."""

    stem: str
    cell: Cell
    weights: Mapping[str, Tensor]  # by the names of the cell
    initial: Mapping[str, Tensor]  # by kind of state, (N, ·)
    layer: int = 0
    direction: str = FORWARD
    mask: Array | None = None  # (N, T) False where a sample copies its states
    cuts: Sequence[int] = ()
    detail: str = "step"
    make: Callable[..., Block] = Block


@dataclass(frozen=True, slots=True)
class Unrolled:
    """What was recorded: the output (N, T, ·) and its recurrence."""

    output: Tensor
    recurrence: Recurrence

    def state(self, kind: str, t: int) -> Tensor:
        """Give a state at a timestep, (N, ·)."""
        tape, block = self.output.tape, self.recurrence.block
        if block is None:
            return tape.tensor(self.recurrence.states[kind][t])
        t = range(block.steps)[t]
        options = {"kind": kind, "t": t}
        return tape.tensor(tape.append(STATE, (block.id,), block.state(kind, t), options=options, requires=True))


def unroll(layer: Layer, x: Tensor) -> Unrolled:
    """Record all steps of a layer on `x`, (N, T, D)."""
    tape = x.tape
    recurrence = Recurrence(
        layer.stem, layer.cell.facts, layer.layer, layer.direction, layer.cell, mask=layer.mask,
        cuts=_cut_steps(layer, x.shape[1]), weight=layer.weights["Wh"].node.name or "",
        initial={kind: one.id for kind, one in layer.initial.items()},
    )  # fmt: skip
    with tape.scope(layer=f"{layer.stem}.{layer.layer}", direction=layer.direction):
        if layer.detail == "op":
            _unroll_operations(layer, x, recurrence)
        else:
            block = tape.append_block(
                layer.cell, x, layer.weights, layer.initial, reverse=layer.direction == REVERSE, mask=layer.mask,
                cuts=layer.cuts, make=layer.make,
            )  # fmt: skip
            recurrence.block, recurrence.source, recurrence.output = block, x.id, block.id
    tape.recurrences.append(recurrence)
    return Unrolled(tape.tensor(recurrence.output), recurrence)


def _cut_steps(layer: Layer, time: int) -> Array | None:
    if not layer.cuts:
        return None
    marked = np.zeros((1, time), bool)
    marked[0, list(layer.cuts)] = True
    return marked[:, ::-1] if layer.direction == REVERSE else marked


def _unroll_operations(layer: Layer, x: Tensor, recurrence: Recurrence) -> None:
    tape, time, cell = x.tape, x.shape[1], layer.cell
    projection = tape.apply(PROJECT, x, layer.weights["Wx"], layer.weights["b"])
    recurrence.states = {kind: [-1] * time for kind in cell.facts.kinds}
    states, outside = dict(layer.initial), tape.timestep
    steps = range(time) if layer.direction == FORWARD else range(time - 1, -1, -1)
    for place, t in enumerate(steps):
        tape.timestep = t
        before = dict(states)
        if place in layer.cuts:
            states = {kind: one.detach() for kind, one in states.items()}
        keep = None if layer.mask is None or layer.mask[:, t].all() else layer.mask[:, t, None]

        def kept(kind: str, new: Tensor, keep: Array | None = keep, before: Mapping[str, Tensor] = before) -> Tensor:
            return new if keep is None else where(keep, new, before[kind])

        states = cell.compose(projection[:, t], states, layer.weights, kept)
        for kind, one in states.items():
            recurrence.states[kind][t] = one.id
    tape.timestep = outside
    ids = recurrence.states["h"]
    output = stack([tape.tensor(node_id) for node_id in ids], axis=1)
    recurrence.source, recurrence.output = projection.id, output.id
