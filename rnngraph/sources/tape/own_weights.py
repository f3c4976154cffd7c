"""The weights that the states of a cell of one's own are multiplied with, in the steps of a tape.

In: a tape and a recurrence of nodes. Out: leaves, and which part of each meets a state; nothing where a product of a
state is of another form, as with a part that was cut out before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.again import depending
from rnngraph.autodiff.along import DOT, EINSUM
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT, PARAMETER, Node
from rnngraph.autodiff.ops import CONCATENATE, MATMUL, TRANSPOSE
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape


@dataclass(frozen=True, slots=True)
class OwnWeight:
    """A leaf (in, out), or turned (out, in); a state multiplies its side "in" from `start` to `stop`."""

    leaf: int
    start: int
    stop: int
    turned: bool

    def part(self, value: Array) -> Array:
        """See the part of the leaf's value that meets the state, (in, out)."""
        return (value.T if self.turned else value)[self.start : self.stop]


def own_weights(tape: Tape, one: Recurrence) -> tuple[OwnWeight, ...]:
    """Find them at a step in the middle, at which every weight is used as at every other."""
    t = one.timesteps // 2
    here = {ids[t] for ids in one.states.values()}
    before = {node_id for ids in one.states.values() for node_id in ids} - here
    meeting = {tape.entries[place].id for place in depending(tape, before, here)}
    found = [_weight(tape, one, node, meeting) for node in _products(tape, here, before, meeting)]
    known = [weight for weight in found if weight is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(found) else ()


def _products(tape: Tape, here: set[int], before: set[int], meeting: set[int]) -> Iterator[Node]:
    """Yield the products on the way from the states before to those of a step."""
    waiting, seen = list(here), set(here)
    while waiting:
        node = tape.entry(waiting.pop())
        if isinstance(node, Block):
            continue
        if node.op in (MATMUL, DOT, EINSUM):
            yield node
        below = [i for i in node.inputs if (i in meeting or i in here) and i not in before and i not in seen]
        seen.update(below)
        waiting += below


def _weight(tape: Tape, one: Recurrence, node: Node, meeting: set[int]) -> OwnWeight | None:
    if node.op is EINSUM:
        return None
    sides = [k for k, i in enumerate(node.inputs) if i in meeting]
    leaf = tape.entry(node.inputs[1 - sides[0]]) if len(sides) == 1 else None
    turned = sides == [1]  # W @ h
    while isinstance(leaf, Node) and leaf.op is TRANSPOSE and leaf.value.ndim == 2:
        leaf, turned = tape.entry(leaf.inputs[0]), not turned
    if not isinstance(leaf, Node) or leaf.op not in (INPUT, PARAMETER) or leaf.value.ndim != 2:
        return None
    state = tape.entry(node.inputs[sides[0]])
    units = _units(tape, one, state, meeting) if isinstance(state, Node) else None
    return None if units is None else OwnWeight(leaf.id, units.start, units.stop, turned)


def _units(tape: Tape, one: Recurrence, node: Node, meeting: set[int]) -> slice | None:
    """Say which entries of a vector that is multiplied are of a state: all, or a part of what it is joined with."""
    shape = tape.entry(next(iter(one.states.values()))[0]).value.shape
    if node.value.shape == shape:
        axis = 1 - one.batch_axis if one.batch_axis is not None and len(shape) == 2 else int(np.argmax(shape))
        return slice(0, shape[axis])
    within = [k for k, i in enumerate(node.inputs) if i in meeting]
    if node.op is not CONCATENATE or len(within) != 1 or node.arguments[within[0]].shape != shape:
        return None
    sizes = [part.shape[node.options["axis"]] for part in node.arguments]
    start = sum(sizes[: within[0]])
    return slice(start, start + sizes[within[0]])
