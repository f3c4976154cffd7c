"""Carry many gradients at once from slot to slot, through the ops' own vjps.

In: `Routes`, and gradients that enter at slots. Out: what leaves a slot for its inputs. A gradient's leading axis
counts seeds (loss steps, or directions); axis 1 counts samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.contribution import Array, Contribution, Slice
from rnngraph.autodiff.node import Node
from rnngraph.measure.parts import Rows, at_samples, at_step, keeps_samples
from rnngraph.measure.pieces import Piece, aligned, entered, one_exponent, padded
from rnngraph.measure.routes import WHOLE, Routes, Slot

_GROW = 32  # seeds for which room is made at once


class Carrier:
    """Walks gradients through the slots of `routes`, for all samples or for `rows` of them."""

    def __init__(self, routes: Routes, *, seeds: int, samples: Array | None = None) -> None:
        """Prepare for `seeds` gradients; `samples` are sample indices, all by default."""
        self.routes, self.seeds = routes, seeds
        self.nodes = routes.tape.nodes
        self.batch = routes.batch
        self.chosen = np.arange(self.batch) if samples is None else samples
        whole = len(self.chosen) == self.batch or not all(
            keeps_samples(self.nodes[slot[0]], self.batch) for slot in routes.order
        )
        self.rows: Rows | None = None if whole else _as_slice(self.chosen)
        self.width = self.batch if whole else len(self.chosen)
        self.pending: dict[Slot, list[Piece]] = {}

    def narrowed(self, array: Array) -> Array:
        """Cut an array of one gradient over the whole batch down to the samples that are walked."""
        return array if self.rows is None else np.asarray(array[self.rows])

    def picked(self, table: Array) -> Array:
        """Take the chosen samples' columns of (seeds, samples)."""
        return table if self.rows is not None or len(self.chosen) == self.batch else table[:, self.chosen]

    def enter(self, slot: Slot, piece: Piece) -> None:
        """Add a gradient at a slot."""
        self.pending.setdefault(slot, []).append(piece)

    def drop(self, slot: Slot, count: int) -> None:
        """Forget what the first `count` seeds have sent to a slot."""
        if not count or slot not in self.pending:
            return
        cuts = [(piece, max(count - piece.low, 0)) for piece in self.pending[slot]]
        kept = [piece.without(cut) if cut else piece for piece, cut in cuts if cut < piece.count]
        if kept:
            self.pending[slot] = kept
        else:
            del self.pending[slot]

    def shape(self, slot: Slot) -> tuple[int, ...]:
        """Give the shape of one gradient at a slot."""
        shape = self.nodes[slot[0]].value.shape
        if slot[1] != WHOLE:
            shape = (shape[0], *shape[2:])
        return shape if self.rows is None else (self.width, *shape[1:])

    def collect(self, slot: Slot) -> Piece | None:
        """Add up what has arrived at a slot; None if nothing has."""
        pieces = self.pending.pop(slot, None)
        if pieces is None:
            return None
        if len(pieces) == 1 and isinstance(pieces[0].part, np.ndarray):
            return pieces[0]
        return self._added(pieces, slot)

    def _added(self, pieces: list[Piece], slot: Slot) -> Piece:
        exponent = None
        low, high = min(piece.low for piece in pieces), max(piece.high for piece in pieces)
        if any(piece.exponent is not None for piece in pieces):
            exponent = entered(pieces, low, high)
            if exponent is None:
                pieces, exponent = aligned(pieces, low, high)
        total = next(
            (p for p in pieces if p.owned and isinstance(p.part, np.ndarray) and p.low <= low and p.high >= high), None
        )
        if total is None:
            if high - low < self.seeds and len({(piece.low, piece.high) for piece in pieces}) > 1:
                grown = low // _GROW * _GROW, min(self.seeds, -(-high // _GROW) * _GROW)
                exponent = padded(exponent, low, high, *grown)
                low, high = grown
            total = Piece(low, np.zeros((high - low, *self.shape(slot))), None, high - low, owned=True)
            rest = pieces
        else:
            rest = [piece for piece in pieces if piece is not total]
        for piece in rest:
            rows = total.part[piece.low - total.low : piece.high - total.low]
            if isinstance(piece.part, np.ndarray):
                rows += piece.part
            else:
                piece.part.add_to(rows, 1)
        return Piece(total.low, total.part, exponent, total.count, owned=True)

    def leave(self, slot: Slot, piece: Piece) -> None:
        """Send a slot's gradient on to its inputs, through the op's own vjp."""
        for target, sent in self.sent(slot, piece):
            self.enter(target, sent)

    def sent(self, slot: Slot, piece: Piece) -> Iterator[tuple[Slot, Piece]]:
        """Give what a slot's gradient becomes at its inputs."""
        targets = self.routes.targets[slot]
        if not targets:
            return
        node = self.nodes[slot[0]]
        if slot[1] != WHOLE and node.op.name == "stack":
            yield targets[0][1], piece
            return
        if piece.exponent is not None and not keeps_samples(node, self.batch):
            piece = one_exponent(piece)
        g = piece.part
        if self.rows is not None:
            node = at_samples(node, self.rows, self.batch)
        if slot[1] != WHOLE:
            node, g = at_step(node, slot[1]), np.expand_dims(g, 2)
        contributions = node.op.vjp(g, node) if node.op.vjp is not None else ()
        for position, target in targets:
            part = contributions[position]
            if part is None:
                continue
            if isinstance(part, np.ndarray | np.generic):
                fresh = _is_fresh(np.asarray(part), g, contributions)
                part = self._fitted(np.asarray(part), slot, target, node)
                yield target, Piece(piece.low, part, piece.exponent, piece.count, owned=fresh)
            elif isinstance(part, Slice):  # a slot of one timestep is all that the slice reads
                read = part if target[1] == WHOLE else part.array
                yield target, Piece(piece.low, read, piece.exponent, piece.count)
            else:
                dense = np.zeros((len(g), *self.shape(target)))
                part.add_to(dense, 1)
                yield target, Piece(piece.low, dense, piece.exponent, piece.count, owned=True)

    def _fitted(self, array: Array, slot: Slot, target: Slot, node: Node) -> Array | Slice:
        shape = (len(array), *self.shape(target))
        if target[1] != WHOLE:
            array = array.reshape(*array.shape[:2], *array.shape[3:])
        elif slot[1] != WHOLE and len(shape) == array.ndim and shape[2] > 1:
            return Slice((slice(None), slice(slot[1], slot[1] + 1)), array)
        return unbroadcast(array, shape, lead=1, node=node, source=target[0])


def _is_fresh(part: Array, g: Array, contributions: Sequence[Contribution | None]) -> bool:
    """Tell whether nobody else sees the memory of what a vjp returned, so that it may be added to in place."""
    own = _memory(part)
    others = [_memory(one) for one in contributions if isinstance(one, np.ndarray) and one is not part]
    sharing = sum(one is part for one in contributions) > 1 or any(own is other for other in others)
    return part.flags.writeable and own is not _memory(g) and not sharing


def _memory(array: Array) -> object:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _as_slice(samples: Array) -> Rows:
    """A run of samples becomes a slice, which copies nothing."""
    first, count = int(samples[0]), len(samples)
    return slice(first, first + count) if np.array_equal(samples, np.arange(first, first + count)) else samples
