"""What enters a recurrence besides its states, step by step.

In: recurrences that were found. Out: the edge of every step's input.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.sources.torch.edges import Edge
from rnngraph.sources.torch.recurrence import SEQUENCE, Recurrence


def entering_edges(recurrences: Sequence[Recurrence]) -> dict[Edge, tuple[Recurrence, int]]:
    """Find the first input of every step that is no state, with its recurrence and timestep."""
    found = {}
    for one in recurrences:
        if one.how == SEQUENCE:
            found[one.input] = one, 0
            continue
        states = {edge for some in one.states for edge in some}
        for t, call in enumerate(one.calls if not one.fused else ()):
            edge = next((edge for edge in call.given if edge not in states), None)
            if edge is not None:
                found[edge] = one, t
    return found
