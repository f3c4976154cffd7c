"""The GRU (Cho et al., 2014), in the form of cuDNN and PyTorch, and in that with the reset before the product.

Gates r, z, n. `n = tanh(x Wxn + bxn + r (h Whn + bhn))`, or `n = tanh(x Wxn + bxn + (r h) Whn)`;
`h_t = (1 - z) n + z h_{t-1}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

_STATE = "h[t] = (1 - z) · n + z · h[t-1]"


def _facts(name: str, title: str, product: str, candidate: str) -> CellTrace:
    return CellTrace(
        name, title, ("h",), ("r", "z", "n"), "z", "update gate z", "the gates and the cell",
        parts=(
            PartTrace("gates", "r z n", "gate", (INPUT, "<h"), f"r, z = σ(x[t]·Wx + b + {product}),  {candidate}"),
            PartTrace("h", "hidden h", "state", ("gates", "<h"), _STATE, (1, 0, 1)),
        ),
        operations=(
            PartTrace("x·Wx", "x·Wx + b", "part", (INPUT,), "x[t]·Wx + b", (0, 1, 2)),
            PartTrace("h·Wh", "h·Wh + b", "part", ("<h",), product, (0, 0, 2)),
            PartTrace("z", "σ z", "gate", ("x·Wx", "h·Wh"), "z[t] = σ(…), the update gate", (1, 0, 2)),
            PartTrace("r", "σ r", "gate", ("x·Wx", "h·Wh"), "r[t] = σ(…), the reset gate", (1, 1, 2)),
            PartTrace("n", "tanh n", "gate", ("x·Wx", "h·Wh", "r"), candidate, (2, 0, 1)),
            PartTrace("h", "(1-z)n + zh", "state", ("n", "z", "<h"), _STATE, (3, 0, 1)),
        ),
    )  # fmt: skip


class Gru(Cell):
    """The reset gate is applied after the hidden product, which needs a bias of its own."""

    facts = _facts("gru", "GRU", "h[t-1]·Wh + bh", "n = tanh(… + r · (h[t-1]·Wh + bh))")
    names: ClassVar[tuple[str, ...]] = ("Wx", "b", "Wh", "bh")
    blocks = 3
    extras: ClassVar[tuple[str, ...]] = ("inner",)  # h·Whn + bhn
    through: ClassVar[tuple[str, ...]] = ("h", "h", "h")
    passes = {"h": "update"}  # noqa: RUF012 - a ClassVar by its declaration in Cell
    gate_order = {"torch": "rzn", "keras": "zrn"}  # noqa: RUF012 - a ClassVar by its declaration in Cell

    def forward_weights(self, weights: Weights) -> Weights:
        """Negate what goes through a sigmoid, and add the hidden product's bias to that of the projection there."""
        found, sigmoids = gate.negated(weights, 2 * self.units(weights)), slice(2 * self.units(weights))
        if "bh" in found:
            found["b"][sigmoids] += found["bh"][sigmoids]
        return found

    def advance(self, run: Run) -> Iterator[None]:
        """Compute gates and state."""
        H, h, gates = run.hidden, run.states["h"], run.projected
        weight, bias, one = run.weights["Wh"], run.weights["bh"][2 * H :], np.ones((), h.dtype)
        product, mixed = np.empty_like(gates[0]), np.empty_like(h[0])
        to_sigmoids, to_last = product[..., : 2 * H], product[..., 2 * H :]
        room = np.empty_like(to_sigmoids)
        for opened, reset, update, n, inner, (before, after) in zip(
            gates[..., : 2 * H], *gate.blocks(gates, H), run.extras["inner"], pairwise(h), strict=True
        ):
            before.dot(weight, product)
            np.add(to_last, bias, inner)
            np.add(opened, to_sigmoids, room)
            gate.sigmoid_of_negated(room, room, opened, one)
            np.multiply(inner, reset, mixed)
            np.add(n, mixed, mixed)
            np.tanh(mixed, n)
            np.subtract(before, n, after)
            np.multiply(after, update, after)
            np.add(after, n, after)
            yield

    def factors(self, past: Past) -> Factors:
        """Give what makes da of the hidden product, the candidate's own factor, and the update gate."""
        H, gates, before = past.hidden, past.gates, past.before["h"]
        r, z, n = gate.blocks(gates, H)
        blocks = recycled((*gates.shape[:-1], 3, H), gates.dtype)
        candidate, slope, other = (recycled(before.shape, gates.dtype) for _ in range(3))
        np.square(n, candidate)
        np.subtract(1, candidate, candidate)
        np.subtract(1, z, other)
        np.multiply(other, past.slope(candidate), candidate)
        np.multiply(z, other, slope)
        np.subtract(before, n, other)
        np.multiply(past.slope(slope), other, blocks[..., 1, :])
        np.subtract(1, r, slope)
        np.multiply(r, slope, slope)
        np.multiply(past.slope(slope), past.extras["inner"], slope)
        np.multiply(slope, candidate, blocks[..., 0, :])
        np.multiply(candidate, r, blocks[..., 2, :])
        if past.copied is not None:
            own = 1 - past.copied
            blocks *= own[..., None, :]
            candidate *= own
            z = z * own
        return {"blocks": blocks, "candidate": candidate, "update": z}

    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Compute da of the product, and dh = da Whᵀ + z g."""
        h = g[0]
        if h.ndim == 1:
            np.multiply(factors["blocks"][p], h, da.reshape(3, -1))
        else:
            np.multiply(factors["blocks"][p], h[..., None, :], da.reshape(*h.shape[:-1], 3, h.shape[-1]))
        kept, carried = factors["update"][p] * h, out[0]
        product(da, weight, carried)
        np.add(carried, kept, carried)

    def to_input(self, factors: Factors, steps: slice | int, da: Array, h: Array) -> Array:
        """Take the reset gate, which multiplies the hidden product alone, out of the candidate's block."""
        found, H = recycled(da.shape, da.dtype), h.shape[-1]
        found[..., : 2 * H] = da[..., : 2 * H]
        np.multiply(factors["candidate"][steps], h, found[..., 2 * H :])
        return found

    def weight_factors(
        self, past: Past, x: Array, da: Array, to_input: Array, h: Array
    ) -> Iterator[tuple[str, Any, Array]]:
        """Add the bias of the hidden product."""
        yield from super().weight_factors(past, x, da, to_input, h)
        yield "bh", None, da

    def to_gates(self, past: Past, totals: Mapping[str, Array]) -> list[Array]:
        """Give the gradients of n and z; r acts through n alone."""
        _, z, n = gate.blocks(past.gates, past.hidden)
        found = [recycled(z.shape, z.dtype) for _ in range(2)]
        np.subtract(1, z, found[0])
        np.subtract(past.before["h"], n, found[1])
        return [past.not_copied(np.multiply(one, totals["h"], one)) for one in found]

    def saturated(self, past: Past) -> Array:
        """Say where the derivative of the candidate is below 0.05."""
        return is_beyond(past.gates[..., 2 * past.hidden :], SATURATED)

    def gates_saturated(self, gates: Array, hidden: int) -> Array:
        """Say where the derivative of a gate is small."""
        return gate.saturated(gates, 2 * hidden)

    def compose(
        self, x: Tensor, states: Mapping[str, Tensor], weights: Mapping[str, Tensor], kept: Kept
    ) -> dict[str, Tensor]:
        """Record the step."""
        h = states["h"]
        product, H = h @ weights["Wh"] + weights["bh"], h.shape[-1]
        r = (x[:, :H] + product[:, :H]).sigmoid()
        z = (x[:, H : 2 * H] + product[:, H : 2 * H]).sigmoid()
        n = (x[:, 2 * H :] + r * product[:, 2 * H :]).tanh()
        return {"h": kept("h", (1 - z) * n + z * h)}


class GruResetBefore(Gru):
    """The reset gate is applied to h before the product, as Cho et al. wrote it; Keras's `reset_after=False`."""

    facts = _facts("gru_reset_before", "GRU, reset before the product", "h[t-1]·Wh", "n = tanh(… + (r · h[t-1])·Whn)")
    form_of = Gru.facts.name
    names = ("Wx", "b", "Wh")
    extras = through = ()

    def advance(self, run: Run) -> Iterator[None]:
        """Compute gates and state."""
        H, gates, weight = run.hidden, run.projected, run.weights["Wh"]
        for opened, reset, update, n, (before, after) in zip(
            gates[..., : 2 * H], *gate.blocks(gates, H), pairwise(run.states["h"]), strict=True
        ):
            opened += before @ weight[:, : 2 * H]
            gate.sigmoid_of_negated(opened, opened, opened)
            n += (reset * before) @ weight[:, 2 * H :]
            np.tanh(n, n)
            after[...] = n + update * (before - n)
            yield

    def factors(self, past: Past) -> Factors:
        """Give the slopes, and what goes through the reset gate."""
        H, gates, before = past.hidden, past.gates, past.before["h"]
        r, z, n = gate.blocks(gates, H)
        own = 1.0 if past.copied is None else 1 - past.copied
        return {
            "candidate": (1 - z) * past.slope(1 - n * n) * own, "update": np.ascontiguousarray(z) * own,
            "to_update": past.slope(z * (1 - z)) * (before - n) * own,
            "to_reset": past.slope(r * (1 - r)) * before * own, "reset": r,
        }  # fmt: skip

    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Walk back through the candidate first, and through the reset gate before it."""
        h = g[0]
        H = h.shape[-1]
        update = factors["update"][p] * h
        np.multiply(factors["candidate"][p], h, da[..., 2 * H :])
        reset = da[..., 2 * H :] @ weight[2 * H :]
        np.multiply(factors["to_reset"][p], reset, da[..., :H])
        np.multiply(factors["to_update"][p], h, da[..., H : 2 * H])
        out[0][...] = da[..., : 2 * H] @ weight[: 2 * H] + factors["reset"][p] * reset + update

    def to_input(self, factors: Factors, steps: slice | int, da: Array, h: Array) -> Array:
        """Give da: all blocks are added to the projection."""
        return da

    def weight_factors(
        self, past: Past, x: Array, da: Array, to_input: Array, h: Array
    ) -> Iterator[tuple[str, Any, Array]]:
        """Give Wh two sets of rows: h for the gates' blocks, r h for the candidate's."""
        H, before = past.hidden, past.before["h"]
        opened, candidate = da.copy(), da.copy()
        opened[..., 2 * H :] = 0
        candidate[..., : 2 * H] = 0
        yield "Wx", x, to_input
        yield "b", None, to_input
        left = np.concatenate([before, past.gates[..., :H] * before], axis=1)
        yield "Wh", left, np.concatenate([opened, candidate], axis=1)

    def compose(
        self, x: Tensor, states: Mapping[str, Tensor], weights: Mapping[str, Tensor], kept: Kept
    ) -> dict[str, Tensor]:
        """Record the step."""
        h, weight = states["h"], weights["Wh"]
        H = h.shape[-1]
        opened = (x[:, : 2 * H] + h @ weight[:, : 2 * H]).sigmoid()
        r, z = opened[:, :H], opened[:, H:]
        n = (x[:, 2 * H :] + (r * h) @ weight[:, 2 * H :]).tanh()
        return {"h": kept("h", (1 - z) * n + z * h)}
