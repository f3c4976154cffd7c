"""A step back as one matrix a sample, for so many rows that making it costs less than it saves.

In: the factors of a window's steps. Out: cotangents of the states before a step, and of its input.
Where each block of columns gets `P_k ∘ g` of the gradient g of one state, the blocks of that state need no product
each: `Σ_k (P_k ∘ g) W_kᵀ = g · Σ_k diag(P_k) W_kᵀ`. An LSTM needs half of the arithmetic so, a GRU a third.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.autodiff.cell import Cell, Factors
from rnngraph.autodiff.contribution import Array

_START = 15_000  # multiplications that take as long as to begin the product of one unit's blocks
_THIN = 16  # so much slower are the thin products that make a matrix; on many cores, which they do not fill, far more


class Merged:
    """The steps of a window, of a cell that says `through` which state each of its blocks is reached."""

    def __init__(
        self, cell: Cell, factors: Factors, weight: Array, input_weight: Array, *, rows: int, alone: bool
    ) -> None:
        """Take Whᵀ, Wxᵀ and the most rows; `alone` where the factors have no axis of samples."""
        self.cell, self.factors = cell, factors
        self.blocks = factors["blocks"][:, None] if alone else factors["blocks"]
        self.weight, self.input_weight = self._by_kind(weight), self._by_kind(input_weight)
        # Memory that is touched for the first time costs more than the arithmetic on it.
        _, samples, _, units = self.blocks.shape
        widest = max(weight.shape[-1], input_weight.shape[-1])
        self._part, self._matrices = np.empty(rows * samples * widest), np.empty(units * samples * widest)

    def _by_kind(self, weight: Array) -> list[tuple[list[int], Array]]:
        """Give the blocks of every state and their weights, (units, blocks, ·)."""
        by_unit = weight.reshape(self.cell.blocks, -1, weight.shape[-1]).swapaxes(0, 1)
        places = [
            [k for k, through in enumerate(self.cell.through) if through == kind] for kind in self.cell.facts.kinds
        ]
        return [(some, np.ascontiguousarray(by_unit[:, some])) for some in places]

    def pays(self, rows: int) -> bool:
        """Say whether a step of so many rows is walked faster so."""
        samples, blocks, width = self.blocks.shape[1], self.cell.blocks, self.weight[0][1].shape[-1]
        saved = (blocks - len(self.cell.facts.kinds)) * rows
        return bool(samples * width * (saved - _THIN * blocks) > _START)

    def back(self, p: int, g: Sequence[Array], out: Sequence[Array], to_input: Array | None) -> None:
        """Walk step p back, as `Cell.back` does; `to_input`, where it is given, is that of the input."""
        self._multiply(g, self.blocks[p], self.weight, out[0])
        if to_input is not None:
            self._multiply(g, self._input_blocks(p), self.input_weight, to_input)
        for number, kind in enumerate(self.cell.facts.kinds):
            name = self.cell.passes.get(kind)
            if name is not None and number:
                np.multiply(self.factors[name][p], g[number], out[number])
            elif name is not None:
                out[number][...] += self.factors[name][p] * g[number]

    def _input_blocks(self, p: int) -> Array:
        """Give the factors of the gradient of x·Wx + b: what a gradient of one becomes."""
        flat = self.factors["blocks"][p].reshape(*self.factors["blocks"].shape[1:-2], -1)
        ones = np.ones((*flat.shape[:-1], self.blocks.shape[-1]))
        return self.cell.to_input(self.factors, p, flat, ones).reshape(self.blocks[p].shape)

    def _multiply(self, g: Sequence[Array], blocks: Array, weights: list[tuple[list[int], Array]], out: Array) -> None:
        """Write the sum over states of g · Σ_k diag(P_k) W_k, sample by sample."""
        samples, units, width = len(blocks), blocks.shape[-1], out.shape[-1]
        matrices = self._matrices[: units * samples * width].reshape(units, samples, width)
        for number, (places, weight) in enumerate(weights):
            np.matmul(blocks[:, places].transpose(2, 0, 1), weight, matrices)
            part = self._part[: out.size].reshape(out.shape) if number else out
            rows, found = (one.reshape(len(out), samples, -1).swapaxes(0, 1) for one in (g[number], part))
            np.matmul(rows, matrices.swapaxes(0, 1), found)
            if number:
                np.add(out, part, out)
