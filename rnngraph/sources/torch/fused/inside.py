"""The inside of one call of a fused layer, which its kernel hides: a tape of our own around PyTorch's states.

In: a call. Out: a tape with a block a layer and direction, and all that the engine tells of a tape. How far one step of
ours is off PyTorch's is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from rnngraph.autodiff.backward import Step, sweep
from rnngraph.autodiff.block.backward import Lend
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, INPUT, PARAMETER, Node
from rnngraph.autodiff.ops import CONCATENATE
from rnngraph.autodiff.recurrence import Recurrence, suffix
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.nn.unroll import Layer as Unrolling
from rnngraph.nn.unroll import unroll
from rnngraph.sources.torch.fused.layout import array, cell_of, weights_of
from rnngraph.sources.torch.fused.pinned import PinnedBlock
from rnngraph.sources.torch.watching.calls import Call
from rnngraph.trace.model import FORWARD, REVERSE


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
            self._record()

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

    def _record(self) -> None:
        tape, known = self.tape, self.layer.output.value
        own = self.layout.spread(self.layer.x.tensor.to(self.narrow))
        x = self._leaf(own.transpose(0, 1), "x")
        self.x = x.id
        masks = iter(self._drawn_masks(own))
        for number in range(self.module.num_layers):
            last = number == self.module.num_layers - 1
            if not last or known is None or self.layer.random is not None:
                own = self._outputs(number, own)
            if last and known is not None:
                given = self.layout.spread(known)
                if self.layer.random is not None:  # the masks were drawn again: the layer's own output proves them
                    self.mismatch = float((own - given).abs().max() / given.abs().max().clamp(min=1e-30))
                own = given
            hidden = array(own, self.wide)
            some = [self._unrolled(number, d, x, hidden) for d in range(self.directions)]
            x = some[0] if len(some) == 1 else _joined(some, hidden.swapaxes(0, 1))
            mask = next(masks, None)
            if mask is not None:
                x, own = x * tape.constant(array(mask, self.wide).swapaxes(0, 1)), own * mask
        self.top = x.id

    def _leaf(self, tensor: Any, name: str) -> Tensor:
        value = array(tensor.transpose(0, 1), self.wide).swapaxes(0, 1)
        return self.tape.tensor(self.tape.append(INPUT, (), value, name=name, requires=True))

    def _unrolled(self, number: int, d: int, x: Tensor, own: Array) -> Tensor:
        """Record one layer and direction; `own` are the outputs of all directions, (T, N, ·)."""
        tape, direction = self.tape, REVERSE if d else FORWARD
        width = own.shape[-1] // self.directions
        weights = {
            name: tape.tensor(tape.append(PARAMETER, (), value, name=name + suffix(number, direction), requires=True))
            for name, value in weights_of(self.module, self._flat(number, d), self.wide).items()
        }
        initial = {
            kind: tape.tensor(tape.append(CONSTANT, (), value, requires=True))
            for kind, value in self._initial(number, d).items()
        }
        make = partial(PinnedBlock, np.ascontiguousarray(own[..., d * width : (d + 1) * width]))
        layer = Unrolling("", self.cell, weights, initial, number, direction, self.layout.valid, make=make)
        return unroll(layer, x).output

    def _flat(self, number: int, direction: int) -> list[Any]:
        each = len(self.layer.weights) // (self.module.num_layers * self.directions)
        first = (number * self.directions + direction) * each
        return [one.detach().to(self.narrow) for one in self.layer.weights[first : first + each]]

    def _initial(self, number: int, direction: int) -> dict[str, Array]:
        place, kinds = number * self.directions + direction, self.cell.facts.kinds
        widths = {"h": self.module.proj_size or self.module.hidden_size, "c": self.module.hidden_size}
        if not self.layer.initial:
            return {k: array(torch.zeros(self.layout.batch, widths[k], device="cpu"), self.wide) for k in kinds}
        some = [self.layout.states(one.tensor) for one in self.layer.initial]
        return {kind: array(one[place], self.wide) for kind, one in zip(kinds, some, strict=True)}

    def _outputs(self, number: int, x: Any) -> Any:
        """Run one layer as PyTorch does: (T, N, directions · H)."""
        module = self.module
        starts = [self._initial(number, d) for d in range(self.directions)]
        initial = [
            torch.stack([torch.from_numpy(one[kind]) for one in starts]).to(x.device, self.narrow) for kind in starts[0]
        ]
        weights = [one for d in range(self.directions) for one in self._flat(number, d)]
        rest = (module.bias, 1, 0.0, False, module.bidirectional)
        if self.layout.packed is None:
            hx = tuple(initial) if len(initial) > 1 else initial[0]
            return self._kernel(x.contiguous(), hx, weights, *rest, False)[0]
        order = self.layout.packed.sorted_indices
        initial = initial if order is None else [one.index_select(1, order) for one in initial]
        hx = tuple(initial) if len(initial) > 1 else initial[0]
        return self.layout.spread(self._kernel(self.layout.gathered(x), self.layout.sizes, hx, weights, *rest)[0])

    def _drawn_masks(self, x: Any) -> list[Any]:
        """Draw the masks of the dropout between layers again, with the random numbers of the time."""
        if self.layer.random is None:
            return []
        width = (self.module.proj_size or self.module.hidden_size) * self.directions
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

    def walk(self, arrived: Mapping[str, Array], *, lend: Lend | None = None, chunk: int = 0) -> dict[int, Step]:
        """Walk the whole loss back, and give what reached the input, the weights and the first states, by node.

        With a `chunk`, it is walked as if every so many steps were cut.
        """
        for block in self.blocks:
            block.cuts = frozenset(range(chunk, block.steps, chunk) if chunk else ())
        with np.errstate(all="ignore"):
            steps = list(sweep(self.tape, self.starts(arrived), lend=lend))
        for block in self.blocks:
            block.cuts = frozenset()
        return {step.node.id: step for step in steps if not step.node.inputs}


def _joined(some: list[Tensor], value: Array) -> Tensor:
    """Record two directions joined, whose value is known."""
    tape = some[0].tape
    return tape.tensor(tape.append(CONCATENATE, tuple([one.id for one in some]), value, options={"axis": -1}))
