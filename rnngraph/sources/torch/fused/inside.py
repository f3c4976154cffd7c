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
from rnngraph.sources.torch.fused.layout import array, cell_of, stack_of, width_of
from rnngraph.sources.torch.fused.pinned import PinnedBlock
from rnngraph.sources.torch.watching.calls import Call


class Inside:
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
        starts, masks = [layout.states(one.tensor) for one in layer.initial], self._drawn_masks(own)
        h0, c0 = [*(array(one, self.wide) for one in starts), None, None][:2]
        dropout = [array(mask, self.wide).swapaxes(0, 1) for mask in masks]
        stack = stack_of(self.module, self.call.path, [array(one, self.wide) for one in self._flat()])
        makes, self.x = self._makes(own, starts, masks), x
        return walk(stack, self.tape.tensor(x), h0=h0, c0=c0, mask=layout.valid, dropout=dropout, makes=makes)

    def _flat(self) -> list[Any]:
        """Copy the weights in PyTorch's order, as the kernel took them; shards let go of theirs."""
        return [one.detach().to(self.narrow, copy=True) for one in self.layer.weights]

    def _makes(self, own: Any, starts: list[Any], masks: list[Any]) -> Iterator[Callable[..., PinnedBlock]]:
        """Yield what makes the block of each layer and direction; `own` is what the first one reads, (T, N, ·)."""
        known, count = self.layer.output.value, self.module.num_layers
        for number in range(count):
            last = number == count - 1
            if not last or known is None or masks:
                own = self._outputs(number, own, starts)
            if last and known is not None:
                given = self.layout.spread(known)
                if masks:  # they were drawn again: the layer's own output proves them
                    self.mismatch = float((own - given).abs().max() / given.abs().max().clamp(min=1e-30))
                own = given
            for part in np.split(array(own, self.wide), self.directions, axis=-1):
                yield partial(PinnedBlock, np.ascontiguousarray(part))
            own = own if last or not masks else own * masks[number]

    def _outputs(self, number: int, x: Any, starts: list[Any]) -> Any:
        """Run one layer as PyTorch does: (T, N, directions · H)."""
        module, order = self.module, None if self.layout.packed is None else self.layout.packed.sorted_indices
        widths = [width_of(module, kind) for kind in self.cell.facts.kinds]
        first = [x.new_zeros((self.directions, self.layout.batch, width)) for width in widths]
        if starts:
            places = slice(number * self.directions, (number + 1) * self.directions)
            first = [one[places].to(self.narrow).contiguous() for one in starts]
        if order is not None:
            first = [one.index_select(1, order) for one in first]
        hx = tuple(first) if len(first) > 1 else first[0]
        flat, each = self._flat(), len(self.layer.weights) // module.num_layers
        rest = (hx, flat[number * each : (number + 1) * each], module.bias, 1, 0.0, False, module.bidirectional)
        if self.layout.packed is None:
            return self._kernel(x.contiguous(), *rest, False)[0]
        return self.layout.spread(self._kernel(self.layout.gathered(x), self.layout.packed.batch_sizes, *rest)[0])

    def _drawn_masks(self, x: Any) -> list[Any]:
        """Draw the masks of the dropout between layers again, with the random numbers of the time."""
        if self.layer.random is None:
            return []
        width = width_of(self.module, "h") * self.directions
        masks = []
        on_gpu = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on_gpu):
            torch.cuda.set_rng_state(self.layer.random, x.device) if on_gpu else torch.set_rng_state(self.layer.random)
            for _ in range(self.module.num_layers - 1):
                plain = x.new_ones((*x.shape[:2], width))
                shaped = self.layout.gathered(plain) if self.layout.packed is not None else plain
                drawn = torch.nn.functional.dropout(shaped, self.module.dropout, True)
                masks.append(self.layout.spread(drawn) if self.layout.packed is not None else drawn)
        return masks

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
