"""The way back over a block for one cotangent: gradients of the input, the initial states and the weights.

In: a block and what reaches it. Out: contributions by name. Whole windows of inner gradients are lent to whoever
measures, while they are in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.block.given import Given
from rnngraph.autodiff.block.weight_sums import WeightSums
from rnngraph.autodiff.block.workspace import recycled, transposed, workspace
from rnngraph.autodiff.cell import Factors, Past
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.outer_norms import OuterNorms
from rnngraph.norms import Floats


@dataclass(slots=True)
class Inner:
    """Gradients inside a block at some steps, lent until the next: columns (steps, N, ·) by timestep, ascending."""

    block: Block
    steps: slice
    past: Past  # in the order of processing
    total: dict[str, Array]
    immediate: dict[str, Array]
    carried: dict[str, Array]
    projected: Floats  # (steps,) norms of that of x·Wx + b


Lend: TypeAlias = Callable[[Inner], None]


def pull(
    block: Block,
    given: Given,
    *,
    wanted: Collection[str],
    factored: Collection[str] = (),
    lend: Lend | None = None,
) -> dict[str, Contribution]:
    """Walk all steps back, and give what the block hands back, by the names of its sources.

    Args:
        block: what is walked.
        given: what reaches it from outside.
        wanted: the sources whose gradient is formed.
        factored: weights that are handed back as factors, as the parts of a weight that is used elsewhere too.
        lend: is called with every window.
    """
    kinds, T = block.cell.facts.kinds, block.steps
    chunk = block.window(max(block.x.shape[-1], block.gates.shape[-1]))
    space = _space(block, chunk)
    dx = recycled(block.x.shape, block.dtype) if "x" in wanted else None
    weights = [name for name in block.weights if name in wanted]
    sums = WeightSums(block, weights, factored, measured=lend is not None)
    wx, wh = (transposed(block.weights[name]) for name in ("Wx", "Wh"))
    for kind in kinds:
        space.carried[kind][0] = 0
    for stop in range(T, 0, -chunk):
        start = max(0, stop - chunk)
        count, t = stop - start, block.times(start, stop)
        past = block.past(start, stop)
        columns = block.cell.factors(past)
        given.write(start, stop, space.immediate["h"][:count])
        _walk(block, space, given, (start, stop), columns, past, wh)
        da, h = space.da[:count], space.total["h"][:count]
        gates, norms = block.cell.to_input(columns, slice(None), da, h), OuterNorms()
        if lend is not None:  # before the products, while the columns are in the cache
            lend(
                Inner(
                    block, t, past, {kind: block.order(space.total[kind][:count]) for kind in kinds},
                    {kind: block.order(space.immediate[kind][:count]) for kind in kinds},
                    {kind: block.order(space.carried[kind][1 : count + 1]) for kind in kinds},
                    block.order(norms.of_steps(gates)),
                )
            )  # fmt: skip
        if dx is not None:
            block.order(gates).reshape(-1, wx.shape[0]).dot(wx, dx[t].reshape(-1, wx.shape[1]))
        sums.add(past, t, da, gates, h, norms)
    found = sums.contributions()
    found |= {kind + "0": space.carried[kind][0].copy() for kind in kinds if kind + "0" in wanted}
    if dx is not None:
        found["x"] = dx.swapaxes(0, 1)
    return found


class _Space:
    """The arrays of a window, and their steps one by one, h first; entry p + 1 of `carried` is carried to step p."""

    def __init__(self, block: Block, chunk: int) -> None:
        N, dtype, self.bytes = block.sample_count, block.dtype, 0

        def columns(steps: int) -> dict[str, Array]:
            return {kind: np.empty((steps, N, one.shape[-1]), dtype) for kind, one in block.columns.items()}

        self.total, self.immediate, self.carried = columns(chunk), columns(chunk), columns(chunk + 1)
        self.da = np.empty((chunk, N, block.cell.blocks * block.hidden), dtype)
        self.totals, self.immediates, self.carries = (
            list(zip(*map(block.rows, of_kinds.values()), strict=True))
            for of_kinds in (self.total, self.immediate, self.carried)
        )
        self.das = block.rows(self.da)
        arrays = (*self.total.values(), *self.immediate.values(), *self.carried.values(), self.da)
        self.bytes = sum(array.nbytes for array in arrays)


def _space(block: Block, chunk: int) -> _Space:
    key = chunk, block.sample_count, (*block.widths.values(),), block.cell.blocks * block.hidden, block.dtype.num
    return workspace(key, lambda: _Space(block, chunk))


def _walk(
    block: Block, space: _Space, given: Given, window: tuple[int, int], columns: Factors, past: Past, weight: Array,
) -> None:  # fmt: skip
    start, stop = window
    count, kinds, cell = stop - start, block.cell.facts.kinds, block.cell
    for kind in kinds:
        space.carried[kind][count] = space.carried[kind][0]
    rows = {key: value if key == "constants" else block.rows(value) for key, value in columns.items()}
    elsewhere = given.others(start, stop)
    copied = None if past.copied is None else block.rows(past.copied)
    odd = {p - start for p in block.cuts if start <= p < stop}
    if past.copied is not None:
        odd |= set(np.flatnonzero(past.copied.any(axis=(1, 2))).tolist())
    back, within, add, several, others = cell.back, cell.within, np.add, len(kinds) > 1, range(1, len(kinds))
    backwards = [one[count - 1 :: -1] for one in (space.totals, space.immediates, space.das, space.carries)]
    for p, g, arrived, da, out, after in zip(
        range(count - 1, -1, -1), *backwards, space.carries[count:0:-1], strict=True
    ):
        h = g[0]
        add(arrived[0], after[0], h)  # a positional out is faster than a named one
        if several:
            within(rows, p, h, arrived[1:])
            for kind, gradient in elsewhere.get(p, ()) if elsewhere else ():
                other = arrived[kinds.index(kind)]
                other += gradient.reshape(other.shape)
            for number in others:
                add(arrived[number], after[number], g[number])
        back(rows, p, g, da, weight, out)
        if p in odd:
            pass_on(p + start in block.cuts, None if copied is None else copied[p], h, out)


def pass_on(cut: bool, copied: Array | None, h: Array, out: Sequence[Array]) -> None:
    """Mend what a step that is cut, or that some samples copy, hands back: a copy passes all, a cut nothing else."""
    if cut:
        out[0][...] = 0
        for other in out[1:]:
            other *= 0 if copied is None else copied
    if copied is not None:
        out[0][...] += copied * h
