"""The numbers that a verdict depends on, with their defaults; each is a keyword, and is printed with the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from rnngraph.errors import InputError
from rnngraph.nearest import check_known

FAR = 10  # horizons, beyond which nobody asks what is left
_SHARE = "a share, above 0 and at most 1", lambda value: 0 < value <= 1
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "attenuating": ("at most 0 decades, a gain of 1", lambda value: value <= 0),
    "exploding": ("above 0 decades, a gain of 1", lambda value: value > 0),
    "unwritten": ("below 0 decades", lambda value: value < 0),
    "readout": ("above 0 decades", lambda value: value > 0),
    "timescale": ("a ratio above 1", lambda value: value > 1),
    "participation": _SHARE, "blind": _SHARE, "saturated": _SHARE, "activation_share": _SHARE,
    "activation_gain": _SHARE, "dead": _SHARE, "epsilon": _SHARE, "coverage": _SHARE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of the verdict. Gains are in decades: -4 is a factor of 1e-4.

    `vanishing`, `exploding` and `attenuating` are limits of this package's own, between those that other tools use
    for the ratio of gradients of one network (1e-3 with an absolute limit, and 70).
    """

    vanishing: float = -4.0  # what is left, end to end, at or below which the gradient has vanished
    exploding: float = 2.0  # what a layer's states make of a gradient at any lag up to the one that is judged
    attenuating: float = -2.0  # what is left at or below which nothing is learned at that lag now
    unwritten: float = -6.0  # what reaches the input, over its weights, of what the states carry
    readout: float = 1.0  # decades lost once, at the readout, from which this is no matter of the recurrence
    participation: float = 0.5  # share of losses or samples below which a few are said to carry the gradient
    blind: float = 0.01  # of the best heard position, below which one is not heard by a loss that reads many
    saturated: float = 0.5  # share of saturated units
    activation_share: float = 0.5  # of the loss per step that is due to the activation
    activation_gain: float = 0.25  # what the activation alone leaves per step
    dead: float = 0.5  # share of steps at which every unit's derivative is zero
    epsilon: float = 0.01  # the gain that ends the memory horizon
    coverage: float = 0.1  # share of the gradient whose losses must have so many steps before them, by default
    timescale: float = 2.0  # ratio of two time constants from which they are said to disagree

    def __post_init__(self) -> None:
        """Check that the limits are numbers in an order that makes sense.

        Raises:
            InputError: the first that is not.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"the threshold {field.name} is {value!r}; it must be a finite number.")
        order = (self.vanishing, self.attenuating, self.exploding)
        if not order[0] < order[1] < order[2]:
            raise InputError(
                "the thresholds must rise from vanishing over attenuating to exploding, "
                f"but they are {order[0]:g}, {order[1]:g} and {order[2]:g}."
            )
        for name, (words, holds) in _RANGES.items():
            if not holds(getattr(self, name)):
                raise InputError(f"the threshold {name} is {getattr(self, name):g}; it must be {words}.")

    def as_dict(self) -> dict[str, float]:
        """Give the limits by name."""
        return {name: float(value) for name, value in asdict(self).items()}


def thresholds_from(given: dict[str, float]) -> Thresholds:
    """Make the limits from keywords.

    Raises:
        InputError: an unknown name, or limits out of order.
    """
    check_known(given, [field.name for field in fields(Thresholds)], "there is no threshold {}; choose among")
    return Thresholds(**given)
