"""One step of a recurrence as a linear map: applied to vectors, and its transpose applied to covectors; never formed.

In: routes, and the states that are carried together. Out: `StepJacobian`s. The state is everything that is carried over
a step: h and c of an LSTM, and all layers of a stack.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.trace.magnitudes import Floats
from rnngraph.measure.parts import at_samples, at_step
from rnngraph.measure.pieces import Piece
from rnngraph.measure.routes import WHOLE, Routes, Slot
from rnngraph.measure.tangent import RULES, push
from rnngraph.measure.transport import Carrier


class StepJacobian:
    """`∂s_t / ∂s_{t-1}` for one step; vectors are (lead, samples, size), the states one after another."""

    def __init__(self, routes: Routes, after: Sequence[int], before: Sequence[int], *, samples: Array) -> None:
        """Find the slots between the states `before` and `after` a step, given by node id."""
        self.routes, self.after, self.before, self.samples = routes, list(after), list(before), samples
        self.sizes = [units(routes, node_id) for node_id in after]
        self.slots = self._between()

    def _between(self) -> list[Slot]:
        position = self.routes.position
        found: set[Slot] = set()
        waiting: list[Slot] = [(node_id, WHOLE) for node_id in self.after]
        while waiting:
            slot = waiting.pop()
            if (
                slot in found
                or slot[0] in self.before
                or (slot[0] in self.routes.measured and slot[0] not in self.after)
            ):
                continue
            found.add(slot)
            waiting.extend(target for _, target in self.routes.targets[slot])
        return sorted(found, key=lambda slot: position[slot])

    def back(self, covectors: Floats) -> Floats:
        """Apply the transpose: what a gradient of the state after the step is before it."""
        carrier = Carrier(self.routes, seeds=len(covectors), samples=self.samples)
        for node_id, part in zip(self.after, self._parts(covectors), strict=True):
            array = _spread(part, carrier, carrier.shape((node_id, WHOLE)))
            carrier.enter((node_id, WHOLE), Piece(0, array, None, len(covectors)))
        for slot in self.slots:
            piece = carrier.collect(slot)
            if piece is not None:
                carrier.leave(slot, piece)
        parts = []
        for node_id, size in zip(self.before, self.sizes, strict=True):
            piece = carrier.collect((node_id, WHOLE))
            empty = np.zeros((len(covectors), len(self.samples), size))
            parts.append(empty if piece is None else _rows(self._dense(piece, carrier, node_id), carrier))
        return np.concatenate(parts, axis=-1)

    def forward(self, vectors: Floats) -> Floats:
        """Apply the Jacobian: how a small change of the state before the step moves the state after it.

        Raises:
            KeyError: an operation in the step has no forward rule.
        """
        carrier = Carrier(self.routes, seeds=len(vectors), samples=self.samples)
        tangents: dict[Slot, Array] = {}
        for node_id, part in zip(self.before, self._parts(vectors), strict=True):
            tangents[node_id, WHOLE] = _spread(part, carrier, carrier.shape((node_id, WHOLE)))
        for slot in reversed(self.slots):
            moved = self._moved(slot, tangents, carrier)
            if moved is not None:
                tangents[slot] = moved
        parts = []
        for node_id, size in zip(self.after, self.sizes, strict=True):
            array = tangents.get((node_id, WHOLE), np.zeros((len(vectors), *carrier.shape((node_id, WHOLE)))))
            parts.append(_rows(array, carrier).reshape(len(vectors), -1, size))
        return np.concatenate(parts, axis=-1)

    def _moved(self, slot: Slot, tangents: dict[Slot, Array], carrier: Carrier) -> Array | None:
        node: Node = self.routes.tape.nodes[slot[0]]
        arrived: list[Array | None] = [None] * len(node.inputs)
        for place, target in self.routes.targets[slot]:
            tangent = tangents.get(target)
            if tangent is not None and slot[1] != WHOLE and target[1] != WHOLE:
                tangent = np.expand_dims(tangent, 2)
            elif tangent is not None and target[1] != WHOLE and node.op.name == "index":
                return tangent  # the slot is already the timestep that is read
            arrived[place] = tangent
        known = [tangent for tangent in arrived if tangent is not None]
        if not known:
            return None
        if slot[1] != WHOLE and node.op.name == "stack":
            return known[0]
        if carrier.rows is not None:
            node = at_samples(node, carrier.rows, self.routes.batch)
        if slot[1] == WHOLE:
            return push(arrived, node)
        moved = push(arrived, at_step(node, slot[1]))
        return moved.reshape(*moved.shape[:2], *moved.shape[3:])

    @property
    def can_push(self) -> bool:
        """Whether every operation of the step has a forward rule."""
        return all(self.routes.tape.nodes[slot[0]].op.name in RULES for slot in self.slots)

    def matrix(self) -> Floats:
        """Form the Jacobian, (samples, size, size), by walking the identity back."""
        size = sum(self.sizes)
        rows = np.broadcast_to(np.eye(size)[:, None], (size, len(self.samples), size))
        return self.back(rows).swapaxes(0, 1)

    def _parts(self, whole: Floats) -> list[Floats]:
        return np.split(whole, np.cumsum(self.sizes)[:-1], axis=-1)

    def _dense(self, piece: Piece, carrier: Carrier, node_id: int) -> Array:
        if isinstance(piece.part, np.ndarray):
            return piece.part
        dense = np.zeros((piece.count, *carrier.shape((node_id, WHOLE))))
        piece.part.add_to(dense, 1)
        return dense


def _rows(array: Array, carrier: Carrier) -> Array:
    """See a gradient of one state as (lead, samples, units), the chosen samples only."""
    flat = array.reshape(len(array), carrier.width, -1)
    return flat if carrier.rows is not None or len(carrier.chosen) == carrier.batch else flat[:, carrier.chosen]


def _spread(part: Floats, carrier: Carrier, shape: tuple[int, ...]) -> Floats:
    """Put the chosen samples' rows, (lead, samples, units), where they belong in a gradient of one state."""
    array = np.zeros((len(part), *shape))
    flat = array.reshape(len(array), carrier.width, -1)  # a view
    flat[:, slice(None) if carrier.rows is not None else carrier.chosen] = part
    return array


def units(routes: Routes, node_id: int) -> int:
    """Count the numbers of one sample's state."""
    return routes.tape.nodes[node_id].value.size // routes.batch
