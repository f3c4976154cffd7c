"""What was put into a buffer, by place: `h[:, t] = …` keeps the tensor, and the whole is joined once, when it is read.

In: a tape, nodes and places. Out: the parts that are not joined yet, and nodes.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from rnngraph.autodiff import ops
from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.numpy.subscripts import Place, Split, as_tuple, split, within

if TYPE_CHECKING:
    from rnngraph.numpy.recorded import Recorded


class Parts:
    """Parts of one buffer, by the axes that their integers pick; the latest put wins where places overlap."""

    __slots__ = ("_spread", "across", "joined", "known", "stamp")

    def __init__(self) -> None:
        """Start with nothing put."""
        self.known: dict[tuple[int, ...], dict[Place, tuple[int, int, Split]]] = {}  # stamp, node, where; latest last
        self._spread: list[tuple[int, tuple[Any, ...], int]] = []  # over many places at once, not joined: index, node
        self.stamp = 0
        self.joined = 0  # all puts up to this stamp are in the whole
        self.across = 0  # the stamp of the last put over many places at once

    def put(self, at: Split, node_id: int) -> None:
        """Keep what was put at a whole place; what it hides need not be joined."""
        self.stamp += 1
        places = self.known.setdefault(at.axes, {})
        places.pop(at.place, None)
        places[at.place] = self.stamp, node_id, at

    def put_across(self, index: tuple[Any, ...], node_id: int) -> None:
        """Keep what was put over many places at once."""
        self.stamp += 1
        self.across = self.stamp
        self._spread.append((self.stamp, index, node_id))

    def join(self) -> tuple[tuple[Any, ...], list[int]]:
        """Give the indices and nodes of all that is not joined yet, and see it as joined."""
        waiting, self._spread = self._spread, []
        for places in self.known.values():
            late = takewhile(lambda one: one[0] > self.joined, reversed(places.values()))
            waiting += [(stamp, at.index, node) for stamp, node, at in late]
        waiting.sort(key=lambda one: one[0])
        self.joined = self.stamp
        return tuple([index for _, index, _ in waiting]), [node for _, _, node in waiting]

    def at(self, where: Split) -> tuple[int, Split] | None:
        """Find the part that holds an index: the node, and what is left to be picked from it."""
        found, hidden = self._latest_at(where)
        left = None if found is None or found[0] < hidden else within(found[2], where)
        return None if found is None or left is None else (found[1], left)

    def is_below(self, where: Split) -> bool:
        """Whether nothing that is not joined yet was put there."""
        found, hidden = self._latest_at(where)
        return max(hidden, found[0] if found else 0) <= self.joined

    def _latest_at(self, where: Split) -> tuple[tuple[int, int, Split] | None, int]:
        """Find the latest part that holds a place whole, and the stamp of the latest put that may hide it."""
        numbers = dict(zip(where.axes, where.place, strict=True))
        best: tuple[int, int, Split] | None = None
        hidden = self.across
        for known, places in self.known.items():
            if not numbers.keys() >= set(known):
                hidden = max(hidden, places[next(reversed(places))][0])
                continue
            found = places.get(tuple([numbers[axis] for axis in known]))
            if found is not None and (best is None or found[0] > best[0]):
                best = found
        return best, hidden


def assembled(tape: Any, base: int, indices: tuple[Any, ...], nodes: list[int]) -> int:
    """Put parts into a base; what is put over all of it last is the whole."""
    last = split(indices[-1], tape.entry(base).value.shape)
    if last is not None and last.is_all:
        return nodes[-1]
    found: int = tape.record(ASSEMBLE, (base, *nodes), {"indices": indices})._node
    return found


def picked(tape: Any, node_id: int, index: Any) -> Recorded:
    """Record what is read at an index."""
    below = tape.entry(node_id)
    value = below.value[index]  # NumPy's own error where the index does not fit
    found: Recorded = tape.enter(
        ops.INDEX, (node_id,), (below.value,), value, below.requires, {"index": as_tuple(index)}
    )
    return found
