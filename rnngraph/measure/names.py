"""The names that a trace gives to the layers and states of a tape, such as `lstm_l1` and `lstm.c_l1`.

In: a recurrence. Out: text, made as the names of the layer's parameters are.
"""

from __future__ import annotations

from rnngraph.autodiff.node import Recurrence
from rnngraph.nn.recurrent import suffix


def layer_name(recurrence: Recurrence) -> str:
    """Name a layer and direction."""
    return recurrence.name + _ending(recurrence)


def state_name(recurrence: Recurrence, kind: str) -> str:
    """Name one of its states."""
    return f"{recurrence.name}.{kind}{_ending(recurrence)}"


def _ending(recurrence: Recurrence) -> str:
    return "" if recurrence.cell == "custom" else suffix(recurrence.layer, recurrence.direction)
