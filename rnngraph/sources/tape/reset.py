"""A recorded pass computed again with the state reset every so many steps: each chunk knows nothing of those before it.

In: a tape, the length of the chunks and where the first begins. Out: values of the entries that depend on them. Steps
of a reverse direction are left as they are: what comes later is no past.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import STATE
from rnngraph.autodiff.tape import Tape

States = dict[str, Array]  # by kind, (N, T, ·)


class Resets:
    """The values of a pass with resets, by entry id."""

    def __init__(self, tape: Tape, chunk: int, phase: int) -> None:
        """Compute what depends on a reset; chunks begin at the timesteps `phase`, `phase + chunk`, ..."""
        self.tape, self.chunk, self.phase = tape, chunk, phase
        self._values: dict[int, Array] = {}
        self._states: dict[int, States] = {}
        with np.errstate(all="ignore"):
            for entry in tape.entries:
                if isinstance(entry, Block):
                    self._block(entry)
                elif entry.op.vjp is not None and any(tape.entry(i).id in self._values for i in entry.inputs):
                    if entry.op is STATE:
                        self._values[entry.id] = self._state(entry.inputs[0], entry.options)
                    else:
                        arguments = [self.value(i) for i in entry.inputs]
                        self._values[entry.id] = np.asarray(entry.op.forward(*arguments, **entry.options))

    def value(self, node_id: int) -> Array:
        """Give the value of an entry."""
        entry = self.tape.entry(node_id)
        return self._values.get(entry.id, entry.value)

    def _state(self, node_id: int, options: Mapping[str, int | str]) -> Array:
        block, t = self.tape.entry(node_id), int(options["t"])
        assert isinstance(block, Block)
        if block.id not in self._states or t < 0:
            return block.state(str(options["kind"]), t)
        return self._states[block.id][str(options["kind"])][:, t]

    def _block(self, block: Block) -> None:
        x = self.value(block.sources["x"])
        if block.reverse:
            if x is not self.tape.entry(block.sources["x"]).value:
                arrays = {name: self.value(i) for name, i in block.sources.items()}
                self._values[block.id] = block.again(arrays).value
            return
        self._states[block.id] = self._in_chunks(block, x)
        self._values[block.id] = self._states[block.id]["h"]

    def _in_chunks(self, block: Block, x: Array) -> States:
        """Run all chunks beside each other, from nothing but the first.

        What the first and the last lack in length are steps that copy their states.
        """
        batch, front = len(x), -self.phase % self.chunk
        count = -(-(front + block.steps) // self.chunk)
        lacking = (0, 0), (front, count * self.chunk - front - block.steps)

        def beside(array: Array) -> Array:
            padded = np.pad(array, [*lacking, *[(0, 0)] * (array.ndim - 2)])
            return padded.reshape(batch * count, self.chunk, *array.shape[2:])

        initial = {}
        for kind, width in block.widths.items():
            start = np.zeros((batch, count, width), block.dtype)
            start[:, 0] = self.value(block.sources[kind + "0"])
            initial[kind] = start.reshape(batch * count, width)
        keep = np.ones((batch, block.steps), bool) if block.keep is None else block.keep.T
        part = Block(0, block.cell, beside(x), weights=block.weights, initial=initial, mask=beside(keep))
        by_chunk = {kind: column[1:].swapaxes(0, 1) for kind, column in part.columns.items()}
        return {
            kind: column.reshape(batch, count * self.chunk, -1)[:, front : front + block.steps]
            for kind, column in by_chunk.items()
        }
