"""The graph as the picture means it, before any position or colour: rows, columns, vertices, edges, bands.

`build` makes one from a trace, `layout` and `style` turn it into a drawing. Nothing here knows pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from rnngraph.graph.summary import UNKNOWN, Summary
from rnngraph.trace.magnitudes import Integers, Status

if TYPE_CHECKING:
    from rnngraph.graph.one_loss.view import Seen

ColumnKind = Literal["initial", "step", "fold", "loop"]
RowKind = Literal["input", "op", "track", "loss"]
VertexKind = Literal["input", "op", "state", "gate", "part", "layer", "loss", "initial", "fold", "cut"]
EdgeKind = Literal["forward", "recurrent", "backward"]
Index: TypeAlias = slice | Integers


@dataclass(frozen=True, slots=True)
class Column:
    """One position on the time axis: a step, a fold of several, the initial states, or a whole loop.

    `ranges` are the half-open ranges of timesteps that the column stands for.
    """

    kind: ColumnKind
    ranges: tuple[tuple[int, int], ...]
    label: str | None = None
    valid: int = -1  # samples that are not padding at this step; -1 where the column is not a step
    segment: int = 0  # the part of the time axis: an encoder's steps are in another one than its decoder's

    @property
    def count(self) -> int:
        """How many timesteps the column stands for."""
        return sum(stop - start for start, stop in self.ranges)

    @property
    def first(self) -> int:
        """The first timestep; -1 for initial states."""
        return self.ranges[0][0] if self.ranges else -1

    @property
    def last(self) -> int:
        """The last timestep; -1 for initial states."""
        return self.ranges[-1][1] - 1 if self.ranges else -1

    @property
    def names(self) -> tuple[str, ...]:
        """The steps in words, from the longest to the shortest; none for initial states."""
        if self.kind == "fold":
            return f"t={self.first} … {self.last}", f"{self.first}…{self.last}"
        spans = ", ".join(f"{start} … {stop - 1}" if stop - start > 1 else f"{start}" for start, stop in self.ranges)
        several = (f"each of {self.count} steps, t={spans}",) if self.count > 1 else ()
        return (*several, f"t={spans}") if spans else ()

    @property
    def index(self) -> Index:
        """What selects the column's timesteps from an array `(T, ...)`."""
        if len(self.ranges) == 1:
            return slice(*self.ranges[0])
        return np.concatenate([np.arange(start, stop) for start, stop in self.ranges] or [np.empty(0, dtype=np.int64)])

    def within(self, start: int, stop: int) -> Column:
        """Keep the timesteps from `start` up to, but without, `stop`."""
        kept = ((max(first, start), min(last, stop)) for first, last in self.ranges)
        return replace(self, ranges=tuple(pair for pair in kept if pair[0] < pair[1]))


@dataclass(frozen=True, slots=True)
class Row:
    """One horizontal line of boxes, from the bottom up: a whole-sequence op, or a layer in one direction."""

    name: str
    kind: RowKind
    layer: int = -1
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Vertex:
    """One box. `place` is where it stands inside its row and column: (level from the bottom, rank, of how many)."""

    id: str
    kind: VertexKind
    label: str
    row: int
    column: int
    key: str = ""  # what it is called inside its row and column; of a state its kind
    inputs: tuple[str, ...] = ()  # the keys of what it takes, as a `PartTrace` has them
    nodes: tuple[int, ...] = ()  # ids in `Trace.graph`
    state: str = ""  # the name of the state that this vertex is
    gates: tuple[str, ...] = ()  # the names of the gates that it stands for
    formula: str = ""
    place: tuple[int, ...] = (0, 0, 1)
    grad: Summary | None = None
    saturated: Summary | None = None
    activation: Summary | None = None
    note: str = ""  # what a reader finds when asking for more
    padding: bool = False  # no sample has data here
    first_nonfinite: bool = False
    mark: str = ""  # what is wrong here, in two words, such as "saturated 83 %"
    share: float | None = None  # log10 of what is left of the one loss; -inf nothing, None: it does not get here


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow. `backward` edges walk back along the recurrence and carry a gradient."""

    id: str
    kind: EdgeKind
    source: str
    target: str
    state: str = ""
    carried: Summary | None = None
    gain: Summary | None = None
    unreached: str = ""  # the vertex that the walk would reach, were the recurrence not cut
    share: float | None = None  # as a vertex's, of what arrives
    label: str = ""  # what the step keeps, where the picture is seen from one loss
    row: int = -1  # and the row along which it goes

    @property
    def cut(self) -> bool:
        """Whether the arrow ends at the mark of a cut."""
        return bool(self.unreached)


@dataclass(frozen=True, slots=True)
class Band:
    """One line of the table under the columns: a state's gradient, or a weight's part of every step."""

    name: str
    kind: Literal["gradient", "weight"]
    note: str
    total: Summary | None
    summaries: tuple[Summary | None, ...]  # one a column

    @property
    def silent(self) -> bool:
        """Whether nothing of a line is known step by step."""
        return all(found is None or found.status is Status.UNOBSERVED for found in self.summaries)


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything that one picture shows."""

    title: str
    subtitle: str
    timesteps: int
    batch: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    bands: tuple[Band, ...]
    carried: Summary = UNKNOWN  # over every step, shown or not: the range of the colour scale
    gradients: Summary = UNKNOWN  # likewise for the states' gradients
    contributions: Summary = UNKNOWN  # for the weights' contributions
    gains: Summary = UNKNOWN  # for what a step back makes of the gradient
    activations: Summary = UNKNOWN
    saturation: tuple[tuple[str, float], ...] = ()  # words of marks, and the share of units from which each is given
    seen: Seen | None = None  # what is known of the one loss that it is seen from; None: the sum over all losses
