"""What a walk of many cotangents is made of: the rows that reach an entry, and what the walk passes and tells.

In: nothing. Out: `Cotangents` and `Walk`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rnngraph.autodiff.block.carry import Carry
from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.contribution import Array, Contribution

if TYPE_CHECKING:
    from rnngraph.autodiff.block.weight_lags import WeightLags
    from rnngraph.autodiff.tape import Tape

# (block, first timestep or -1 for the initial states, first row, logs of norms by kind, each (steps, rows, N))
See: TypeAlias = Callable[[Block, int, int, list[Array]], None]
# (block, timestep, whether anything is carried to each kind of state, reaches it at its own step, reaches the gates)
Feel: TypeAlias = Callable[[Block, int, list[bool], list[bool], bool], None]
SeeFed: TypeAlias = Callable[[int, int, int, Array], None]  # (node, first timestep, first row, logs (steps, rows, N))


@dataclass(frozen=True, slots=True)
class Cotangents:
    """Some rows of one band at a node: an array (count, ...) or a contribution with such an axis in front."""

    value: Contribution
    low: int
    count: int
    band: int = 0
    narrow: bool = False
    first: int = 0  # the first timestep of a narrow value
    by: int = -1  # the entry that handed it back

    def dense(self, shape: tuple[int, ...]) -> Array:
        """Give the rows as an array of a value of this shape."""
        if isinstance(self.value, np.ndarray):
            return self.value
        total = np.zeros((self.count, *shape))
        self.value.add_to(total, 1)
        return total


SeeNode: TypeAlias = Callable[[int, int, Array], None]  # (node, first row, logs of norms (rows, N))
FeelNode: TypeAlias = Callable[[int, list[Cotangents]], None]  # (entry, what reached it)


@dataclass(slots=True)
class Walk:
    """What one walk needs: which entries to pass on to, which states to tell of, and the carries of blocks."""

    tape: Tape
    leads: frozenset[int]  # ids of the entries behind which there is a state
    states: Mapping[int, int | None]  # node id of a state -> the axis of its samples
    narrow: frozenset[int]
    samples: Mapping[int, Array]  # of a batch size: the samples that are chosen
    see_node: SeeNode = lambda node, low, logs: None
    see_block: See | None = None
    window: tuple[int, int] | None = None  # places of every block; None for all
    carries: dict[int, Carry] = field(default_factory=dict)
    until: frozenset[int] = frozenset()  # states that are told of but not walked past
    unrounded: bool = False
    feel_block: Feel | None = None
    feel_node: FeelNode | None = None
    see_fed: SeeFed = lambda node, first, low, logs: None
    fed: frozenset[int] = frozenset()  # inputs over time that are told of
    underflows: set[str] = field(default_factory=set)  # holds anything where a float64 was, as the processor tells
    alone: frozenset[int] = frozenset()  # those of them that one block reads, and nothing else
    weigh: Mapping[int, WeightLags] = field(default_factory=dict)  # of a block's id: sums what its weights get
