"""Which part of the lag matrix is measured: how many losses and samples, and how far each loss is followed.

In: options and the norms of the gradients that enter. Out: the loss steps and samples that are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnngraph.checks import is_whole, whole_number
from rnngraph.errors import InputError
from rnngraph.measure.recording import Losses
from rnngraph.trace.magnitudes import Booleans, Integers


@dataclass(frozen=True, slots=True)
class LagOptions:
    """Which part of the lag matrix is measured.

    `losses` and `samples` are a number (that many, spread evenly, the last loss of every sample first; samples by
    length, those with a loss first), `"all"`, or the timesteps and sample indices themselves. Lags above `max_lag` are
    left out. Losses at the timesteps of `including` are among those of a number, where there are such. `updates` asks
    also which share of the weights' gradient comes from how far, where the source knows it; by default where that
    costs little, which it does not for PyTorch. `joint` says that the loss is one, which reads many steps at once, or
    that it is a loss at every step (False), as the error of a sequence that is taken as a norm; None asks the loss.
    """

    losses: int | Literal["all"] | Sequence[int] = 32
    samples: int | Literal["all"] | Sequence[int] = 8
    max_lag: int | None = None
    including: Sequence[int] = ()
    updates: bool | None = None
    joint: bool | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a count below 1, an empty list, or a word other than "all".
        """
        for name, value in (("losses", self.losses), ("samples", self.samples)):
            counted = is_whole(value) and value >= 1
            if not (isinstance(value, str) and value == "all") and not counted and not _is_list(value):
                raise InputError(f'{name} is {value!r}; pass a whole number of at least 1, a list, or "all".')
        if self.max_lag is not None:
            whole_number(self.max_lag, "max_lag", least=1)
        if self.updates is not None and not isinstance(self.updates, bool):
            raise InputError(f"updates is {self.updates!r}; pass True, False, or None for where it costs little.")
        if self.joint is not None and not isinstance(self.joint, bool):
            raise InputError(f"joint is {self.joint!r}; pass True, False, or None to ask the loss.")
        if isinstance(self.including, str) or not all(is_whole(one) and one >= 0 for one in self.including):
            raise InputError(f"including is {self.including!r}; pass a list of the timesteps of losses.")


def asked(lags: LagOptions | bool) -> LagOptions | None:
    """Give the options that are asked for: the default ones where lags are wanted, None where they are not.

    Raises:
        InputError: something else is given.
    """
    if isinstance(lags, LagOptions):
        return lags
    if not isinstance(lags, bool | np.bool_):
        raise InputError(f"lags is {lags!r}; pass True, False or an rnngraph.LagOptions.")
    return LagOptions() if lags else None


def _is_list(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or not len(value):
        return False
    return all(is_whole(one) for one in value)


def chosen_samples(losses: Losses, batch: int, options: LagOptions) -> Integers:
    """Choose samples of a batch, ascending: by length where losses enter a recurrence of that batch.

    Raises:
        InputError: a sample that the batch has not.
    """
    own = [norms for norms in losses.norms.values() if norms.shape[1] == batch]
    if options.samples == "all" or not own:
        return np.arange(batch)
    if not isinstance(options.samples, int | np.integer):
        return np.array(_checked(options.samples, batch, "sample", "the batch has"))
    felt: Booleans = np.concatenate([np.asarray(norms != 0) for norms in own])
    order = np.argsort(felt[::-1].argmax(axis=0), kind="stable")  # by steps after the last loss; as long ones first
    reached = np.asarray(felt.any(axis=0))[order]
    with_loss, without = order[reached], order[~reached]
    count = min(int(options.samples), batch)
    spaced = with_loss[np.linspace(0, len(with_loss) - 1, min(count, len(with_loss))).round().astype(int)]
    return np.sort(np.append(spaced, without[: count - len(spaced)]))


def chosen_losses(losses: Losses, samples: dict[int, Integers], options: LagOptions) -> list[tuple[int, int]]:
    """Choose losses, (clock, timestep), in order: those that enter at the chosen samples, the last of each always.

    Raises:
        InputError: a step that the sequence has not.
    """
    if losses.joint:
        return _tuples(losses.pairs)
    near = {clock: norms[:, samples[norms.shape[1]]] for clock, norms in losses.norms.items()}
    felt = Losses(near).pairs
    if options.losses == "all":
        return _tuples(felt)
    if isinstance(options.losses, int | np.integer):
        columns = [(clock, column) for clock, norms in near.items() for column in norms.T if column.any()]
        last = {(clock, int(np.flatnonzero(column)[-1])) for clock, column in columns}
        found = _spread(felt, int(options.losses), always=last)
        included = felt[np.isin(felt[:, 1], list(options.including))]
        return sorted({*found, *_tuples(included)})
    longest = max((len(norms) for norms in losses.norms.values()), default=0)
    wanted = _checked(options.losses, longest, "loss step", "the sequence has")
    return [(clock, t) for clock, norms in losses.norms.items() for t in wanted if t < len(norms)]


def _tuples(pairs: Integers) -> list[tuple[int, int]]:
    return [(clock, t) for clock, t in pairs.tolist()]


def _spread(felt: Integers, count: int, *, always: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Take at most so many losses: the last, those in `always`, then evenly spaced ones."""
    if len(felt) <= count:
        return _tuples(felt)
    kept = {*_tuples(felt[-1:]), *sorted(always, reverse=True)[: max(count - 2, 0)]}
    for one in _tuples(felt[np.linspace(0, len(felt) - 1, count).round().astype(int)[::-1]]):
        if len(kept) < count:
            kept.add(one)
    return sorted(kept)


def _checked(wanted: Sequence[int], size: int, what: str, whole: str) -> list[int]:
    found = sorted({int(one) for one in wanted})
    outside = [one for one in found if not 0 <= one < size]
    if outside:
        raise InputError(f"{what} {outside[0]} was asked for, but {whole} {size}: choose 0 to {size - 1}.")
    return found
