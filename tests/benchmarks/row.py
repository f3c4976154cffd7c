"""One row of the table: what is compared with what, the goal, and how it is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement; `measure` gives `value`s, of which the median is shown. Below the goal is good."""

    what: str
    goal: float
    measure: Callable[[], list[float]]
    unit: str = ""  # none for a ratio

    @property
    def name(self) -> str:
        """What was measured, with its unit."""
        return f"{self.what} [{self.unit}]" if self.unit else self.what


def seconds(function: Callable[[], object]) -> float:
    """Give the processor time of one call: a busy machine does not count."""
    start = time.process_time()
    function()
    return time.process_time() - start


def ratios(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, each: int = 1) -> list[float]:
    """Time both in turn, round after round, `each` times a round; give ours / theirs of every round."""
    ours(), theirs()  # what is loaded or made on first use is not what is compared
    found = []
    for _ in range(rounds):
        one = statistics.median(seconds(ours) for _ in range(each))
        found.append(one / statistics.median(seconds(theirs) for _ in range(each)))
    return found


def alone(measure: Callable[..., list[float]], *arguments: Any) -> list[float]:
    """Measure in a fresh process: how memory is had there does not depend on what other rows have let go of."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, *arguments).result()
