"""The tape that recording arrays write: an ordinary tape whose handles are such arrays, quick to append to.

In: ops and operands. Out: handles. Constants are copied, because NumPy code writes into its arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, Node, Op
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import DtypeError
from rnngraph.numpy.values import Handle

if TYPE_CHECKING:
    from rnngraph.numpy.recorded import Recorded

NUMBERS = (int, float, bool)
NOTHING: dict[str, Any] = {}  # the options of most ops


class ArrayTape(Tape):
    """A tape of recording arrays. `refused` holds the sentences of what was refused, which user code may catch."""

    def __init__(self, *, model: str = "") -> None:
        """Start an empty tape."""
        from rnngraph.numpy.recorded import Recorded

        super().__init__(model=model)
        self.make = Recorded
        self.refused: list[str] = []
        self.closed = False  # nothing is recorded any more, so that no gradient can be lost
        self.lists: dict[str | None, tuple[str, int]] = {}  # leaf's name -> the list or dict that it is in, and where
        self._numbers: dict[tuple[Any, ...], int] = {}

    def tensor(self, node_id: int) -> Recorded:
        """Give the handle of a recorded node."""
        return self.make(self, node_id)

    def record(self, op: Op, ids: tuple[int, ...], options: dict[str, Any], value: Array | None = None) -> Recorded:
        """Compute an op on nodes, unless its value is known, and record it."""
        sources = [self.entry(i) for i in ids]
        arguments = tuple([source.value for source in sources])
        if value is None:
            value = op.forward(*arguments, **options)
        return self.enter(op, ids, arguments, value, True in [source.requires for source in sources], options)

    def enter(
        self, op: Op, ids: tuple[int, ...], arguments: tuple[Array, ...], value: Any, requires: bool,
        options: dict[str, Any] = NOTHING,
    ) -> Recorded:  # fmt: skip
        """Record a value that was computed from the values of nodes."""
        if type(value) is not np.ndarray:
            value = np.asarray(value)
        node_id = self.size
        self.entries.append(Node(node_id, op, ids, value, arguments, self.place, self.timestep, requires, options))
        self._firsts.append(node_id)
        self.size = node_id + 1
        return self.make(self, node_id)

    def lift(self, x: Any, like: np.dtype[Any] | None = None) -> int:
        """Give the node of an operand; a plain number takes the floating dtype `like`, as in NumPy.

        Raises:
            DtypeError: it holds no real numbers.
        """
        if isinstance(x, Handle):
            return int(x.id)
        if type(x) in NUMBERS:
            weak = like if like is not None and like.kind == "f" else None
            key = type(x), x, weak
            if key not in self._numbers:
                self._numbers[key] = self._constant(np.array(x, weak))
            return self._numbers[key]
        return self._constant(np.array(x))

    def nothing(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """Give the node of zeros, which take no memory."""
        return self._constant(np.broadcast_to(np.zeros((), dtype), shape))

    def _constant(self, value: Array) -> int:
        if value.dtype.kind not in "fiub":
            raise DtypeError(f"a recorded array meets one of dtype {value.dtype}; only real numbers can be followed.")
        return self.append(CONSTANT, (), value, requires=False, scope=())

    def emptied(self) -> list[Node]:
        """Give all nodes away, to take some of them again."""
        nodes: list[Node] = list(self.entries)  # type: ignore[arg-type]
        self.entries.clear()
        self._firsts.clear()
        self._numbers.clear()
        self.size = 0
        return nodes

    def take(self, node: Node, inputs: tuple[int, ...]) -> int:
        """Append a node that was given away, with the numbers that its inputs have now; give its own."""
        node.id, node.inputs = self.size, inputs
        self._add(node)
        self.size += 1
        return node.id
