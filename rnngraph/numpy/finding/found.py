"""A recurrence that was found on a tape of NumPy calls: its steps, its states, and what stands before them."""

from __future__ import annotations

from dataclasses import dataclass, field

from rnngraph.autodiff.contribution import Array
from rnngraph.numpy.finding.chains import Chain


@dataclass(slots=True)
class Found:
    """One recurrence, in the order of processing."""

    chain: Chain
    states: dict[str, list[int]]  # kind -> node ids
    initial: dict[str, int]
    units: dict[str, int | None]  # kind -> the axis of the units, None where it is not known
    unread: dict[str, int] = field(default_factory=dict)  # kind, of which the last is not there -> what it is made of
    inside: set[int] = field(default_factory=set)  # what leads to the states, of the nodes of the chain
    seen_through: dict[int, list[int]] = field(default_factory=dict)  # state "h" -> the views through which it is read
    there: Array | None = None  # (N, T) which samples there are at each step; None where it is all
    direction: str = "forward"
    name: str = ""
    woven_starts: frozenset[int] = frozenset()  # what stands before the first steps of runs that take turns

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(next(iter(self.states.values())))

    def made(self, name: object) -> dict[int, tuple[object, int]]:
        """Give the timestep of every state, with a name for them all."""
        last = None if self.direction == "forward" else self.time - 1
        return {i: (name, k if last is None else last - k) for ids in self.states.values() for k, i in enumerate(ids)}
