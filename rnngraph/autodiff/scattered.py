"""Elements that arrays of places or a boolean mask pick: the contribution that belongs to them.

In: arrays with leading axes, where many cotangents are walked at once, and an index into the others. Out: their sum
into a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array


@dataclass(frozen=True, slots=True)
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
