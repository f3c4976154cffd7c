"""The search itself: batches of cases, side by side, until the time or the number is used up."""

from __future__ import annotations

import gc
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from tests.fuzz.good import write_all
from tests.fuzz.makers import case_of
from tests.fuzz.run import run_alone, run_together

BATCH = 25  # cases of one child


@dataclass(slots=True)
class Found:
    """What a search has tried, and what broke."""

    tried: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


@contextmanager
def good_files() -> Iterator[Path]:
    """Write the good files into a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="good-") as place:
        write_all(Path(place))
        yield Path(place)


def search(seed: int, *, count: int, minutes: float, jobs: int) -> Found:
    """Try `count` cases, or as many as fit into the time."""
    found, begun = Found(), monotonic()
    with good_files() as good:
        gc.collect()
        gc.freeze()  # what is loaded stays shared with every child
        batches = itertools.count()

        def work() -> None:
            while monotonic() - begun < 60 * minutes and (first := next(batches) * BATCH) < count:
                for row in _batch(seed, list(range(first, min(first + BATCH, count))), good):
                    found.tried[row.get("kind", "died")] += 1
                    found.statuses[row.get("status", -1)] += 1
                    if row["failures"]:
                        found.failures.append(row)

        with ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(work) for _ in range(jobs)]:
                done.result()
    gc.unfreeze()
    found.seconds = monotonic() - begun
    return found


def _batch(seed: int, numbers: list[int], good: Path) -> Iterator[dict[str, Any]]:
    """Run a batch; where a case breaks it, run that one alone, and the rest in another child."""
    while numbers:
        for row in run_together(numbers, lambda number: case_of(seed, number, good)):
            numbers = numbers[numbers.index(row["number"]) + 1 :]
            if row["failures"] and row.get("kind") != "unmade":
                case = case_of(seed, row["number"], good)
                outcome, alone = run_alone(case)
                # What only a process of many cases shows is a failure too: a user's notebook is such a process.
                row = {"number": row["number"], "kind": case.kind, "status": outcome.status,
                       "failures": alone or row["failures"], "together": row["failures"]}  # fmt: skip
            yield row
