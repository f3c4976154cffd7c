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
        if self.init == "chrono" and cell.name not in ("lstm", "gru"):
            raise InputError(f"init 'chrono' sets gate biases and a {cell.name} recurrence has none; use LSTM or GRU.")
        if self.init == "chrono" and self.forget_bias is not None:
            raise InputError(
                f"init 'chrono' sets the forget bias itself and forget_bias is {self.forget_bias}; drop one."
            )
        if self.forget_bias is not None and cell.name != "lstm":
            raise InputError(f"forget_bias is {self.forget_bias} but a {cell.name} cell has no forget gate; use LSTM.")

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
            initialise.matrix(scheme.init, generator, (rows, hidden), fan=hidden, square=square) for _ in cell.gates
        ]
        return np.concatenate(draw, axis=1)

    weights = {"Wx": matrix(width, False), "Wh": scheme.gain * matrix(hidden, True)}
    weights["b"] = _bias(cell, scheme, hidden, generator)
    if cell.hidden_bias:
        weights["bh"] = _plain_bias(cell, scheme, hidden, generator)
    return weights


def _plain_bias(cell: Cell, scheme: Scheme, hidden: int, generator: np.random.Generator) -> Array:
    size = (len(cell.gates) * hidden,)
    return initialise.uniform(generator, size, fan=hidden) if scheme.fills_biases else np.zeros(size)


def _bias(cell: Cell, scheme: Scheme, hidden: int, generator: np.random.Generator) -> Array:
    bias = _plain_bias(cell, scheme, hidden, generator)
    gate = {name: bias[place * hidden : (place + 1) * hidden] for place, name in enumerate(cell.gates)}
    if scheme.init == "chrono":
        horizon = HORIZON if scheme.horizon is None else scheme.horizon
        drawn = initialise.chrono(generator, hidden, horizon=horizon)
        gate["f" if cell.name == "lstm" else "z"][:] = drawn
        if cell.name == "lstm":
            gate["i"][:] = -drawn
    if scheme.forget_bias is not None:
        gate["f"][:] = scheme.forget_bias
    return bias
