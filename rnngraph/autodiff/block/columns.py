"""A block: all steps of one layer and direction as one entry of the tape, with columns of states and gates.

In: the input (N, T, D), the weights, the initial states. Out: states (T + 1, N, H) by kind, gates (T, N, G). Nothing is
recorded step by step; whoever looks at a step is shown a node that is made then. The ids of these nodes are the block's
own: one for the projection, those of every step in the order of processing, and last the block's output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.block.workspace import recycled
from rnngraph.autodiff.cell import Cell, Past, Run
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Op, Scope

WINDOW_BYTES = 200_000  # of a window's arrays: pages that are touched for the first time cost more than arithmetic
PRODUCT_ROWS = 512  # which make a matrix product efficient, and of which there are few windows

BLOCK = Op("stack", "stack", lambda *arrays: arrays[0], lambda g, node: (), "inputs joined along a new axis", "move")
PROJECT = Op("project", "x·Wx + b", lambda *arrays: arrays[0], None, "y[t] = x[t]·Wx + b, for all t at once", "move")


class Block:
    """One layer and direction over all of its steps."""

    __slots__ = (
        "arguments", "cell", "columns", "cuts", "dtype", "extras", "first", "gates", "hidden", "id", "inputs",
        "keep", "name", "op", "options", "place", "requires", "reverse", "sample_count", "sources", "steps", "timestep",
        "value", "weights", "x",
    )  # fmt: skip

    def __init__(
        self,
        first: int,
        cell: Cell,
        x: Array,
        *,
        weights: Mapping[str, Array],
        initial: Mapping[str, Array],
        reverse: bool = False,
        mask: Array | None = None,
        cuts: Iterable[int] = (),
    ) -> None:
        """Compute all steps.

        Args:
            first: the first id of the block's nodes.
            cell: its arithmetic.
            x: (N, T, D).
            weights: by the names of the cell.
            initial: (N, ·) by kind of state.
            reverse: walk from the last timestep to the first.
            mask: (N, T), False where a sample copies its states.
            cuts: places in the order of processing before which no gradient passes back, but what a copy passes.
        """
        self.first, self.cell, self.reverse = first, cell, reverse
        self.x, self.weights = x.swapaxes(0, 1), dict(weights)
        self.steps, self.sample_count = len(self.x), len(x)
        self.id = first + 1 + self.steps * len(cell.facts.parts)
        self.hidden, self.dtype = cell.units(weights), x.dtype
        keep = None if mask is None else np.ascontiguousarray(mask.T)
        self.keep = None if keep is None or keep.all() else keep  # (T, N)
        self.cuts = frozenset(cuts)
        self.sources: dict[str, int] = {}  # node ids of x, of the weights and of the initial states ("h0")
        self.inputs: tuple[int, ...] = ()
        self.op, self.options = BLOCK, dict[str, Any]()
        self.arguments: tuple[Array, ...] = ()
        self.place: Scope = ()
        self.timestep, self.requires, self.name = -1, True, None
        self._compute(initial)
        self.value = self.outputs.swapaxes(0, 1)

    def _compute(self, initial: Mapping[str, Array]) -> None:
        cell, T, N, H = self.cell, self.steps, self.sample_count, self.hidden
        wide, widths = cell.blocks * H, cell.widths(self.weights)
        self.columns = {kind: recycled((T + 1, N, width), self.dtype) for kind, width in widths.items()}
        for kind, state in initial.items():
            self.order(self.columns[kind])[0] = state
        self.extras = {name: recycled((T, N, H), self.dtype) for name in cell.extras}
        self.gates = recycled((T, N, wide), self.dtype) if cell.keeps_gates else self.outputs
        weights = self.cell.forward_weights(self.weights)
        wx, b = weights["Wx"], weights["b"]
        chunk = self.window(wide)
        for start in range(0, T, chunk):  # the projection stays in cache until the steps that need it
            stop = min(start + chunk, T)
            t = self.times(start, stop)
            projected = self.gates[t]
            self.x[t].reshape(-1, len(wx)).dot(wx, projected.reshape(-1, wide))
            np.add(projected, b, projected)
            self._advance(start, stop, weights)

    def _advance(self, start: int, stop: int, weights: Mapping[str, Array]) -> None:
        states = {kind: self.lines(self.order(column)[start : stop + 1]) for kind, column in self.columns.items()}
        gates = self.lines(self.order(self.gates)[start:stop])
        extras = {name: self.lines(self.order(column)[start:stop]) for name, column in self.extras.items()}
        copied = None if self.keep is None else self.lines(~self.order(self.keep)[start:stop, :, None])
        afterwards = self._afterwards(states["h"], start, stop, copied)
        steps = self.cell.advance(Run(states, gates, extras, weights, self.hidden))
        if copied is None and not afterwards:
            deque(steps, maxlen=0)  # the quickest loop over nothing
        for p, _ in enumerate(steps):
            for step in afterwards:
                step(p)
            if copied is not None:
                for rows in states.values():
                    np.copyto(rows[p + 1], rows[p], where=copied[p])

    def _afterwards(self, hidden: Array, start: int, stop: int, copied: Array | None) -> list[Callable[[int], None]]:
        """Give what is done after every step, before samples copy their states; nothing here."""
        return []

    def again(self, arrays: Mapping[str, Array], *, held: Block | None = None) -> Block:
        """Compute all steps from other arrays, given by the names in `sources`.

        Behind a cut, a step starts from the state that another block `held` before it, where there is one.
        """
        mask = None if self.keep is None else self.keep.T
        block = Block(
            self.first, self.cell, arrays["x"], weights={name: arrays[name] for name in self.weights},
            initial={kind: arrays[kind + "0"] for kind in self.columns}, reverse=self.reverse, mask=mask,
            cuts=self.cuts,
        )  # fmt: skip
        block.sources, block.inputs, block.place = self.sources, self.inputs, self.place
        if held is not None:
            for start, stop in pairwise([*sorted(self.cuts), self.steps]):
                _recompute(block, held, start, stop)
        return block

    @property
    def outputs(self) -> Array:
        """The hidden states, (T, N, H) by timestep."""
        return self.columns["h"][:-1] if self.reverse else self.columns["h"][1:]

    @property
    def widths(self) -> dict[str, int]:
        """The width of every state."""
        return {kind: column.shape[-1] for kind, column in self.columns.items()}

    def order(self, array: Array) -> Array:
        """See an array over time in the order of processing, or one in that order over time."""
        return array[::-1] if self.reverse else array

    def times(self, start: int, stop: int) -> slice:
        """Give the timesteps of places, ascending."""
        return slice(self.steps - stop, self.steps - start) if self.reverse else slice(start, stop)

    def window(self, width: int) -> int:
        """Give so many steps that arrays of them, of this width, stay in cache and a product of them is efficient."""
        samples = self.sample_count
        steps = max(WINDOW_BYTES // (self.dtype.itemsize * samples * width), -(-PRODUCT_ROWS // samples))
        return -(-self.steps // -(-self.steps // steps))  # all of one length: to begin one costs as much if it is short

    def place_of(self, t: int) -> int:
        """Give the place in the order of processing of a timestep, -1 for the initial state."""
        return t if t < 0 or not self.reverse else self.steps - 1 - t

    def lines(self, array: Array) -> Array:
        """See an array over time, of one sample without its axis: vectors are faster."""
        return array[:, 0] if self.sample_count == 1 else array

    def rows(self, array: Array) -> list[Array]:
        """See the steps of such an array one by one."""
        return list(self.lines(array))

    def state(self, kind: str, t: int) -> Array:
        """Give a state at a timestep, -1 for the initial one: (N, ·)."""
        return np.asarray(self.order(self.columns[kind])[self.place_of(t) + 1])

    def past(
        self, start: int, stop: int, *, samples: Any = slice(None), unrounded: bool = False, wide: bool = False
    ) -> Past:
        """Give the columns of places `start` to `stop`.

        `samples` picks some (0 drops the batch axis); `wide` gives them in float64.
        """

        def of(column: Array, first: int, last: int) -> Array:
            found = self.order(column)[first:last, samples]
            return found.astype(np.float64, copy=False) if wide else found

        copied = None
        if self.keep is not None and not (kept := self.order(self.keep)[start:stop, samples]).all():
            copied = np.asarray(~kept[..., None], np.float64 if wide else self.dtype)
        columns, (gates, extras) = self.columns.items(), self.kept(start, stop, samples)
        if wide:
            gates = gates.astype(np.float64, copy=False)
            extras = {name: one.astype(np.float64, copy=False) for name, one in extras.items()}
        return Past(
            {kind: of(column, start, stop) for kind, column in columns},
            {kind: of(column, start + 1, stop + 1) for kind, column in columns},
            gates, extras, self.weights, self.hidden, copied, unrounded,
        )  # fmt: skip

    def kept(self, start: int, stop: int, samples: Any) -> tuple[Array, dict[str, Array]]:
        """Give the gates of places, and what else the cell keeps."""
        extras = {name: self.order(column)[start:stop, samples] for name, column in self.extras.items()}
        return self.order(self.gates)[start:stop, samples], extras

    def node_ids(self, key: str) -> Array:
        """Give the ids of one part of every step, (T,) by timestep."""
        place = self.places_of(key)
        return self.order(np.arange(place.start, place.stop, place.step))

    def places_of(self, key: str) -> slice:
        """Give where the nodes of one part of every step stand on the tape, in the order of processing."""
        parts = [part.key for part in self.cell.facts.parts]
        return slice(self.first + 1 + parts.index(key), self.id, len(parts))

    def find(self, node_id: int) -> tuple[str, int]:
        """Give the part and the timestep of an id; ("project", -1) for the projection."""
        parts = self.cell.facts.parts
        place, number = divmod(node_id - self.first - 1, len(parts))
        if not 0 <= place < self.steps:
            return "project", -1
        return parts[number].key, self.place_of(place)

    def describe(self) -> str:
        """Name the block for a message."""
        place = ", ".join(f"{part[0]} {part[1]}" for part in self.place)
        return f"{self.cell.facts.name} block ({place})"


def _recompute(block: Block, held: Block, start: int, stop: int) -> None:
    """Compute places of a block anew, from the states that another holds before them; a copy keeps its own."""
    copied = None if block.keep is None else ~block.order(block.keep)[start]
    initial = {}
    for kind, column in block.columns.items():
        before, own = held.order(held.columns[kind])[start], block.order(column)[start]
        initial[kind] = before if copied is None else np.where(copied[:, None], own, before)
    t = block.times(start, stop)
    mask = None if block.keep is None else block.keep[t].T
    part = Block(
        0, block.cell, block.x[t].swapaxes(0, 1), weights=block.weights, initial=initial, reverse=block.reverse,
        mask=mask,
    )  # fmt: skip
    for kind, column in block.columns.items():
        block.order(column)[start + 1 : stop + 1] = part.order(part.columns[kind])[1:]
    block.gates[t] = part.gates
    for name, extra in part.extras.items():
        block.extras[name][t] = extra
