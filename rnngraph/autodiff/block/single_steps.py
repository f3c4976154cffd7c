"""Steps of a window walked back one by one, for many cotangents at once: as the cell walks them, or merged.

In: what is under way behind the steps, and what enters between them. Out: what is under way before each, and what the
steps hand to their products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.block.entries import Entry
from rnngraph.autodiff.block.merged import Merged
from rnngraph.autodiff.cell import Cell, Factors
from rnngraph.autodiff.contribution import Array


class Steps:
    """The steps of one window of a block; of one sample the axis is left out, as vectors are faster."""

    def __init__(self, block: Block, factors: Factors, weight: Array, *, rows: int, alone: bool, careful: bool) -> None:
        """Take the factors of the window, Whᵀ, and the most rows; `careful` where no step is walked plainly."""
        self.cell, self.weight, self.alone = block.cell, weight, alone
        self.factors = {key: one if key == "constants" else list(one) for key, one in factors.items()}
        self.own_input = type(self.cell).to_input is not Cell.to_input
        self._merged: Merged | None = None
        if self.cell.through and not careful:
            input_weight = np.ascontiguousarray(block.weights["Wx"].T, np.float64)
            self._merged = Merged(self.cell, factors, weight, input_weight, rows=rows, alone=alone)

    def merged(self, rows: int) -> Merged | None:
        """Give the steps merged, where that pays for so many rows."""
        return self._merged if self._merged is not None and self._merged.pays(rows) else None

    def by_step(self, array: Array) -> list[Array]:
        """Take an array (steps, rows, N, ·) apart."""
        return list(array[:, :, 0]) if self.alone else list(array)

    def back(
        self, last: int, states: Sequence[Array], inside: Sequence[Array],
        entering: Mapping[int, list[Entry]], low: int,
        handed: Array, merged: Merged | None,
    ) -> None:  # fmt: skip
        """Walk steps back.

        Args:
            last: the place of the step that is walked last.
            states: by kind (steps + 1, rows, N, ·); the last is what is under way, what entered there included.
            inside: room for what the h of a step adds to its other states.
            entering: what enters at places before the first step that is walked.
            low: the number of the first row.
            handed: gets the gradients of x·Wx + b, or of x where the steps are merged.
            merged: the steps as one matrix a sample.
        """
        kinds, room = [self.by_step(one) for one in states], [self.by_step(one[None])[0] for one in inside]
        given = self.by_step(handed)
        first = len(given) - 1
        for j in range(first, -1, -1):
            g, out = [some[j + 1] for some in kinds], [some[j] for some in kinds]
            if j < first:
                self._enter(last + j, g, room, entering.get(last + j, ()), low)
            if merged is not None:
                merged.back(last + j, g, out, given[j])
                continue
            self.cell.back(self.factors, last + j, g, given[j], self.weight, out)
            if self.own_input:
                given[j][...] = self.cell.to_input(self.factors, last + j, given[j], g[0])

    def _enter(
        self, p: int, g: Sequence[Array], room: Sequence[Array], here: Sequence[Entry], low: int
    ) -> None:  # fmt: skip
        for one in here:
            if one.kind == 0:
                self._add(one, g, low)
        if room:
            self.cell.within(self.factors, p, g[0], room)
            for own, inner in zip(g[1:], room, strict=True):
                own += inner
        for one in here:
            if one.kind:
                self._add(one, g, low)

    def _add(self, one: Entry, g: Sequence[Array], low: int) -> None:
        first = one.low - low
        g[one.kind][first : first + len(one.rows)] += one.rows[:, 0] if self.alone else one.rows
