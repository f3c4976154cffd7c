"""The contract of a recurrent cell: everything of a cell stands in one class, and nothing else asks which cell it is.

A cell gives its facts and words, its arithmetic over a run of steps forward and back, the same step in primitive
operations, and where its initial biases start. `nn/cells` holds the cells that ship, one file each.

Arrays of a run are in the order of processing: entry p is step p of the run. The rows of an array are (N, ·); with one
sample the batch axis is left out, and with many losses at once there is an axis more in front.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Op
from rnngraph.trace.cell import CellTrace

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor

Kept = Callable[[str, "Tensor"], "Tensor"]
Weights = Mapping[str, Array]


@dataclass(slots=True)
class Run:
    """Some steps on their way forward, (steps, N, ·). `states` hold one more, the state before the first.

    `projected` holds x·Wx + b of every step on entry, for a cell that keeps no gates in the rows of its new state h.
    """

    states: dict[str, Array]
    projected: Array
    extras: dict[str, Array]
    weights: Weights  # as `Cell.forward_weights` gives them
    hidden: int


@dataclass(slots=True)
class Past:
    """Some steps as the way back sees them: columns (steps, N, ·); `before` and `after` are the states around one."""

    before: dict[str, Array]
    after: dict[str, Array]
    gates: Array
    extras: dict[str, Array]
    weights: Weights
    hidden: int
    copied: Array | None  # (steps, N, 1), 1 where a sample copies its states, which is no step; None where none does
    unrounded: bool = False  # take a slope that was rounded to zero for the small number that it is

    def slope(self, slope: Array) -> Array:
        """Give a slope as it is, or, where asked for, as what it was before it was rounded to zero."""
        if self.unrounded:
            slope[slope == 0] = np.finfo(slope.dtype).eps ** 2
        return slope

    def not_copied(self, rows: Array) -> Array:
        """Leave out the samples that copy their states."""
        return rows if self.copied is None else rows * (1 - self.copied)


Factors = dict[str, Any]


def product(rows: Array, weight: Array, out: Array) -> None:
    """Multiply rows, with any number of axes in front, by a matrix: one product, not many small ones."""
    if rows.ndim < 3:
        rows.dot(weight, out)  # the method is a sixth of a microsecond faster than the function
    else:
        np.matmul(rows.reshape(-1, rows.shape[-1]), weight, out.reshape(-1, out.shape[-1]))  # dot fills it with 0 first


class Cell(ABC):
    """One kind of recurrent cell; see the module."""

    facts: ClassVar[CellTrace]
    form_of: ClassVar[str] = ""  # the cell of which this is another form, as other libraries have it
    names: ClassVar[tuple[str, ...]] = ("Wx", "b", "Wh")  # of its weights, in the order in which they are recorded
    blocks: ClassVar[int]  # of columns of the weights: the gates, or 1
    extras: ClassVar[tuple[str, ...]] = ()  # columns (T, N, H) that it keeps for the way back
    keeps_gates: ClassVar[bool] = True  # otherwise the projection is turned into the state in place
    splits_gain: ClassVar[bool] = False  # whether a step is a slope and then a product with Wh, and nothing else
    # Of a cell whose da is, block by block, `factors["blocks"]` (steps, N, blocks, H) times the gradient of one state:
    # that state of each block; and by kind of state, the factor by which its gradient is passed to the state before.
    through: ClassVar[tuple[str, ...]] = ()
    passes: ClassVar[Mapping[str, str]] = {}
    gate_order: ClassVar[Mapping[str, str]] = {}  # the gates' order of columns in other layouts, such as PyTorch's

    @cached_property
    def part_ops(self) -> tuple[Op, ...]:
        """The op under which each part of a step is shown."""
        facts = self.facts
        return tuple([
            Op(f"{facts.name}.{part.key}", part.label, lambda *arrays: arrays[0], None, part.formula)
            for part in facts.parts
        ])  # fmt: skip

    def units(self, weights: Weights) -> int:
        """Give the number of units."""
        return int(weights["Wh"].shape[1]) // self.blocks

    def widths(self, weights: Weights) -> dict[str, int]:
        """Give the width of every state."""
        return dict.fromkeys(self.facts.kinds, self.units(weights))

    def forward_weights(self, weights: Weights) -> Weights:
        """Give the weights as `advance` takes them, and as x is projected; by default as they are."""
        return weights

    @abstractmethod
    def advance(self, run: Run) -> Iterator[None]:
        """Compute a run in its arrays, and stop after every step."""

    @abstractmethod
    def factors(self, past: Past) -> Factors:
        """Compute, for all steps at once, what `back` multiplies by; entries are columns (steps, N, ·).

        Where `past.copied` is 1, factors are such that nothing enters the gates and every state but h is passed on.
        """

    def within(self, factors: Factors, p: int, h: Array, others: Sequence[Array]) -> None:
        """Write what the gradient of h makes of that of the other states of the same step."""
        for other in others:
            other[...] = 0

    @abstractmethod
    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Walk step p back: from the gradients `g` of its states to `da` of its gates and `out` of the states before.

        `weight` is Whᵀ. Arrays are (rows, N, ·), of one sample also (rows, ·); of several steps at once, which do not
        follow on one another, (rows, steps, N, ·). The arrays of `g` and `out` may be the same, except for those of h.
        """

    def to_input(self, factors: Factors, steps: slice | int, da: Array, h: Array) -> Array:
        """Give the gradient of x·Wx + b, from that of the gates and of h."""
        return da

    def weight_factors(
        self, past: Past, x: Array, da: Array, to_input: Array, h: Array
    ) -> Iterator[tuple[str, Any, Array]]:
        """Give (name, left, right) with gradient Σ leftᵀ·right for every weight; left is None for a bias."""
        yield "Wx", x, to_input
        yield "b", None, to_input
        yield "Wh", past.before["h"], da

    def to_gates(self, past: Past, totals: Mapping[str, Array]) -> list[Array]:
        """Give the gradients of the gates' values, (steps, N, H) each; none of a cell without gates."""
        return []

    @abstractmethod
    def saturated(self, past: Past) -> Array:
        """Say which units have a derivative below 5 % of its largest, (steps, N, H)."""

    def gates_saturated(self, gates: Array, hidden: int) -> Array:
        """Say the same of every gate, (steps, N, gates · H)."""
        return np.zeros(gates.shape, bool)

    @abstractmethod
    def compose(
        self, x: Tensor, states: Mapping[str, Tensor], weights: Mapping[str, Tensor], kept: Kept
    ) -> dict[str, Tensor]:
        """Record one step in primitive operations.

        `x` is x·Wx + b, (N, blocks · H). Every new state is passed through `kept`, before another of the same step is
        made of it: it copies the state where a sample copies its states.
        """

    def long_memory(self, bias: Mapping[str, Array], drawn: Array) -> None:
        """Set the biases of gates, views by name, to `drawn`: the larger, the longer the state is kept."""
        if self.facts.keeps:
            bias[self.facts.keeps][:] = drawn
