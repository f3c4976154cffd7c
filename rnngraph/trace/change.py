"""A change of weights that a recording may be run again with: what a remedy does, as data."""

from __future__ import annotations

from dataclasses import dataclass

SCALE = "scale"  # the recurrent weight times a number
ORTHOGONAL = "orthogonal"  # the recurrent weight becomes a number times a random orthogonal one
IDENTITY = "identity"  # the recurrent weight becomes a number times the identity, and biases 0
BIAS = "bias"  # the bias of the gate that keeps the state becomes a number
CHRONO = "chrono"  # biases of gates are drawn for lags up to a number
INPUTS = "inputs"  # the input weight and the biases times a number
OPEN = "open"  # the biases of the gates that do not keep the state become a number
TRUNCATE = "truncate"  # the recurrence is cut into chunks of so many steps


@dataclass(frozen=True, slots=True)
class Change:
    """One change, to all recurrences."""

    kind: str
    number: float = 1.0
