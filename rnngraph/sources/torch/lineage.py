"""Where the input and the initial state of a watched call come from: which earlier calls, and over which operations.

In: live tensors, as the hooks meet them. Out: the calls that autograd leads back to. Nodes of the user's graph carry a
mark in their metadata; nothing here keeps the graph alive, and every node is passed once however many calls are made.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnngraph.sources.torch.hooks import adder

End: TypeAlias = tuple[int, str]  # a call, by its number, and what it returned: "h", "c" or "output"

# One number in, the same number out and its gradient back, whatever the shape; copies of a number are not among them.
PLAIN = frozenset(
    f"{name}Backward0"
    for name in (
        "Alias", "Clone", "Permute", "Select", "Slice", "Split", "SplitWithSizes", "Squeeze", "T", "ToCopy",
        "Transpose", "Unbind", "UnsafeSplit", "UnsafeView", "Unsqueeze", "View", "ReshapeAlias", "PackPaddedSequence",
    )
) | {"SqueezeBackward1", "SqueezeBackward2", "ReshapeAliasBackward0"}  # fmt: skip
# Operations that pick a part of what they are given: the first ones are made for each part, the others give all parts.
ONE_PART = frozenset(f"{name}Backward0" for name in ("Select", "Slice", "Index", "IndexSelect", "Gather"))
ALL_PARTS = frozenset(f"{name}Backward0" for name in ("Unbind", "Split", "SplitWithSizes", "UnsafeSplit"))
_NEAR = 64  # operations between two calls that are looked at one by one
_LATEST = 64  # outputs that may still get a place in the graph, as torch.utils.checkpoint gives them one afterwards
_COUNT = itertools.count()


@dataclass(slots=True)
class Passage:
    """How a tensor that a call was given descends from what earlier calls returned."""

    ends: frozenset[End]
    plain: bool  # only views and copies lie between
    operation: str = ""  # the first that is none, such as MulBackward0
    picks: set[tuple[int, int]] = field(default_factory=set)  # parts of a common tensor, by its number and the part's
    complete: bool = True  # no more ends lie further off than is looked
    arrived: dict[str, Any] = field(default_factory=dict)  # "gradient": what reached the tensor
    sent: dict[End, Any] = field(default_factory=dict)  # what of it was handed to each end


class Lineage:
    """Marks what calls return, and finds the marks again below what later calls are given."""

    def __init__(self, keep: Callable[[Any], None]) -> None:
        """Start without marks; `keep` is given the handle of every hook."""
        self._key = f"rnngraph {next(_COUNT)}"
        self._keep = keep
        self._waiting: list[tuple[End, Any]] = []

    def mark(self, index: int, returned: dict[str, Any]) -> None:
        """Remember what call number `index` returned."""
        for kind, tensor in returned.items():
            if tensor is None:
                continue
            if tensor.grad_fn is None:
                self._waiting.append(((index, kind), weakref.ref(tensor)))
            else:
                self._stamp(tensor, (index, kind))

    def settle(self) -> None:
        """Mark what has got its place in the graph since; call this before the graph is searched."""
        waiting, self._waiting = self._waiting[-_LATEST:], []
        for end, reference in waiting:
            tensor = reference()
            if tensor is not None and tensor.grad_fn is not None:
                self._stamp(tensor, end)
            elif tensor is not None:
                self._waiting.append((end, reference))

    def calls(self, tensor: Any) -> int:
        """Give the calls that are met first on the way back from a tensor, as bits."""
        return 0 if tensor.grad_fn is None else self._below(tensor.grad_fn)

    def passage(self, tensor: Any) -> Passage | None:
        """Follow a tensor back to the calls that it descends from; None where it has no gradient to hand on."""
        root = tensor.grad_fn
        if root is None:
            return None
        marked = self._ends(root)
        if marked is not None:
            return Passage(frozenset({marked[tensor.output_nr]} if tensor.output_nr in marked else ()), plain=True)
        if not self._below(root):
            return Passage(frozenset(), plain=True)
        return self._followed(root, tensor.output_nr)

    def _followed(self, root: Any, place: int) -> Passage:
        found = Passage(frozenset(), plain=True)
        doors: dict[Any, list[tuple[int, End]]] = {}
        waiting, seen = [root], {root}
        self._pick(found, root, place)
        while waiting:
            node = waiting.pop()
            if node.name() not in PLAIN or len(seen) > _NEAR:
                found.plain, found.operation = False, found.operation or node.name()
            for position, (source, number) in enumerate(node.next_functions):
                marked = None if source is None else self._ends(source)
                if marked is None and source is not None:
                    self._pick(found, source, number)
                    if node.name() in ONE_PART:
                        found.picks.add((self._number(source), self._number(node)))
                if marked is not None and number in marked:
                    doors.setdefault(node, []).append((position, marked[number]))
                elif marked is None and source is not None and source not in seen and self._below(source):
                    seen.add(source)
                    if len(seen) <= _NEAR:
                        waiting.append(source)
        found.ends = frozenset(end for ends in doors.values() for _, end in ends)
        found.complete = len(seen) <= _NEAR
        if not found.plain:
            self._keep(root.register_prehook(_taker(adder(found.arrived, "gradient"), place)))
        if not found.plain or any(kind == "output" for _, kind in found.ends):  # of which steps may be picked
            for node, ends in doors.items():
                self._keep(node.register_hook(_sender(found.sent, ends)))
        return found

    def _pick(self, found: Passage, node: Any, place: int) -> None:
        if node.name() in ALL_PARTS:
            found.picks.add((self._number(node), place))

    def _number(self, node: Any) -> int:
        """Give a node a number of its own, which is the same for every call that meets it."""
        known: int = node.metadata.setdefault(f"{self._key} number", next(_COUNT))
        return known

    def _stamp(self, tensor: Any, end: End) -> None:
        marks = self._ends(tensor.grad_fn)
        if marks is None:
            marks = tensor.grad_fn.metadata[self._key] = {}
        marks.setdefault(tensor.output_nr, end)

    def _ends(self, node: Any) -> dict[int, End] | None:
        """Give what of a node's outputs a call returned; None where it is no call's."""
        marks: dict[int, End] | int | None = node.metadata.get(self._key)
        return marks if isinstance(marks, dict) else None

    def _known(self, node: Any) -> int | None:
        """Give the calls below a node, as bits, where they were looked up before."""
        found: dict[int, End] | int | None = node.metadata.get(self._key)
        if isinstance(found, dict):
            return sum({1 << index for index, _ in found.values()})
        if found is None and not node.next_functions:
            return 0  # a leaf, which may outlive the run and is not marked
        return found

    def _below(self, root: Any) -> int:
        waiting = [root]
        while waiting:
            node = waiting[-1]
            if self._known(node) is not None:
                waiting.pop()
                continue
            sources = [source for source, _ in node.next_functions if source is not None]
            unknown = [source for source in sources if self._known(source) is None]
            if unknown:
                waiting.extend(unknown)
                continue
            bits = 0
            for source in sources:
                known = self._known(source) or 0
                bits = bits | known if bits else known  # shared, where there is but one
            node.metadata[self._key] = bits
            waiting.pop()
        return self._known(root) or 0


def _taker(add: Callable[[Any], None], place: int) -> Callable[[Any], None]:
    def take(gradients: Any) -> None:
        add(gradients[place])

    return take


def _sender(sent: dict[End, Any], ends: list[tuple[int, End]]) -> Callable[[Any, Any], None]:
    adders = [(position, adder(sent, end)) for position, end in ends]

    def send(inputs: Any, outputs: Any) -> None:
        for position, add in adders:
            add(inputs[position])

    return send
