"""A block around hidden states that are given: PyTorch's own, of a layer whose kernel hides the rest.

In: what a block takes, and h of every step. Out: the block. Every step is computed from PyTorch's state before it, and
its h is PyTorch's afterwards: nothing runs freely, so that a chaotic network is followed as well as any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.cell import Run
from rnngraph.autodiff.contribution import Array

_KEPT_BYTES = 32_000_000  # of the gates of a block; more is computed again where it is looked at


class PinnedBlock(Block):
    """A block whose hidden states are given; how far one step is off, at most, is its `residual`."""

    __slots__ = ("own", "residual")

    def __init__(self, own: Array, *args: Any, **kwargs: Any) -> None:
        """Compute all steps; `own` is (T, N, H) by timestep."""
        self.own, self.residual = own, 0.0
        super().__init__(*args, **kwargs)
        del self.own

    def _compute(self, initial: Mapping[str, Array]) -> None:
        super()._compute(initial)
        if self.cell.keeps_gates and self.gates.nbytes > _KEPT_BYTES:
            self.gates = np.broadcast_to(np.full((), np.nan, self.dtype), self.gates.shape)
            self.extras = dict.fromkeys(self.extras, self.gates)

    def _afterwards(self, hidden: Array, start: int, stop: int, copied: Array | None) -> list[Callable[[int], None]]:
        """Note how far a step is off, and go on from the state that is given."""
        own = self.rows(self.order(self.own)[start:stop])

        def pin(p: int) -> None:
            error = np.abs(hidden[p + 1] - own[p])
            taken = error if copied is None else error[~copied[p][..., 0]]
            self.residual = max(self.residual, float(taken.max(initial=0)))
            hidden[p + 1][...] = own[p]

        return [pin]

    def kept(self, start: int, stop: int, samples: Any) -> tuple[Array, dict[str, Array]]:
        """Give the gates of places; compute them again, all places at once, where they are not kept."""
        if not self.cell.keeps_gates or self.gates.strides[0]:
            return super().kept(start, stop, samples)
        weights = self.cell.forward_weights(self.weights)
        before = {kind: self.order(column)[start:stop, samples] for kind, column in self.columns.items()}
        flat = {kind: one.reshape(-1, one.shape[-1]) for kind, one in before.items()}
        x = self.order(self.x[self.times(start, stop)])[:, samples]
        gates = np.dot(x.reshape(-1, x.shape[-1]), weights["Wx"])[None]
        gates += weights["b"]
        extras = {name: np.empty((*gates.shape[:-1], self.hidden), self.dtype) for name in self.extras}
        states = {kind: np.stack([one, one]) for kind, one in flat.items()}
        next(self.cell.advance(Run(states, gates, extras, weights, self.hidden)))
        lead = before["h"].shape[:-1]
        return gates.reshape(*lead, -1), {name: one.reshape(*lead, -1) for name, one in extras.items()}
