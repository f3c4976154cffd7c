"""The inside of one call of a fused layer, which its kernel hides: a tape of our own around PyTorch's states.

In: a call. Out: a tape with a block a layer and direction, and all that the engine tells of a tape. How far one step of
ours is off PyTorch's is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT, PARAMETER, Node
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.sources.stack import walk
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.capture.random_numbers import drawn_from
from rnngraph.sources.torch.fused_layers.layout import Layout, array, cell_of, stack_of, width_of
from rnngraph.sources.torch.fused_layers.pinned_block import PinnedBlock


class UnrolledCall:
    """All layers and directions of one call; the recurrences of the tape are numbered as their states are stacked."""

    def __init__(self, call: Call) -> None:
        """Compute gates and cell states of every layer."""
        call.check_given((call.layer.x, *call.layer.initial))
        self.call, self.layer, self.module = call, call.layer, call.module
        self.layout, self.cell = self.layer.layout, cell_of(self.module)
        self.directions = 2 if self.module.bidirectional else 1
        self.narrow = self.layer.output.tensor.dtype  # in which the kernel worked
        self.wide = torch.float32 if self.narrow.itemsize < 4 else self.narrow
        self.mismatch = 0.0  # of the last layer's h, where the layers before had to be run again
        self._kernel = getattr(torch._VF, self.module.mode.lower())
        self.tape = Tape()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "RNN module weights are not part of single")  # copies, for a moment
            self.top = self._record().id

    @property
    def recurrences(self) -> list[Recurrence]:
        """Those of the tape."""
        return self.tape.recurrences

    @property
    def blocks(self) -> list[PinnedBlock]:
        """The block of every recurrence."""
        return [one.block for one in self.recurrences if isinstance(one.block, PinnedBlock)]

    @property
    def weights(self) -> list[Node]:
        """The nodes of the weights."""
        return [one for one in self.tape.entries if isinstance(one, Node) and one.op is PARAMETER]

    @property
    def residual(self) -> float:
        """The largest error of one step, relative to the largest h."""
        return max(one.residual / max(float(np.abs(one.value).max(initial=0)), 1e-30) for one in self.blocks)

    def _record(self) -> Tensor:
        """Unroll all layers around the states that PyTorch gives them, and give the output."""
        layer, layout = self.layer, self.layout
        own = layout.spread(layer.x.tensor.to(self.narrow))
        x = self.tape.append(INPUT, (), array(own, self.wide).swapaxes(0, 1), name="x", requires=True)
        between = Layout(own, layout.packed, batch_first=False)
        # As the kernel took them, in PyTorch's order; copies, as shards let go of theirs.
        flat = [one.detach().to(self.narrow, copy=True) for one in layer.weights]
        starts, masks = [layout.states(one.tensor) for one in layer.initial], self._drawn_masks(own, between)
        h0, c0 = [*(array(one, self.wide) for one in starts), None, None][:2]
        dropout = [array(mask, self.wide).swapaxes(0, 1) for mask in masks]
        stack = stack_of(self.module, self.call.path, [array(one, self.wide) for one in flat])
        makes, self.x = self._makes(own, between, flat, starts, masks), x
        return walk(stack, self.tape.tensor(x), h0=h0, c0=c0, mask=layout.valid, dropout=dropout, makes=makes)

    def _makes(
        self, own: Any, between: Layout, flat: list[Any], starts: list[Any], masks: list[Any]
    ) -> Iterator[Callable[..., PinnedBlock]]:
        """Yield what makes the block of each layer and direction; `own` is what the first one reads, (T, N, ·)."""
        known, count = self.layer.output.value, self.module.num_layers
        each = len(flat) // count
        for number in range(count):
            last = number == count - 1
            if not last or known is None or masks:
                states = [one.unflatten(0, (count, -1))[number].to(self.narrow) for one in starts]
                own = self._outputs(own, between, flat[number * each : (number + 1) * each], states)
            if last and known is not None:
                given = self.layout.spread(known)
                if masks:  # they were drawn again: the layer's own output proves them
                    self.mismatch = float((own - given).abs().max() / given.abs().max().clamp(min=1e-30))
                own = given
            for part in np.split(array(own, self.wide), self.directions, axis=-1):
                yield partial(PinnedBlock, np.ascontiguousarray(part))
            own = own if last or not masks else own * masks[number]

    def _outputs(self, x: Any, between: Layout, weights: list[Any], states: list[Any]) -> Any:
        """Run one layer as PyTorch does, from zero where no `states` are given: (T, N, directions · H)."""
        module, packed = self.module, between.packed
        widths = [width_of(module, kind) for kind in self.cell.facts.kinds]
        states = states or [x.new_zeros((self.directions, between.batch, width)) for width in widths]
        if packed is not None and packed.sorted_indices is not None:
            states = [one.index_select(1, packed.sorted_indices) for one in states]
        first = tuple(one.contiguous() for one in states)
        before, after = ((), (False,)) if packed is None else ((packed.batch_sizes,), ())
        rest = (first if len(first) > 1 else first[0], weights, module.bias, 1, 0.0, False, module.bidirectional)
        return between.spread(self._kernel(between.gathered(x).contiguous(), *before, *rest, *after)[0])

    def _drawn_masks(self, x: Any, between: Layout) -> list[Any]:
        """Draw the masks of the dropout between layers again, with the random numbers of the time."""
        if self.layer.random is None:
            return []
        plain = between.gathered(x.new_ones((*x.shape[:2], width_of(self.module, "h") * self.directions)))
        with drawn_from(self.layer.random, x.device):
            drawn = [torch.dropout(plain, self.module.dropout, True) for _ in range(self.module.num_layers - 1)]
        return [between.spread(one) for one in drawn]

    # ---- the whole loss
    def ends(self) -> Iterator[tuple[PinnedBlock, int]]:
        """Yield, in the order in which they are stacked, whose last states there are, and their timestep."""
        for block in self.blocks:
            yield block, 0 if block.reverse else block.steps - 1

    def starts(self, arrived: Mapping[str, Array]) -> dict[int, Array]:
        """Say by node what arrived at the output, (T, N, ·), and at the last states "h" and "c", (places, N, ·)."""
        found = {self.top: arrived["out"].swapaxes(0, 1)} if "out" in arrived else {}
        for kind in self.cell.facts.kinds:
            for one, (block, t) in zip(arrived.get(kind, ()), self.ends(), strict=False):
                found[int(block.node_ids(kind)[t])] = one
        return found
