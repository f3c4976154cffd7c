"""The gradients of a block's weights: their sum over time, and the norm of every timestep's part.

In: windows of factors. Out: a contribution a weight: summed, or factored where the weight is used elsewhere too.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.cell import Past
from rnngraph.autodiff.contribution import Array, BatchSum, Contribution, Outer, Summed
from rnngraph.autodiff.outer_norms import OuterNorms, outer_sum
from rnngraph.norms import row_norms


class WeightSums:
    """Sums by name."""

    def __init__(self, block: Block, wanted: Collection[str], factored: Collection[str], *, measured: bool) -> None:
        """Start from nothing; norms are taken only where they are `measured`."""
        self.block, self.wanted, self.factored, self.measured = block, wanted, factored, measured
        self.totals: dict[str, Array] = {}
        self.steps = {name: np.zeros(block.steps) for name in wanted}
        self.lost: dict[str, Array] = {}
        self.parts: dict[str, list[tuple[slice, Array | None, Array]]] = {name: [] for name in factored}

    def add(self, past: Past, t: slice, da: Array, to_gates: Array, h: Array, outer: OuterNorms) -> None:
        """Add a window: columns in the order of processing, `t` its timesteps; `outer` knows norms of these."""
        if not self.wanted:
            return
        block = self.block
        x = block.order(block.x[t])
        for name, left, right in block.cell.weight_factors(past, x, da, to_gates, h):
            if name not in self.wanted:
                continue
            if name in self.factored:
                self.parts[name].append((t, None if left is None else left.copy(), right.copy()))
            elif left is None:
                self._add_rows(name, t, right, outer)
            else:
                self._add_products(name, t, left, right, outer)

    def _add_rows(self, name: str, t: slice, rows: Array, outer: OuterNorms) -> None:
        alone = rows.shape[1] == 1
        by_step = rows[:, 0] if alone else (np.ones((1, rows.shape[1]), rows.dtype) @ rows)[:, 0]
        self._add_total(name, by_step.sum(axis=0))
        if self.measured:
            self.block.order(self.steps[name][t])[...] = outer.of_steps(rows) if alone else row_norms(by_step)

    def _add_products(self, name: str, t: slice, left: Array, right: Array, outer: OuterNorms) -> None:
        if not self.measured:
            self._add_total(name, outer_sum(left, right))
            return
        total, norms = outer.summed(left, right)
        self._add_total(name, total)
        self.block.order(self.steps[name][t])[...] = norms
        for k in (norms == 0).nonzero()[0].tolist():
            if left[k].any() and right[k].any():
                lost = self.lost.setdefault(name, np.zeros(self.block.steps, bool))
                self.block.order(lost[t])[k] = True

    def _add_total(self, name: str, part: Array) -> None:
        known = self.totals.get(name)
        if known is None:
            self.totals[name] = part
        else:
            known += part

    def contributions(self) -> dict[str, Contribution]:
        """Give what was summed."""
        found: dict[str, Contribution] = {
            name: Summed(total, self.steps[name], self.lost.get(name)) for name, total in self.totals.items()
        }
        for name, parts in self.parts.items():
            ordered = sorted(parts, key=lambda part: part[0].start)
            rights = np.concatenate([self.block.order(right) for _, _, right in ordered])
            lefts = [self.block.order(left) for _, left, _ in ordered if left is not None]
            found[name] = Outer(np.concatenate(lefts), rights) if lefts else BatchSum(rights)
        return found
