"""When a loss need not be followed further: beyond the largest lag, or once nothing of its gradient is left.

In: the log norms measured so far. Out: how many of the latest losses to drop. A loss is dropped for its size only where
the steps of a network form a chain, so that no gradient can come back on another way, and only while a younger one is
under way: should that one grow again, what was dropped may have grown as well, and dropping it was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.trace.model import FORWARD
from rnngraph.measure.routes import Routes

_REGROWN = float(np.log(10))  # growth since something was dropped, after which "at most the floor" no longer holds


class Pruning:
    """Which losses of one block, the latest first, are still followed."""

    def __init__(
        self, routes: Routes, losses: Sequence[int], logs: Sequence[Floats], *, floor: float, max_lag: int | None
    ) -> None:
        """Watch `logs`, (samples, losses, T + 1) a state, while they are filled; `floor` is in nats."""
        one_way = all(key.recurrence.direction == FORWARD for key in routes.states)
        self.losses, self.logs = losses, logs
        # Elsewhere a loss may come back on another way, and timesteps of two recurrences are two clocks.
        self.floor = floor if routes.chain and one_way else -np.inf
        self.max_lag = max_lag if routes.chain and one_way else None
        self.followed: Integers = np.full(len(losses), -1)  # the earliest timestep that was measured
        self.gone = 0
        self.step = routes.time
        self.growth: Floats | float = 0.0  # of the oldest loss under way, from its smallest size on; nats, a sample
        self.regrown = False

    def dropped(self, step: int) -> int:
        """Count the losses, from the latest on, that are not followed to a timestep (-1: before the first)."""
        if step < self.step and self.floor > -np.inf:
            self._let_go()
            self.step = step
        if self.max_lag is None or step < 0:
            return self.gone
        old = self.gone
        while old < len(self.losses) and self.losses[old] - step > self.max_lag:
            old += 1
        return old

    def _let_go(self) -> None:
        """Drop the losses of which nothing is left at the timestep that was just finished."""
        if (self.followed > -1).any():
            self._watch()
        while self.gone < len(self.losses) and self.losses[self.gone] > self.step:
            largest = self._largest_gain(self.gone)
            if largest > -np.inf:  # of an exact zero it is known what comes before
                if not largest < self.floor or not self._is_witnessed():
                    return
                self.followed[self.gone] = self.step
            self.gone += 1

    def _is_witnessed(self) -> bool:
        """Tell whether a younger loss is under way in every sample in which the oldest one is."""
        younger = self._sizes(self.step)[:, 1:]
        lived = np.isfinite(self._sizes(self.losses[self.gone])[:, 0])
        return bool((np.isfinite(younger).any(axis=1) | ~lived).all())

    def _watch(self) -> None:
        """See whether what is under way grows again, in each sample the oldest loss that is there."""
        now, before = self._sizes(self.step), self._sizes(self.step + 1)
        if not now.size:
            return
        both = np.isfinite(now) & np.isfinite(before)
        oldest = both.argmax(axis=1)
        every = np.arange(len(now))
        change = np.where(both[every, oldest], now[every, oldest] - before[every, oldest], 0)
        self.growth = np.maximum(self.growth + change, 0)
        self.regrown |= bool((self.growth > _REGROWN).any())

    def _sizes(self, step: int) -> Floats:
        """Give the log norm over all states, about, of the losses under way at a timestep, (samples, losses)."""
        end = self.gone
        while end < len(self.losses) and self.losses[end] > self.step:
            end += 1
        found = [log[:, self.gone : end, step + 1] for log in self.logs if step + 1 < log.shape[2]]
        return np.asarray(np.fmax.reduce(found))

    def _largest_gain(self, row: int) -> float:
        """Give the largest gain over samples and states, in nats: -inf for an exact zero, inf where it is no number."""
        largest = -np.inf
        for log in self.logs:
            if max(self.step, self.losses[row]) + 1 < log.shape[2]:
                now, birth = log[:, row, self.step + 1], log[:, row, self.losses[row] + 1]
                gains = np.where(now == np.inf, np.inf, now - birth)
                gains[np.isnan(now) | (now == -np.inf)] = -np.inf  # nothing arrived
                largest = max(largest, float(np.where(np.isnan(gains), np.inf, gains).max()))
        return largest
