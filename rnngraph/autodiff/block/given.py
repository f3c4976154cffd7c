"""What reaches a block from outside: contributions to its output and to single states, brought to one form.

In: contributions to a block, as vjps hand them back. Out: a `Given`, which lends windows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnngraph.autodiff.block.columns import Block
from rnngraph.autodiff.contribution import Array, Contribution, Slice, StateSlice


@dataclass(slots=True)
class Given:
    """Gradients from outside: of h over all steps, (T, N, H), or None; and of single states, by kind and timestep."""

    block: Block
    output: Array | None = None
    single: dict[str, dict[int, Array]] = field(default_factory=dict)

    def write(self, start: int, stop: int, found: Array) -> None:
        """Write the gradient of h at places `start` to `stop`, (places, N, H)."""
        block = self.block
        found[...] = 0 if self.output is None else block.order(self.output)[start:stop]
        for t, one in self.single.get("h", {}).items():
            if start <= (place := block.place_of(t)) < stop:
                found[place - start] += one

    def steps(self) -> list[int]:
        """List the timesteps at which anything reaches a state, ascending."""
        found = set() if self.output is None else set(np.flatnonzero(self.output.any(axis=(1, 2))).tolist())
        return sorted(found.union(*(single for single in self.single.values())))

    def others(self, start: int, stop: int) -> dict[int, list[tuple[str, Array]]]:
        """Give the gradients of states other than h, by place within the window."""
        found: dict[int, list[tuple[str, Array]]] = {}
        for kind, single in self.single.items():
            for t, one in single.items() if kind != "h" else ():
                if start <= (place := self.block.place_of(t)) < stop:
                    found.setdefault(place - start, []).append((kind, one))
        return found


def gather(block: Block, contributions: Iterable[Contribution]) -> Given:
    """Sum what reaches a block."""
    given = Given(block)
    rest: list[Contribution] = []
    for one in contributions:
        found = single_state(one)
        if isinstance(one, np.ndarray):
            by_time = one.swapaxes(0, 1)
            given.output = by_time if given.output is None else given.output + by_time
        elif found is not None:
            kind, t, array = found
            states = given.single.setdefault(kind, {})
            states[t] = array if t not in states else states[t] + array
        else:
            rest.append(one)
    if rest:
        total = np.zeros_like(block.value) if given.output is None else given.output.swapaxes(0, 1).copy()
        for one in rest:
            one.add_to(total, 0)  # type: ignore[union-attr]
        given.output = total.swapaxes(0, 1)
    return given


def single_state(one: Any) -> tuple[str, int, Array] | None:
    """Tell the kind and timestep of a contribution to one state, such as that of `output[:, t]`; None of others."""
    if isinstance(one, StateSlice):
        return one.kind, one.t, one.array
    if not isinstance(one, Slice) or len(one.index) < 2:
        return None
    samples, t, *others = one.index
    if not all(isinstance(part, slice) and part == slice(None) for part in (samples, *others)):
        return None
    return ("h", int(t), one.array) if isinstance(t, int | np.integer) and not isinstance(t, bool) and t >= 0 else None
