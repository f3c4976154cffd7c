"""The inside of one call of a fused layer, whose kernel hides it: blocks of our own around PyTorch's own h.

In: a call. Out: blocks by layer and direction. Every step is computed from PyTorch's state before it, and its h is
PyTorch's afterwards: nothing runs freely, so that a chaotic network is followed as well as any. How far one step is
off is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import Lend, pull
from rnngraph.autodiff.block.given import Given
from rnngraph.autodiff.cell import Rows
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.sources.torch.fused.layout import Layout, array, cell_of, weights_of
from rnngraph.sources.torch.watching.calls import Call


class PinnedBlock(Block):
    """A block whose hidden states are given; only the rest of each step is computed."""

    __slots__ = ("own", "residual")

    def __init__(self, own: Array, *args: Any, **kwargs: Any) -> None:
        """Compute all steps; `own` is (T, N, H) by timestep."""
        self.own, self.residual = own, 0.0
        super().__init__(*args, **kwargs)

    def _afterwards(self, hidden: Rows, start: int, stop: int, copied: Rows) -> list[Callable[[int], None]]:
        """Note how far a step is off, and go on from the state that is given."""
        own = self.rows(self.order(self.own)[start:stop])

        def pin(p: int) -> None:
            error = np.abs(hidden[p + 1] - own[p])
            taken = error[~copied[p][..., 0]] if len(copied) else error
            self.residual = max(self.residual, float(taken.max(initial=0)))
            hidden[p + 1][...] = own[p]

        return [pin]


class Inside:
    """All layers and directions of one call."""

    def __init__(self, call: Call) -> None:
        """Compute gates and cell states of every layer."""
        assert call.layer is not None  # a call of a fused layer
        self.call, self.layer, self.module = call, call.layer, call.module
        self.layout = Layout(self.module, self.layer)
        self.directions = 2 if self.module.bidirectional else 1
        self.narrow = self.layer.narrow
        self.wide = torch.float32 if self.narrow.itemsize < 4 else self.narrow
        self.masks: list[Array | None] = []
        self.blocks: list[list[PinnedBlock]] = []
        self.mismatch = 0.0  # of the last layer's h, where the layers before had to be run again
        self._kernel = getattr(torch._VF, self.module.mode.lower())
        with torch.no_grad():
            self._compute()

    @property
    def residual(self) -> float:
        """The largest error of one step, relative to the largest h."""
        sizes = [max(float(np.abs(block.own).max(initial=0)), 1e-30) for row in self.blocks for block in row]
        errors = [block.residual for row in self.blocks for block in row]
        return max((error / size for error, size in zip(errors, sizes, strict=True)), default=0.0)

    def _compute(self) -> None:
        x = self.layout.spread(self.layer.x.tensor.to(self.narrow))
        valid, count = self.layout.valid, self.module.num_layers
        output = self.layer.output.value
        masks = self._drawn_masks(x)
        for number in range(count):
            last = number == count - 1
            own = None if last and output is not None else self._outputs(number, x)
            if last and output is not None:
                known = self.layout.spread(output)
                if self.layer.random is not None:  # the masks were drawn again: the layer's own output proves them
                    again = self._outputs(number, x)
                    self.mismatch = float((again - known).abs().max() / known.abs().max().clamp(min=1e-30))
                own = known
            assert own is not None
            columns, width = array(x, self.wide).swapaxes(0, 1), own.shape[-1] // self.directions
            hidden = array(own, self.wide)
            self.blocks.append(
                [
                    PinnedBlock(
                        np.ascontiguousarray(hidden[..., d * width : (d + 1) * width]), 0, cell_of(self.module),
                        columns,
                        weights=weights_of(self.module, self._flat(number, d), self.wide),
                        initial=self._initial(number, d), reverse=bool(d), mask=valid,
                    )
                    for d in range(self.directions)
                ]
            )  # fmt: skip
            mask = masks[number] if number < len(masks) else None
            self.masks.append(None if mask is None else array(mask, self.wide))
            x = own if mask is None else own * mask

    def _flat(self, number: int, direction: int) -> list[Any]:
        each = len(self.layer.weights) // (self.module.num_layers * self.directions)
        first = (number * self.directions + direction) * each
        return [one.detach().to(self.narrow) for one in self.layer.weights[first : first + each]]

    def _initial(self, number: int, direction: int) -> dict[str, Array]:
        place, kinds = number * self.directions + direction, cell_of(self.module).facts.kinds
        widths = {"h": self.module.proj_size or self.module.hidden_size, "c": self.module.hidden_size}
        if not self.layer.initial:
            blank = torch.zeros(self.layout.batch, 1, dtype=self.wide)
            return {kind: array(blank.expand(-1, widths[kind]), self.wide) for kind in kinds}
        some = [self.layout.states(one.tensor) for one in self.layer.initial]
        return {kind: array(one[place], self.wide) for kind, one in zip(kinds, some, strict=True)}

    def _outputs(self, number: int, x: Any) -> Any:
        """Run one layer as PyTorch does: (T, N, directions · H)."""
        module, kinds = self.module, cell_of(self.module).facts.kinds
        starts = [self._initial(number, d) for d in range(self.directions)]
        initial = [
            torch.stack([torch.from_numpy(one[kind]) for one in starts]).to(x.device, self.narrow) for kind in kinds
        ]
        weights = [one for d in range(self.directions) for one in self._flat(number, d)]
        rest = (module.bias, 1, 0.0, False, module.bidirectional)
        if self.layout.packed is None:
            hx = tuple(initial) if len(kinds) > 1 else initial[0]
            return self._kernel(x.contiguous(), hx, weights, *rest, False)[0]
        order = self.layout.packed.sorted_indices
        initial = initial if order is None else [one.index_select(1, order) for one in initial]
        hx = tuple(initial) if len(kinds) > 1 else initial[0]
        return self.layout.spread(self._kernel(self.layout.gathered(x), self.layout.sizes, hx, weights, *rest)[0])

    def _drawn_masks(self, x: Any) -> list[Any]:
        """Draw the masks of the dropout between layers again, with the random numbers of the time."""
        if self.layer.random is None:
            return []
        width = (self.module.proj_size or self.module.hidden_size) * self.directions
        masks = []
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.layer.random)
            for _ in range(self.module.num_layers - 1):
                plain = x.new_ones((*x.shape[:2], width))
                shaped = self.layout.gathered(plain) if self.layout.packed is not None else plain
                drawn = torch.nn.functional.dropout(shaped, self.module.dropout, True)
                masks.append(self.layout.spread(drawn) if self.layout.packed is not None else drawn)
        return masks

    # ---- the whole loss
    def walk(
        self, arrived: Mapping[str, Array], *, lend: Lend, to_input: bool
    ) -> tuple[Array | None, list[list[dict[str, Contribution]]], dict[str, Array]]:
        """Walk back what arrived at the output, (T, N, ·), and at the last states "h" and "c", (places, N, ·).

        Returns:
            the gradient of the input, those of the weights by layer and direction, and of the first states.
        """
        field = arrived.get("out")
        weights: list[list[dict[str, Contribution]]] = []
        initial: dict[str, list[Array]] = {kind: [] for kind in cell_of(self.module).facts.kinds}
        for number in range(len(self.blocks) - 1, -1, -1):
            below: Array | None = None
            row, starts = [], []
            for d, block in enumerate(self.blocks[number]):
                given = Given(block, self._own(field, d, block), self._ends(arrived, number, d, block))
                pulled = pull(block, given, to_input=to_input or number > 0, wanted=block.cell.names, lend=lend)
                row.append(pulled.weights)
                starts.append(pulled.initial)
                if pulled.to_input is not None:
                    below = pulled.to_input if below is None else below + pulled.to_input
            weights.insert(0, row)
            initial = {kind: [*(one[kind] for one in starts), *some] for kind, some in initial.items()}
            mask = self.masks[number - 1] if number else None
            field = below if mask is None or below is None else below * mask
        return field, weights, {kind: np.stack(some) for kind, some in initial.items()}

    def _own(self, field: Array | None, direction: int, block: Block) -> Array | None:
        width = block.value.shape[-1]
        return None if field is None else field[..., direction * width : (direction + 1) * width]

    def _ends(
        self, arrived: Mapping[str, Array], number: int, direction: int, block: Block
    ) -> dict[str, dict[int, Array]]:
        place, last = number * self.directions + direction, 0 if block.reverse else block.steps - 1
        return {kind: {last: arrived[kind][place]} for kind in block.columns if kind in arrived}
