"""The vanilla cells, `h_t = φ(x_t Wx + h_{t-1} Wh + b)` with φ = tanh or ReLU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from rnngraph.autodiff.block.workspace import recycled
from rnngraph.autodiff.cell import Cell, Factors, Kept, Past, Run, product
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.trace.cell import INPUT, CellTrace, PartTrace

SATURATED = math.sqrt(0.95)  # tanh' < 0.05, as a bound on |tanh|


def _facts(name: str, title: str, formula: str, **more: Any) -> CellTrace:
    return CellTrace(
        name, title, ("h",), **more,
        parts=(PartTrace("h", f"{name} step", "state", (INPUT, "<h"), formula),),
        operations=(
            PartTrace("x·Wx", "x·Wx + b", "part", (INPUT,), "x[t]·Wx + b", (0, 1, 2)),
            PartTrace("h·Wh", "h·Wh", "part", ("<h",), "h[t-1]·Wh", (0, 0, 2)),
            PartTrace("+", "+", "part", ("x·Wx", "h·Wh"), "a[t] = x[t]·Wx + b + h[t-1]·Wh", (1, 0, 1)),
            PartTrace("h", name, "state", ("+",), formula, (2, 0, 1)),
        ),
    )  # fmt: skip


def is_beyond(column: Array, bound: float) -> Array:
    """Say where the size of a number is above another."""
    found: Array = column > bound
    found |= column < -bound
    return found


class Tanh(Cell):
    """h = tanh(a)."""

    facts = _facts("tanh", "tanh RNN", "h[t] = tanh(x[t]·Wx + b + h[t-1]·Wh)", squashed="tanh")
    blocks = 1
    keeps_gates = False
    splits_gain = True

    activate: ClassVar[Any] = np.tanh  # φ(a, out); without a call between it is a tenth of a step faster

    def advance(self, run: Run) -> Iterator[None]:
        """Compute steps in the rows of h, which hold the projection on entry."""
        h, weight, activate, add = run.states["h"], run.weights["Wh"], self.activate, np.add
        product = np.empty_like(h[0])
        for before, after in pairwise(h):
            before.dot(weight, product)
            add(after, product, after)
            activate(after, after)
            yield

    def factors(self, past: Past) -> Factors:
        """Give the slope, 1 - h²."""
        h = past.after["h"]
        slope = recycled(h.shape, h.dtype)
        np.square(h, slope)
        np.subtract(1, slope, slope)
        return self._passing(past, past.slope(slope))

    def _passing(self, past: Past, slope: Array) -> Factors:
        if past.copied is not None:
            slope *= 1 - past.copied
        return {"slope": slope}

    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Compute da = φ' g and dh = da Whᵀ."""
        np.multiply(factors["slope"][p], g[0], da)
        product(da, weight, out[0])

    def saturated(self, past: Past) -> Array:
        """Say where φ' < 0.05."""
        return is_beyond(past.after["h"], SATURATED)

    def compose(
        self, x: Tensor, states: Mapping[str, Tensor], weights: Mapping[str, Tensor], kept: Kept
    ) -> dict[str, Tensor]:
        """Record the step."""
        return {"h": kept("h", (x + states["h"] @ weights["Wh"]).tanh())}


class Relu(Tanh):
    """h = max(0, a)."""

    facts = _facts(
        "relu", "ReLU RNN", "h[t] = max(0, x[t]·Wx + b + h[t-1]·Wh)",
        squashed="ReLU", saturation="inactive", marked_from=0.8, switches_off=True,
    )  # fmt: skip

    activate = staticmethod(lambda a, out: np.maximum(a, 0, out=out))

    def factors(self, past: Past) -> Factors:
        """Give the slope, 1 where a unit is active."""
        return self._passing(past, (past.after["h"] > 0).astype(past.after["h"].dtype))

    def saturated(self, past: Past) -> Array:
        """Say which units are inactive: rightly so about half of the time."""
        return np.asarray(past.after["h"] <= 0)

    def compose(
        self, x: Tensor, states: Mapping[str, Tensor], weights: Mapping[str, Tensor], kept: Kept
    ) -> dict[str, Tensor]:
        """Record the step."""
        return {"h": kept("h", (x + states["h"] @ weights["Wh"]).relu())}
