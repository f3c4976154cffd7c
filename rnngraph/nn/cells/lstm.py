"""The LSTM (Hochreiter and Schmidhuber, 1997; Gers et al., 2000), and its form with a projection (Sak et al., 2014).

`a = x Wx + h Wh + b` with column blocks i, f, o, g; `c_t = f c_{t-1} + i g`, `h_t = o tanh(c_t)`; no peepholes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from rnngraph.autodiff.block.workspace import recycled
from rnngraph.autodiff.cell import Cell, Factors, Kept, Past, Run, Weights, product
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.nn.cells import gate
from rnngraph.nn.cells.tanh_relu import SATURATED, is_beyond
from rnngraph.trace.cell import INPUT, CellTrace, PartTrace

_SATURATED_CELL = math.atanh(SATURATED)  # tanh'(c) < 0.05, as a bound on |c|


def _facts(name: str, title: str, hidden: str, formula: str) -> CellTrace:
    return CellTrace(
        name, title, ("h", "c"), ("i", "f", "o", "g"), "f", "forget gate", "the gates and the cell",
        parts=(
            PartTrace("gates", "i f o g", "gate", (INPUT, "<h"), "i, f, o = σ(x[t]·Wx + b + h[t-1]·Wh),  g = tanh(…)"),
            PartTrace("c", "cell c", "state", ("gates", "<c"), "c[t] = f · c[t-1] + i · g", (1, 0, 1)),
            PartTrace("h", "hidden h", "state", ("c", "gates"), formula, (2, 0, 1)),
        ),
        operations=(
            PartTrace("x·Wx", "x·Wx + b", "part", (INPUT,), "x[t]·Wx + b", (0, 1, 2)),
            PartTrace("h·Wh", "h·Wh", "part", ("<h",), "h[t-1]·Wh", (0, 0, 2)),
            PartTrace("+", "+", "part", ("x·Wx", "h·Wh"), "a[t] = x[t]·Wx + b + h[t-1]·Wh", (1, 0, 1)),
            PartTrace("f", "σ f", "gate", ("+",), "f[t] = σ(a[t]), the forget gate", (2, 0, 4)),
            PartTrace("i", "σ i", "gate", ("+",), "i[t] = σ(a[t]), the input gate", (2, 1, 4)),
            PartTrace("g", "tanh g", "gate", ("+",), "g[t] = tanh(a[t]), the candidate", (2, 2, 4)),
            PartTrace("o", "σ o", "gate", ("+",), "o[t] = σ(a[t]), the output gate", (2, 3, 4)),
            PartTrace("f*c", "f * c", "part", ("f", "<c"), "f[t] · c[t-1]", (3, 0, 2)),
            PartTrace("i*g", "i * g", "part", ("i", "g"), "i[t] · g[t]", (3, 1, 2)),
            PartTrace("c", "+  cell c", "state", ("f*c", "i*g"), "c[t] = f · c[t-1] + i · g", (4, 0, 1)),
            PartTrace("tanh c", "tanh", "part", ("c",), "tanh(c[t])", (5, 0, 1)),
            PartTrace("h", hidden, "state", ("tanh c", "o"), formula, (6, 0, 1)),
        ),
    )  # fmt: skip


class Lstm(Cell):
    """Four gates and two states."""

    facts = _facts("lstm", "LSTM", "o *  hidden h", "h[t] = o · tanh(c[t])")
    blocks = 4
    extras = ("squashed",)  # tanh(c)
    through: ClassVar[tuple[str, ...]] = ("c", "c", "h", "c")
    passes = {"c": "forget"}  # noqa: RUF012 - a ClassVar by its declaration in Cell
    gate_order = {"torch": "ifgo", "keras": "ifgo"}  # noqa: RUF012 - a ClassVar by its declaration in Cell

    def forward_weights(self, weights: Weights) -> Weights:
        """Negate what goes through a sigmoid."""
        return gate.negated(weights, 3 * self.units(weights))

    def advance(self, run: Run) -> Iterator[None]:
        """Compute gates, cell and hidden state."""
        H, h, c, gates = run.hidden, run.states["h"], run.states["c"], run.projected
        weight, write, one = run.weights["Wh"], self.hidden(run), np.ones((), c.dtype)
        product, gained, room = np.empty_like(gates[0]), np.empty_like(c[0]), np.empty_like(gates[0][..., : 3 * H])
        i, f, o, g = gate.blocks(gates, H)
        for a, first, second, third, candidate, sigmoids, wide, (before, after), (state, cell) in zip(
            gates, i, f, o, g, gates[..., : 3 * H], run.extras["squashed"], pairwise(h), pairwise(c), strict=True
        ):
            before.dot(weight, product)
            np.add(a, product, a)
            gate.sigmoid_of_negated(sigmoids, room, sigmoids, one)
            np.tanh(candidate, candidate)
            np.multiply(second, state, cell)
            np.multiply(first, candidate, gained)
            np.add(cell, gained, cell)
            np.tanh(cell, wide)
            write(wide, third, after)
            yield

    def hidden(self, run: Run) -> Callable[[Array, Array, Array], Any]:
        """Give what computes h from tanh(c) and the output gate, into an array."""
        return np.multiply

    def factors(self, past: Past) -> Factors:
        """Give what makes da of the gates' blocks, `within` of dh to dc, and the forget gate."""
        H, gates, before = past.hidden, past.gates, past.before["c"]
        i, f, o, u = gate.blocks(gates, H)
        slope = recycled(before.shape, gates.dtype)
        squashed = past.extras["squashed"]
        blocks = recycled((*gates.shape[:-1], 4, H), gates.dtype)
        flat = blocks.reshape(gates.shape)
        np.subtract(1, gates, flat)  # all gates at once: their rows have no gaps
        np.multiply(flat, gates, flat)
        past.slope(flat)
        for k, other in enumerate((u, before, squashed)):
            np.multiply(blocks[..., k, :], other, blocks[..., k, :])
        np.square(u, slope)
        np.subtract(1, slope, slope)
        np.multiply(past.slope(slope), i, blocks[..., 3, :])
        np.square(squashed, slope)
        np.subtract(1, slope, slope)
        past.slope(slope)
        slope *= o
        if past.copied is not None:
            own = 1 - past.copied
            blocks *= own[..., None, :]
            slope *= own
            f = f * own + past.copied
        return {"blocks": blocks, "output": blocks[..., 2, :], "within": slope, "forget": f}

    def within(self, factors: Factors, p: int, h: Array, others: Sequence[Array]) -> None:
        """Compute what of dh goes to the dc of the same step."""
        np.multiply(h, factors["within"][p], others[0])

    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Compute da of all gates, dh = da Whᵀ and dc = f g."""
        h, c = g
        alone = c.ndim == 1
        four = da.reshape(4, -1) if alone else da.reshape(*c.shape[:-1], 4, c.shape[-1])
        np.multiply(factors["blocks"][p], c if alone else c[..., None, :], four)
        np.multiply(factors["output"][p], h, four[2] if alone else four[..., 2, :])  # all but this block come from c
        product(da, weight, out[0])
        np.multiply(factors["forget"][p], c, out[1])

    def to_gates(self, past: Past, totals: Mapping[str, Array]) -> list[Array]:
        """Give the gradients of i, f, o and g."""
        i, _, _, g = gate.blocks(past.gates, past.hidden)
        h, c = self.to_unprojected(past, totals["h"]), totals["c"]
        pairs = (c, g), (c, past.before["c"]), (h, past.extras["squashed"]), (c, i)
        return [past.not_copied(np.multiply(*pair, recycled(g.shape, g.dtype))) for pair in pairs]

    def to_unprojected(self, past: Past, h: Array) -> Array:
        """Give the gradient of `o tanh(c)`."""
        return h

    def saturated(self, past: Past) -> Array:
        """Say where tanh'(c) < 0.05."""
        return is_beyond(past.after["c"], _SATURATED_CELL)

    def gates_saturated(self, gates: Array, hidden: int) -> Array:
        """Say where the derivative of a gate is small."""
        return gate.saturated(gates, 3 * hidden)

    def compose(
        self, x: Tensor, states: Mapping[str, Tensor], weights: Mapping[str, Tensor], kept: Kept
    ) -> dict[str, Tensor]:
        """Record the step."""
        a = x + states["h"] @ weights["Wh"]
        H = a.shape[-1] // 4
        i, f, o = (a[:, k * H : (k + 1) * H].sigmoid() for k in range(3))
        g = a[:, 3 * H :].tanh()
        c = kept("c", f * states["c"] + i * g)
        return {"h": kept("h", self.read(o * c.tanh(), weights)), "c": c}

    def read(self, hidden: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Record what h is made of `o tanh(c)`."""
        return hidden

    def long_memory(self, bias: Mapping[str, Array], drawn: Array) -> None:
        """Open the forget gate and close the input gate by as much (Tallec and Ollivier, 2018)."""
        super().long_memory(bias, drawn)
        bias["i"][:] = -drawn


class ProjectedLstm(Lstm):
    """An LSTM whose hidden state is `(o tanh(c)) Wr`, which is narrower than its cell state."""

    facts = _facts("lstm_projected", "LSTM with projection", "(o *)·Wr  hidden h", "h[t] = (o · tanh(c[t]))·Wr")
    form_of = Lstm.facts.name
    names = ("Wx", "b", "Wh", "Wr")
    through = ()  # h passes the projection first

    def widths(self, weights: Weights) -> dict[str, int]:
        """Give the width of h, which is that of the projection, and of c."""
        return {"h": int(weights["Wr"].shape[1]), "c": self.units(weights)}

    def hidden(self, run: Run) -> Callable[[Array, Array, Array], Any]:
        """Give what computes the projected h."""
        weight, product = run.weights["Wr"], np.empty_like(run.states["c"][0])

        def write(wide: Array, opened: Array, after: Array) -> None:
            np.multiply(wide, opened, product)
            product.dot(weight, after)

        return write

    def factors(self, past: Past) -> Factors:
        """Add the projection, which dh passes first."""
        return {**super().factors(past), "constants": {"Wr": np.ascontiguousarray(past.weights["Wr"].T)}}

    def within(self, factors: Factors, p: int, h: Array, others: Sequence[Array]) -> None:
        """Compute what of dh goes to the dc of the same step."""
        super().within(factors, p, h @ factors["constants"]["Wr"], others)

    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Walk the step back."""
        super().back(factors, p, (g[0] @ factors["constants"]["Wr"], g[1]), da, weight, out)

    def weight_factors(
        self, past: Past, x: Array, da: Array, to_input: Array, h: Array
    ) -> Iterator[tuple[str, Any, Array]]:
        """Add the projection's."""
        yield from super().weight_factors(past, x, da, to_input, h)
        H = past.hidden
        wide = past.extras["squashed"] * past.gates[..., 2 * H : 3 * H]
        yield "Wr", wide if past.copied is None else wide * (1 - past.copied), h

    def to_unprojected(self, past: Past, h: Array) -> Array:
        """Walk through the projection."""
        return np.asarray(h @ past.weights["Wr"].T)

    def read(self, hidden: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Record the projection."""
        return hidden @ weights["Wr"]
