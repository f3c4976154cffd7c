"""A recurrence on a tape: which nodes, or which block, are the states of a layer or of a cell written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.cell import Cell
from rnngraph.autodiff.contribution import Array
from rnngraph.trace.cell import CellTrace

FORWARD, REVERSE = "forward", "reverse"


@dataclass(slots=True)
class Recurrence:
    """One layer and direction, or one cell of a user's own; what is declared of its steps is declared here."""

    stem: str  # "lstm" of the layer's parameters "lstm.Wh_l1"
    facts: CellTrace
    layer: int = 0
    direction: str = FORWARD
    cell: Cell | None = None
    block: Block | None = None  # its steps; without one they are nodes
    states: dict[str, list[int]] = field(default_factory=dict)  # kind -> node id by timestep, where they are nodes
    initial: dict[str, int] = field(default_factory=dict)  # kind -> node id
    batch_axis: int | None = 0  # of a state's value, where the states are nodes
    mask: Array | None = None  # (N, T) False where a sample copies its states
    cuts: Array | None = None  # (N or 1, T) the step is cut from the one processed before it
    weight: str = ""  # the name of the recurrent weight
    source: int = -1  # the node that holds the input, or its projection, of all steps
    output: int = -1  # the node that holds the output of all steps
    fed: dict[int, list[int]] = field(default_factory=dict)  # timestep -> nodes of data that enter it alone
    fed_name: str = ""  # what these are called together

    @property
    def name(self) -> str:
        """The name of the layer and direction: "lstm_l1_reverse"."""
        return self.stem + self.ending

    @property
    def ending(self) -> str:
        """The end of the names of its states and parameters."""
        return suffix(self.layer, self.direction) if self.cell is not None else ""

    def state_name(self, kind: str) -> str:
        """Name one of its states, as the layer's parameters are named."""
        return f"{self.stem}.{kind}{self.ending}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its states, "h" first where there is one."""
        return self.facts.kinds

    @property
    def reverse(self) -> bool:
        """Whether it runs from the last timestep to the first."""
        return self.direction == REVERSE

    @property
    def timesteps(self) -> int:
        """The number of its own steps."""
        return self.block.steps if self.block is not None else len(next(iter(self.states.values())))

    def node_ids(self, kind: str) -> Array:
        """Give the node ids of a state, (T,)."""
        if self.block is not None:
            return self.block.node_ids(kind)
        return np.array(self.states[kind], dtype=np.int64)


def suffix(layer: int, direction: str) -> str:
    """Give the ending of a parameter's or state's name: nothing for the first, else `_l1`, `_l0_reverse`."""
    if layer == 0 and direction == FORWARD:
        return ""
    return f"_l{layer}" + ("_reverse" if direction == REVERSE else "")
