"""What enters a recurrence besides its states, step by step, whether the network is fed that or another layer hands it.

In: recurrences that were found, and what the network is fed. Out: entrances by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from rnngraph.sources.torch.entrance import Entrance, given
from rnngraph.sources.torch.fed_inputs import Fed
from rnngraph.sources.torch.recurrence import SEQUENCE, STEPS, Recurrence

Steps: TypeAlias = Sequence[Sequence[Sequence[Entrance]]]  # by step, and of each tensor


def entering_steps(recurrences: Sequence[Recurrence], fed: Sequence[Fed]) -> dict[Recurrence, Steps]:
    """Find what enters; of a module that the network does not feed, the first input that is no state."""
    found: dict[Recurrence, Steps] = {}
    for one in recurrences:
        if one.how == SEQUENCE:
            found[one] = [[[given(one.input)]]]
        elif one.how == STEPS:
            states = {edge for some in one.states for edge in some}
            firsts = [next((edge for edge in call.given if edge not in states), None) for call in one.calls]
            found[one] = [[[given(edge)]] if edge is not None else [] for edge in firsts]
    found |= {one.readers[0]: one.steps for one in fed if one.steps}
    return {one: steps for one, steps in found.items() if any(steps)}
