"""Which entries of a tape keep a time axis, and which of them share a clock: they take the same step at the same time.

In: a tape. Out: a clock, a number, for every entry over time. Ops declare whether they act step by step; nothing is
guessed from values.
"""

from __future__ import annotations

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape


class Clocks:
    """Clocks by entry id; two that meet in a step-by-step op become one."""

    def __init__(self, tape: Tape) -> None:
        """Follow the time axis through the tape."""
        self._same: list[int] = []
        self._of: dict[int, int] = {}
        self.narrow: set[int] = set()  # entries (N, T, ·) that come step by step from others such, or from nowhere
        owners = {one.output: one for one in tape.recurrences}
        for entry in tape.entries:
            if isinstance(entry, Block):
                self._join(entry.id, (entry.sources["x"],))
                self.narrow.add(entry.id)
            elif entry.id in owners:
                self._join(entry.id, (owners[entry.id].source,))
            elif entry.value.ndim == 3 and entry.value.dtype.kind == "f":
                self._node(tape, entry)
        # States that are nodes have a clock of their own where nothing over time leads in.
        self.of_recurrence = [self._recurrence(one) for one in tape.recurrences]

    def _node(self, tape: Tape, node: Node) -> None:
        inputs = node.inputs[:1] if node.op.stepwise == "first" else node.inputs
        sources = [one for one in (tape.entry(i) for i in inputs) if one.value.ndim >= 3]
        steady = all(one.value.shape[:2] == node.value.shape[:2] for one in sources)
        if node.op.stepwise and steady and sources:
            self._join(node.id, tuple(one.id for one in sources))
            self.narrow.add(node.id)
        else:
            self._join(node.id, ())

    def _join(self, entry: int, sources: tuple[int, ...]) -> None:
        known = [self._root(self._of[one]) for one in sources if one in self._of]
        if not known:
            known = [len(self._same)]
            self._same.append(known[0])
        for other in known[1:]:
            self._same[other] = known[0]
        self._of[entry] = known[0]

    def _recurrence(self, one: Recurrence) -> int:
        if one.source < 0:
            self._same.append(len(self._same))
            return len(self._same) - 1
        return self._of[one.source]

    def _root(self, clock: int) -> int:
        while self._same[clock] != clock:
            clock = self._same[clock]
        return clock

    def of(self, number: int) -> int:
        """Give the clock of the recurrence of this number."""
        return self._root(self.of_recurrence[number])
