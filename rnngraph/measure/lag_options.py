"""Which part of the lag matrix is measured: how many losses and samples, and how far each loss is followed.

In: options and the norms of the gradients that enter. Out: the loss steps and samples that are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.checks import is_whole, whole_number
from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Floats
from rnngraph.measure.seeds import spread

_LARGEST_FLOOR = 1e-4  # above it, neither a memory horizon nor a verdict could be told


@dataclass(frozen=True, slots=True)
class LagOptions:
    """Which part of the lag matrix is measured.

    `losses` and `samples` are a number (that many, spread evenly, the last loss of every sample first; samples by
    length, those with a loss first), `"all"`, or the timesteps and sample indices themselves. A loss is no longer
    followed after `max_lag` steps, nor once less than `floor` of its gradient is left in every sample and state while
    a younger loss is under way and does not grow; a floor of 0 follows it to the first step. Without a floor it is the
    smallest normal number of the traced dtype (1e-38 for float32, 2e-308 for float64): what is smaller, training does
    not carry either.
    """

    losses: int | Literal["all"] | Sequence[int] = 32
    samples: int | Literal["all"] | Sequence[int] = 8
    max_lag: int | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a count below 1, an empty list, a word other than "all", or a floor outside [0, 1e-4].
        """
        for name, value in (("losses", self.losses), ("samples", self.samples)):
            counted = is_whole(value) and value >= 1
            if not (isinstance(value, str) and value == "all") and not counted and not _is_list(value):
                raise InputError(f'{name} is {value!r}; pass a whole number of at least 1, a list, or "all".')
        if self.max_lag is not None:
            whole_number(self.max_lag, "max_lag", least=1)
        if self.floor is not None and not (isinstance(self.floor, int | float) and 0 <= self.floor <= _LARGEST_FLOOR):
            raise InputError(f"floor is {self.floor!r}; pass a gain from 0 to {_LARGEST_FLOOR:g}, such as 1e-16.")

    def log_floor(self, dtype: str) -> float:
        """Give ln of the floor for a trace of `dtype`; -inf for none."""
        return -np.inf  # the new waist knows no floor


def _is_list(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or not len(value):
        return False
    return all(is_whole(one) for one in value)


def chosen_samples(norms: Floats, options: LagOptions) -> Array:
    """Choose samples, in order, by the norms of what enters, (T, N).

    Raises:
        InputError: a sample that the batch has not.
    """
    batch = norms.shape[1]
    if options.samples == "all":
        return np.arange(batch)
    if isinstance(options.samples, int | np.integer):
        felt = norms != 0
        order = np.argsort(felt[::-1].argmax(axis=0), kind="stable")  # by steps after the last loss; as long ones first
        with_loss, without = order[felt.any(axis=0)[order]], order[~felt.any(axis=0)[order]]
        count = min(int(options.samples), batch)
        spaced = with_loss[np.linspace(0, len(with_loss) - 1, min(count, len(with_loss))).round().astype(int)]
        return np.sort(np.append(spaced, without[: count - len(spaced)]))
    return np.array(_checked(options.samples, batch, "sample", "the batch has"))


def chosen_losses(norms: Floats, options: LagOptions) -> list[int]:
    """Choose loss steps, the latest first, by the norms of what enters at the chosen samples.

    Raises:
        InputError: a step that the sequence has not.
    """
    steps = [int(t) for t in np.flatnonzero((norms != 0).any(axis=1))]
    if options.losses == "all":
        chosen = steps
    elif isinstance(options.losses, int | np.integer):
        last = {int(np.flatnonzero(column != 0)[-1]) for column in norms.T if (column != 0).any()}
        chosen = spread(steps, int(options.losses), always=last)
    else:
        chosen = _checked(options.losses, len(norms), "loss step", "the sequence has")
    return chosen[::-1]


def _checked(wanted: Sequence[int], size: int, what: str, whole: str) -> list[int]:
    found = sorted({int(one) for one in wanted})
    outside = [one for one in found if not 0 <= one < size]
    if outside:
        raise InputError(f"{what} {outside[0]} was asked for, but {whole} {size}: choose 0 to {size - 1}.")
    return found
