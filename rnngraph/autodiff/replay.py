"""Replay a tape: compute a recorded loss again from other leaves, in float64, without the model that recorded it.

In: the scalar tensor of a recorded loss. Out: numbers, or a new tape. Only the entries that lead to the loss are
replayed, in tape order, so there is no recursion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import DETACH, STATE
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError


class Values(dict[int, Array]):
    """Values by entry id, and the blocks that were computed again."""

    def __init__(self, held: Values | None = None) -> None:
        """Start from known values, whose states are held at cuts: a detached state depends on nothing."""
        super().__init__(held or {})
        self.blocks: dict[int, Block] = {} if held is None else dict(held.blocks)
        self.held: Mapping[int, Block] = {} if held is None else held.blocks

    def compute(self, entry: Entry) -> Array:
        """Compute the value of an entry from those of its inputs, and keep it."""
        if isinstance(entry, Block):
            arrays = {name: self[node] for name, node in entry.sources.items()}
            block = self.blocks[entry.id] = entry.again(arrays, held=self.held.get(entry.id))
            value = block.value
        elif entry.op is STATE:
            value = self.blocks[entry.inputs[0]].state(entry.options["kind"], entry.options["t"])
        else:
            value = np.asarray(entry.op.forward(*[self[source] for source in entry.inputs], **entry.options))
        self[entry.id] = value
        return value


class Replay:
    """The entries that lead to a loss, and their values in float64."""

    def __init__(self, loss: Tensor) -> None:
        """Find the entries and compute them once.

        Raises:
            InputError: the loss is not finite, or its tape does not give the recorded loss again.
        """
        self.loss = loss
        self.nodes = _leading_to(loss)
        recorded = float(loss.value.reshape(()))
        if not np.isfinite(recorded):
            raise InputError(f"the loss is {recorded}; gradients can be checked only where it is finite.")
        self._refuse_changed(recorded)
        self.base = self._computed(widen=True)

    def _computed(self, *, widen: bool) -> Values:
        values = Values()
        with np.errstate(all="ignore"):
            for entry in self.nodes:
                if entry.op.vjp is None:
                    values[entry.id] = widened(entry.value) if widen else entry.value
                else:
                    values.compute(entry)
        return values

    def _refuse_changed(self, recorded: float) -> None:
        again = float(self._computed(widen=False)[self.loss.id].reshape(()))
        rounding = float(np.sqrt(np.finfo(self.loss.dtype).eps))
        if not abs(again - recorded) <= rounding * max(abs(recorded), abs(again), 1e-300):
            raise InputError(
                f"the tape gives a loss of {again:.9g} when it is replayed, but {recorded:.9g} was recorded: an array "
                "was changed in place after the forward pass, or an op is random; check before parameters are updated."
            )

    def drift(self) -> float:
        """Say how far the recorded values are from the float64 ones, as a share of a node's largest value."""
        worst = 0.0
        for entry in self.nodes:
            if entry.value.dtype == np.float32:
                apart = float(np.abs(entry.value - self.base[entry.id]).max())
                worst = max(worst, apart / (float(np.abs(self.base[entry.id]).max()) or 1.0))
        return worst

    def affected(self, leaves: Sequence[int]) -> list[Entry]:
        """Find the entries whose value depends on one of the leaves; a detached tensor depends on nothing."""
        touched = set(leaves)
        found = []
        for entry in self.nodes:
            if entry.op is not DETACH and not touched.isdisjoint(entry.inputs):
                touched.add(entry.id)
                found.append(entry)
        return found

    def value(self, leaves: Mapping[int, Array], affected: Sequence[Entry]) -> float:
        """Compute the loss with other values of some leaves."""
        values = Values(self.base)
        values.update(leaves)
        for entry in affected:
            values.compute(entry)
        return float(values[self.loss.id].reshape(()))

    def moved(self, leaves: Mapping[int, Array]) -> Tensor:
        """Record the loss again on a new tape, with other values of some leaves."""
        tape = Tape()
        places: dict[int, int] = {}
        values = Values()
        with np.errstate(all="ignore"):
            for entry in self.nodes:
                if entry.op.vjp is None:
                    values[entry.id] = leaves.get(entry.id, self.base[entry.id])
                else:
                    values.compute(entry)
                places[entry.id] = _recorded(tape, entry, values, places)
        return tape.tensor(places[self.loss.id])


def _recorded(tape: Tape, entry: Entry, values: Values, places: Mapping[int, int]) -> int:
    if not isinstance(entry, Block):
        return tape.append(
            entry.op, tuple(places[source] for source in entry.inputs), values[entry.id],
            options=entry.options, scope=entry.scope, name=entry.name, requires=entry.requires,
        )  # fmt: skip
    tensors = {name: tape.tensor(places[node]) for name, node in entry.sources.items()}
    return tape.append_block(
        entry.cell, tensors["x"], {name: tensors[name] for name in entry.weights},
        {kind: tensors[kind + "0"] for kind in entry.columns}, reverse=entry.reverse,
        mask=None if entry.keep is None else entry.keep.T, cuts=sorted(entry.cuts),
    ).id  # fmt: skip


def widened(value: Array) -> Array:
    """Give floating values in float64, others as they are."""
    return value.astype(np.float64, copy=False) if value.dtype.kind == "f" else value


def _leading_to(loss: Tensor) -> list[Entry]:
    needed, found = {loss.id}, []
    for entry in reversed(loss.tape.entries):
        if entry.id in needed:
            needed.update(entry.inputs)
            found.append(entry)
    return found[::-1]
