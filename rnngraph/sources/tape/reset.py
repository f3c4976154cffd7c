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
        first = self.phase or self.chunk
        edges = [0, min(first, block.steps)]
        count = (block.steps - edges[1]) // self.chunk
        edges += [edges[1] + count * self.chunk, block.steps]
        start = {kind: self.value(block.sources[kind + "0"]) for kind in block.columns}
        pieces = [self._run(block, x, edges[0], edges[1], 1, start)]
        pieces.append(self._run(block, x, edges[1], edges[2], max(count, 1), None))
        pieces.append(self._run(block, x, edges[2], edges[3], 1, None))
        states = {kind: np.concatenate([piece[kind] for piece in pieces if piece], axis=1) for kind in block.columns}
        self._states[block.id] = states
        self._values[block.id] = states["h"]

    def _run(self, block: Block, x: Array, begin: int, end: int, count: int, start: States | None) -> States:
        """Run some steps as `count` chunks beside each other, from nothing or from given states."""
        if begin == end:
            return {}
        batch, length = len(x), (end - begin) // count

        def beside(array: Array) -> Array:
            return array[:, begin:end].reshape(batch * count, length, *array.shape[2:])

        zeros = {
            kind: np.zeros((batch * count, column.shape[-1]), block.dtype) for kind, column in block.columns.items()
        }
        part = Block(
            0, block.cell, beside(x), weights=block.weights, initial=start or zeros,
            mask=None if block.keep is None else beside(block.keep.T),
        )  # fmt: skip
        return {
            kind: column[1:].swapaxes(0, 1).reshape(batch, end - begin, column.shape[-1])
            for kind, column in part.columns.items()
        }
