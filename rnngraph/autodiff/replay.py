"""Replay a tape: compute a recorded loss again from other leaves, in float64, without the model that recorded it.

In: the scalar tensor of a recorded loss. Out: numbers, or a new tape. Only the nodes that lead to the loss are
replayed, in tape order, so there is no recursion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import DETACH
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError


class Replay:
    """The nodes that lead to a loss, and their values in float64."""

    def __init__(self, loss: Tensor) -> None:
        """Find the nodes and compute them once.

        Raises:
            InputError: the loss is not finite, or its tape does not give the recorded loss again.
        """
        self.loss = loss
        self.nodes = _leading_to(loss)
        recorded = float(loss.value.reshape(()))
        if not np.isfinite(recorded):
            raise InputError(f"the loss is {recorded}; gradients can be checked only where it is finite.")
        self._refuse_changed(recorded)
        self.base: list[Array] = [np.empty(0)] * (loss.id + 1)
        with np.errstate(all="ignore"):
            for node in self.nodes:
                self.base[node.id] = _value(node, self.base) if node.op.vjp else widened(node.value)

    def _refuse_changed(self, recorded: float) -> None:
        values: list[Array] = [np.empty(0)] * (self.loss.id + 1)
        with np.errstate(all="ignore"):
            for node in self.nodes:
                values[node.id] = _value(node, values) if node.op.vjp else node.value
        again = float(values[self.loss.id].reshape(()))
        rounding = float(np.sqrt(np.finfo(self.loss.dtype).eps))
        if not abs(again - recorded) <= rounding * max(abs(recorded), abs(again), 1e-300):
            raise InputError(
                f"the tape gives a loss of {again:.9g} when it is replayed, but {recorded:.9g} was recorded: an array "
                "was changed in place after the forward pass, or an op is random; check before parameters are updated."
            )

    def drift(self) -> float:
        """Say how far the recorded values are from the float64 ones, as a share of a node's largest value."""
        worst = 0.0
        for node in self.nodes:
            if node.value.dtype == np.float32:
                apart = float(np.abs(node.value - self.base[node.id]).max())
                worst = max(worst, apart / (float(np.abs(self.base[node.id]).max()) or 1.0))
        return worst

    def affected(self, leaves: Sequence[int]) -> list[Node]:
        """Find the nodes whose value depends on one of the leaves; a detached tensor depends on nothing."""
        touched = set(leaves)
        found = []
        for node in self.nodes:
            if node.op is not DETACH and not touched.isdisjoint(node.inputs):
                touched.add(node.id)
                found.append(node)
        return found

    def value(self, leaves: Mapping[int, Array], affected: Sequence[Node]) -> float:
        """Compute the loss with other values of some leaves."""
        values = list(self.base)
        for leaf, array in leaves.items():
            values[leaf] = array
        for node in affected:
            values[node.id] = _value(node, values)
        return float(values[self.loss.id].reshape(()))

    def moved(self, leaves: Mapping[int, Array]) -> Tensor:
        """Record the loss again on a new tape, with other values of some leaves."""
        tape = Tape()
        places: dict[int, int] = {}
        values = list(self.base)
        with np.errstate(all="ignore"):
            for node in self.nodes:
                values[node.id] = _value(node, values) if node.op.vjp else leaves.get(node.id, self.base[node.id])
                places[node.id] = tape.append(
                    node.op, tuple(places[source] for source in node.inputs), values[node.id],
                    options=node.options, scope=node.scope, name=node.name, requires=node.requires,
                )  # fmt: skip
        return tape.tensor(places[self.loss.id])


def widened(value: Array) -> Array:
    """Give floating values in float64, others as they are."""
    return value.astype(np.float64, copy=False) if value.dtype.kind == "f" else value


def _value(node: Node, values: Sequence[Array]) -> Array:
    return np.asarray(node.op.forward(*[values[source] for source in node.inputs], **node.options))


def _leading_to(loss: Tensor) -> list[Node]:
    nodes = loss.tape.nodes
    needed = {loss.id}
    for node_id in range(loss.id, -1, -1):
        if node_id in needed:
            needed.update(nodes[node_id].inputs)
    return [nodes[node_id] for node_id in sorted(needed)]
