"""The initial weights of one layer and direction of a recurrence: arrays by short name, drawn from a generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.nn import init as initialise
from rnngraph.nn.cells import Cell

HORIZON = 100  # of chrono, in steps
FORGET = "f"  # the forget gate, which has a bias of its own by custom


@dataclass(frozen=True, slots=True)
class Scheme:
    """How to initialise: one of `init.INITS`, a factor on the recurrent weight, and what gates start from."""

    init: str = "uniform"
    gain: float = 1.0
    forget_bias: float | None = None
    horizon: int | None = None

    def check(self, cell: Cell) -> None:
        """Refuse numbers that are not finite, and gate biases where there are no such gates.

        Raises:
            InputError: one of those.
        """
        if self.horizon is not None:
            whole_number(self.horizon, "horizon", least=1)
        for label, number in (("gain", self.gain), ("forget_bias", self.forget_bias)):
            if (number is not None or label == "gain") and not (isinstance(number, Real) and math.isfinite(number)):
                raise InputError(f"{label} is {number!r}; it must be a finite number.")
        facts = cell.facts
        if self.init == "chrono" and not facts.keeps:
            raise InputError(f"init 'chrono' sets gate biases and a {facts.name} recurrence has none; use LSTM or GRU.")
        if self.init == "chrono" and self.forget_bias is not None:
            raise InputError(
                f"init 'chrono' sets the forget bias itself and forget_bias is {self.forget_bias}; drop one."
            )
        if self.forget_bias is not None and FORGET not in facts.gates:
            raise InputError(f"forget_bias is {self.forget_bias} but a {facts.name} cell has no forget gate; use LSTM.")

    @property
    def fills_biases(self) -> bool:
        """Whether biases are drawn as PyTorch draws them, and are not zero."""
        return self.init in ("uniform", "chrono")


def initial_weights(
    cell: Cell, scheme: Scheme, *, width: int, hidden: int, generator: np.random.Generator
) -> dict[str, Array]:
    """Draw `Wx` (width, gates * hidden), `Wh` (hidden, gates * hidden), `b` and, for a GRU, `bh` (gates * hidden,)."""

    def matrix(rows: int, square: bool) -> Array:
        draw = [
            initialise.matrix(scheme.init, generator, (rows, hidden), fan=hidden, square=square)
            for _ in range(cell.blocks)
        ]
        return np.concatenate(draw, axis=1)

    weights = {"Wx": matrix(width, False), "Wh": scheme.gain * matrix(hidden, True)}
    weights["b"] = _bias(cell, scheme, hidden, generator)
    if "bh" in cell.names:
        weights["bh"] = _plain_bias(cell, scheme, hidden, generator)
    return weights


def _plain_bias(cell: Cell, scheme: Scheme, hidden: int, generator: np.random.Generator) -> Array:
    size = (cell.blocks * hidden,)
    return initialise.uniform(generator, size, fan=hidden) if scheme.fills_biases else np.zeros(size)


def _bias(cell: Cell, scheme: Scheme, hidden: int, generator: np.random.Generator) -> Array:
    bias = _plain_bias(cell, scheme, hidden, generator)
    gate = {name: bias[place * hidden : (place + 1) * hidden] for place, name in enumerate(cell.facts.gates)}
    if scheme.init == "chrono":
        horizon = HORIZON if scheme.horizon is None else scheme.horizon
        cell.long_memory(gate, initialise.chrono(generator, hidden, horizon=horizon))
    if scheme.forget_bias is not None:
        gate[FORGET][:] = scheme.forget_bias
    return bias
