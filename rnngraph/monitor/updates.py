"""How far a step of the optimizer moves the weights of a recurrence: about 1e-3 of their size is usual.

In: the weights of every recurrence before the step. Out: ‖change‖ / ‖weights‖, of those that the step was about.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Updates:
    """Weights as they were before a step."""

    def __init__(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Copy them; they are given by the name of their recurrence."""
        self._before = {name: [(one, one.detach().clone()) for one in some] for name, some in weights.items() if some}

    def shares(self, optimizer: Any) -> Iterator[tuple[str, float]]:
        """Yield the names of the recurrences of which an optimizer holds every weight, and how far it moved them."""
        held = {id(one) for group in optimizer.param_groups for one in group["params"]}
        for name, pairs in self._before.items():
            size = _norm([before for _, before in pairs])
            if size > 0 and all(id(one) in held for one, _ in pairs):
                yield name, _norm([one.detach() - before for one, before in pairs]) / size


def _norm(tensors: Sequence[Any]) -> float:
    return math.sqrt(sum(float(one.double().square().sum()) for one in tensors))
