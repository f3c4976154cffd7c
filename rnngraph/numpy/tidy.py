"""The record as if every value had been kept in a variable of its own: what was put into an array and read again.

In: a tape and its loss. Out: the same tape, without what does not lead to the loss. What is read of an array at a place
where a part was put or joined is that part, so that in `h, c = state` each is a state. An array of which some parts
stay while others are put anew, and that is read across its parts, is one thing and stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import CONCATENATE, INDEX, STACK
from rnngraph.numpy.subscripts import ALL, Split, apart, behind, is_covered, split, within
from rnngraph.numpy.tape import ArrayTape

MANY = 8  # parts; what has more is a sequence, and is looked through slot by slot
Parts: TypeAlias = list[tuple[Any, int]]  # index and node of what was put, the latest last


def tidied(tape: ArrayTape, loss: int) -> int:
    """Drop what does not lead to the loss, such as the user's own backward; the arrays that were given stay.

    Returns:
        the new node of the loss.
    """
    nodes: list[Node] = list(tape.entries)  # type: ignore[arg-type]
    read = _needed(nodes, [node.inputs for node in nodes], loss)
    straight = _Straight(nodes, read)
    needed = _needed(nodes, straight.inputs, straight.same[loss])
    whole = _one_thing(straight, needed)
    if whole:
        straight = _Straight(nodes, read, whole)
        needed = _needed(nodes, straight.inputs, straight.same[loss])
    new = dict[int, int]()
    for old, node in enumerate(tape.emptied()):
        if needed[old]:
            reads = straight.inputs[old]
            inputs = tuple([new[i] for i in reads])
            if reads is not node.inputs:
                node.arguments, node.options = tuple([nodes[i].value for i in reads]), straight.options[old]
            if old in straight.parts and straight.is_covered(old):
                base = tape.nothing(node.value.shape, node.value.dtype)
                node.op, inputs = ASSEMBLE, (base, *inputs)
                node.arguments = tape.entries[base].value, *node.arguments
            node.requires = node.requires and (not reads or True in [nodes[i].requires for i in reads])
            new[old] = tape.take(node, inputs)
    return new[straight.same[loss]]


def _needed(nodes: Sequence[Node], inputs: Sequence[tuple[int, ...]], loss: int) -> bytearray:
    """Mark what leads to the loss, and the arrays that were given."""
    needed = bytearray([node.name is not None for node in nodes])
    needed[loss] = 1
    for i in range(len(nodes) - 1, -1, -1):
        if needed[i]:
            for j in inputs[i]:
                needed[j] = 1
    return needed


class _Straight:
    """What every node that is needed reads, where arrays in `whole` are not looked through."""

    def __init__(self, nodes: Sequence[Node], needed: bytearray, whole: Collection[int] = ()) -> None:
        self.nodes, self.whole = nodes, whole
        self.same = list(range(len(nodes)))  # the node of the same value
        self.inputs = [node.inputs for node in nodes]
        self.options = dict[int, dict[str, Any]]()  # of what reads elsewhere than it was written
        self.parts = dict[int, Parts]()  # of every array that was put together
        self.rows = dict[tuple[int, int], dict[int, Parts]]()  # of an array of many parts, by the slot that they are in
        self.slots = dict[str, int]()  # the parts of what was read of a slot -> who reads it first
        self.across = set[int]()  # arrays that are read across their parts, but in order to put a part into them
        self.readers = Counter(i for node in nodes if needed[node.id] for i in node.inputs)
        array = dict[int, int]()  # what reads an array across its parts -> the array
        for node in nodes:
            if not needed[node.id]:
                continue
            inputs = tuple([self.same[i] for i in node.inputs])
            if node.op is ASSEMBLE:
                inputs = self._put(node, inputs)
            elif node.op is INDEX:
                inputs = self._read(node, inputs[0])
                array[node.id] = array.get(inputs[0], inputs[0]) if node.id not in self.parts else node.id
            elif self.parts:
                self.across.update([array.get(i, i) for i in inputs])
            if inputs != node.inputs:
                self.inputs[node.id] = inputs
                self.options.setdefault(node.id, node.options)

    def _put(self, node: Node, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Take what is left of the array before, where nobody else reads that or nothing is; perhaps nothing of all."""
        base, parts, shape = inputs[0], [*zip(node.options["indices"], inputs[1:], strict=True)], node.value.shape
        while base in self.parts:
            left = _left(self.parts[base], parts, shape)
            if self.readers[base] > 1 and (left or base in self.whole):
                break
            gone, parts = self.is_covered(base), [*left, *parts]
            base = self.inputs[base][0]
            if gone:
                break
        self.parts[node.id] = parts
        self.options[node.id] = {"indices": tuple([index for index, _ in parts])}
        some = tuple([i for _, i in parts])
        return some if self._cover(node, parts) else (base, *some)

    def _cover(self, node: Node, parts: Parts) -> bool:
        sizes = [self.nodes[i].value.size for _, i in parts]
        return is_covered(node.value.shape, [index for index, _ in parts], sizes)

    def is_covered(self, i: int) -> bool:
        """Whether nothing of its base is left of an array."""
        return len(self.inputs[i]) == len(self.parts[i])

    def _slot(self, node: Node, i: int, place: Split | None) -> Parts:
        """Give the parts of a slot that is read, where it was put in parts alone, as unit by unit."""
        found: Parts = []
        while place is not None and place.axes and i in self.parts and i not in self.whole:
            for index, part in reversed(self._near(i, place)):
                own = split(index, self.nodes[i].value.shape)
                inside = None if own is None else within(place, own)
                if inside is not None:
                    found.insert(0, (inside.index, part))
                elif own is None or not apart(own, place):
                    return []
            if self._cover(node, found):
                return found
            if self.is_covered(i):
                break
            i = self.inputs[i][0]
        return []

    def _read(self, node: Node, i: int) -> tuple[int, ...]:
        """Find what a node reads a part of, perhaps all."""
        first, at = i, split(node.options["index"], self.nodes[i].value.shape)
        below, place = i, at
        while place is not None and not place.is_all and below not in self.whole:
            one = self.nodes[below]
            if one.op is INDEX and below not in self.parts:
                index, below = self.options.get(below, one.options)["index"], self.inputs[below][0]
                place = behind(index, place, self.nodes[below].value.shape)
                continue
            part = self._part_at(below, place)
            if part is None:
                break
            i, at = below, place = self.same[part[0]], part[1]
        parts = self._slot(node, below, place)
        if parts:
            self.same[node.id] = known = self.slots.setdefault(str((parts, node.value.shape)), node.id)
            self.parts[known], self.options[known] = parts, {"indices": tuple([index for index, _ in parts])}
            return tuple([part for _, part in parts])
        if at is not None and at.is_all:
            self.same[node.id] = i
        elif at is not None and i != first:
            self.options[node.id] = {"index": at.index}
        return (i,)

    def _near(self, i: int, place: Split) -> Parts:
        """Give the parts of an array that a place may have to do with: of many, those in its slot if all have one."""
        parts, shape = self.parts[i], self.nodes[i].value.shape
        if len(parts) <= MANY or not place.axes:
            return parts
        axis, slot = place.axes[0], place.place[0]
        if (i, axis) not in self.rows:
            rows = self.rows[i, axis] = dict[int, Parts]()
            for one in parts:
                own = split(one[0], shape)
                if own is None or axis not in own.axes:
                    rows.clear()
                    break
                rows.setdefault(own.place[own.axes.index(axis)], []).append(one)
        rows = self.rows[i, axis]
        return rows.get(slot, []) if rows else parts

    def _part_at(self, i: int, wanted: Split) -> tuple[int, Split] | None:
        """Find the part of a join that holds a place: its node, and the place within it."""
        node = self.nodes[i]
        for index, part in reversed(self._near(i, wanted)) if i in self.parts else _joined(node):
            own = split(index, node.value.shape)
            found = None if own is None else within(own, wanted)
            if found is not None and self.nodes[part].value.dtype == node.value.dtype:
                return part, found
            if own is None or not apart(own, wanted):
                return None
        return (self.inputs[i][0], wanted) if i in self.parts and not self.is_covered(i) else None


def _one_thing(straight: _Straight, needed: bytearray) -> set[int]:
    """Find arrays that are one thing: parts that were computed stay while others are put, and it is read across them.

    Who reads all of it at its end reads the parts.
    """
    nodes, array, keeps, read = straight.nodes, dict[int, int](), set[int](), set[int]()
    for i, parts in straight.parts.items():
        before = straight.inputs[i][0]
        whole = array[i] = array.get(before, i)
        if needed[i] and before in straight.parts:
            left = _left(straight.parts[before], parts, nodes[i].value.shape)
            keeps |= {whole} if any(nodes[part].inputs for _, part in left) else set()
            read |= {whole} if before in straight.across else set()
    return {i for i, whole in array.items() if whole in keeps & read}


def _left(before: Parts, after: Iterable[tuple[Any, int]], shape: tuple[int, ...]) -> Parts:
    """Give the parts of an array of which something is left where others are put over them."""
    over = [split(index, shape) for index, _ in after]
    owns = [(split(index, shape), (index, i)) for index, i in before]
    return [part for own, part in owns if own is None or all(one is None or within(one, own) is None for one in over)]


def _joined(node: Node) -> Iterator[tuple[Any, int]]:
    """Give the places and nodes of what was stacked or concatenated."""
    if node.op is STACK and len(node.inputs) <= MANY:
        lead = (ALL,) * (node.options["axis"] + node.value.ndim)
        yield from (((*lead, place), i) for place, i in enumerate(node.inputs))
    elif node.op is CONCATENATE and len(node.inputs) <= MANY:
        axis = node.options["axis"] + node.value.ndim
        ends = pairwise(accumulate((one.shape[axis] for one in node.arguments), initial=0))
        yield from (((*(ALL,) * axis, slice(*some)), i) for some, i in zip(ends, node.inputs, strict=True))
