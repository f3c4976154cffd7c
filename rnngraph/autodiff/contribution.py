"""What a vjp hands back for one input: an object that knows how to add itself to an accumulator.

A plain array is a contribution. The others keep a gradient in the form in which it is cheap: a slice of
a large array, an outer product in factored form, a sum over the batch, rows scattered by token. Each keeps
its timesteps apart (axis 0 of its factors), so that the norm of every step's part can be measured
without forming it; `trace` does that.

`lead` is the number of extra leading axes when many cotangents are walked at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Factored(Protocol):
    """A contribution that is not a plain array."""

    def add_to(self, total: Array, lead: int) -> None:
        """Add this contribution to `total`, in place."""


Contribution: TypeAlias = "Array | Factored"


@dataclass(slots=True, eq=False)
class Slice:
    """A gradient of `input[index]` only, such as one timestep of a projection made for all steps at once."""

    index: tuple[Any, ...]  # basic, into the input without leading axes
    array: Array  # the gradient there

    def add_to(self, total: Array, lead: int) -> None:
        """Add the slice where it belongs."""
        total[(slice(None),) * lead + self.index] += self.array


@dataclass(slots=True, eq=False)
class StateSlice:
    """The gradient of one state of a block at one timestep, (batch, units); t is -1 for the state before the first."""

    kind: str
    t: int
    array: Array

    def add_to(self, total: Array, lead: int) -> None:
        """Add to the block's output, which is its state h; only that state is a part of it."""
        if self.kind == "h" and self.t >= 0:
            total[(slice(None),) * (lead + 1) + (self.t,)] += self.array


@dataclass(slots=True, eq=False)
class Summed:
    """The gradient of a weight, summed over time already, with the norm of every timestep's part."""

    total: Array
    steps: Array  # (T,) norms
    lost: Array | None  # (T,) which are zero only because a product was rounded to it, if any

    def add_to(self, total: Array, lead: int) -> None:
        """Add the sum."""
        total += self.total


@dataclass(slots=True, eq=False)
class Outer:
    """`leftᵀ · right` summed over the rows: the gradient of a weight, in factored form.

    `left` is (rows, in) and `right` (rows, out) for one timestep, or both have a leading time axis; neither is copied.
    Where many cotangents are walked at once, the one that is a gradient has their axes in front.
    """

    left: Array
    right: Array

    def add_to(self, total: Array, lead: int) -> None:
        """Form the product, one matrix product over all rows and steps, and add it."""
        total += self.product(lead)

    def product(self, lead: int = 0) -> Array:
        """Form the product: (in, out), behind the axes of the cotangents."""
        axes = max(self.left.ndim, self.right.ndim) - lead
        left, right = (
            side.reshape(*side.shape[: side.ndim - axes], -1, side.shape[-1]) for side in (self.left, self.right)
        )
        return np.asarray(left.swapaxes(-1, -2) @ right)


@dataclass(slots=True, eq=False)
class BatchSum:
    """The sum of `rows` over batch and time: the gradient of a bias. Rows are ([time,] batch, out), not copied."""

    rows: Array

    def add_to(self, total: Array, lead: int) -> None:
        """Sum the rows and add."""
        total += self.rows.sum(axis=tuple(range(lead, self.rows.ndim - 1)))


@dataclass(slots=True, eq=False)
class Scatter:
    """Rows that belong to `input[index]` where the index may name an element twice; both count."""

    index: tuple[Any, ...]
    rows: Array

    def add_to(self, total: Array, lead: int) -> None:
        """Add every row where its index points."""
        at = (slice(None),) * lead + self.index
        if lead and not stays_in_place(self.index):
            for one, rows in zip(total, self.rows, strict=True):
                Scatter(self.index, rows).add_to(one, lead - 1)
        elif all(np.asarray(part).dtype == bool for part in self.index if isinstance(part, np.ndarray | list)):
            total[at] += self.rows  # a mask names no element twice
        else:
            np.add.at(total, at, self.rows)


def stays_in_place(index: tuple[Any, ...]) -> bool:
    """Tell whether an index picks the same with leading axes: NumPy moves the axes of arrays that a slice separates."""
    if not any(isinstance(part, np.ndarray | list) for part in index):
        return True
    fancy = [k for k, part in enumerate(index) if not (isinstance(part, slice) or part is None or part is Ellipsis)]
    return fancy == list(range(fancy[0], fancy[-1] + 1))


def add_up(contributions: list[Contribution], value: Array) -> Array:
    """Sum what reached a node of this `value`; the result may be the caller's own array, lent.

    Factored outer products of single steps are joined first, so that a weight that is used at every
    step costs one matrix product and not one a step.
    """
    first = contributions[0]
    if isinstance(first, np.ndarray):
        if len(contributions) == 1:
            return first
        if len(contributions) == 2 and isinstance(contributions[1], np.ndarray):
            return np.asarray(first + contributions[1])
    joined = join(contributions)
    if len(joined) == 1:
        only = joined[0]
        if isinstance(only, Outer):
            return only.product()
        if isinstance(only, Summed):
            return only.total
    dense = [one for one in joined if isinstance(one, np.ndarray)]
    if len(dense) > 1:
        total = np.asarray(dense[0] + dense[1])
        for more in dense[2:]:
            total += more
    elif dense:
        total = dense[0].copy()
    else:
        total = np.zeros_like(value)
    for one in joined:
        if not isinstance(one, np.ndarray):
            one.add_to(total, 0)
    return total


def join(contributions: list[Contribution]) -> list[Contribution]:
    """Join outer products of one step each into one with a time axis; leave the rest as it is."""
    if len(contributions) < 2:
        return contributions
    single = [one for one in contributions if type(one) is Outer and one.left.ndim == 2 == one.right.ndim]
    if len(single) < 2:
        return contributions
    lefts, rights = [one.left for one in single], [one.right for one in single]
    rows = {len(left) for left in lefts}
    if len(rows) > 1:
        return contributions
    others = [one for one in contributions if not (type(one) is Outer and one.left.ndim == 2 == one.right.ndim)]
    return [*others, Outer(_stack(lefts), _stack(rights))]


def _stack(arrays: list[Array]) -> Array:
    # np.concatenate is several times faster than np.stack on hundreds of small arrays.
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)
