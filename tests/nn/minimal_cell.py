"""A cell in one file: the minimal gated unit (Zhou et al., 2016), which the package does not have.

`f = σ(x Wxf + h Whf + bf)`, `n = tanh(x Wxn + f (h Whn) + bn)`, `h_t = (1 - f) n + f h_{t-1}`: `f` keeps the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph import Cell
from rnngraph.autodiff.cell import Factors, Kept, Past, Run, product
from rnngraph.trace.cell import INPUT, CellTrace, PartTrace

Array = Any


class Minimal(Cell):
    """Two blocks of columns, f and n."""

    facts = CellTrace(
        "minimal", "minimal gated unit", ("h",), ("f", "n"), "f", "keeping gate",
        parts=(
            PartTrace("gates", "f n", "gate", (INPUT, "<h"), "f = σ(…), n = tanh(…)"),
            PartTrace("h", "hidden h", "state", ("gates", "<h"), "h[t] = (1 - f) · n + f · h[t-1]", (1, 0, 1)),
        ),
        operations=(
            PartTrace("f", "σ f", "gate", (INPUT, "<h"), "the keeping gate", (0, 0, 2)),
            PartTrace("n", "tanh n", "gate", (INPUT, "<h", "f"), "the candidate", (1, 0, 1)),
            PartTrace("h", "(1-f)n + fh", "state", ("f", "n", "<h"), "h[t] = (1 - f) · n + f · h[t-1]", (2, 0, 1)),
        ),
    )  # fmt: skip
    blocks = 2
    extras = ("inner",)

    def advance(self, run: Run) -> Iterator[None]:
        """Compute f, n and h."""
        H, h, weight = run.hidden, run.states["h"], run.weights["Wh"]
        for a, inner, (before, after) in zip(run.projected, run.extras["inner"], pairwise(h), strict=True):
            hidden = before @ weight
            a[..., :H] = 1 / (1 + np.exp(-a[..., :H] - hidden[..., :H]))
            inner[...] = hidden[..., H:]
            f = a[..., :H]
            a[..., H:] = np.tanh(a[..., H:] + f * inner)
            after[...] = (1 - f) * a[..., H:] + f * before
            yield

    def factors(self, past: Past) -> Factors:
        """Give what dh is multiplied by."""
        H = past.hidden
        f, n = past.gates[..., :H], past.gates[..., H:]
        own = 1.0 if past.copied is None else 1 - past.copied
        candidate = (1 - f) * past.slope(1 - n * n) * own
        gate = past.slope(f * (1 - f)) * own
        return {
            "candidate": candidate, "gate": gate * (past.before["h"] - n) + gate * candidate * past.extras["inner"],
            "product": candidate * f, "keep": f * own,
        }  # fmt: skip

    def back(
        self, factors: Factors, p: int | slice, g: Sequence[Array], da: Array, weight: Array, out: Sequence[Array]
    ) -> None:
        """Walk the step back; `da` is that of the hidden product."""
        h = g[0]
        H = h.shape[-1]
        np.multiply(factors["gate"][p], h, out=da[..., :H])
        np.multiply(factors["product"][p], h, out=da[..., H:])
        kept = factors["keep"][p] * h
        product(da, weight, out[0])
        out[0][...] += kept

    def to_input(self, factors: Factors, steps: slice | int, da: Array, h: Array) -> Array:
        """Give the gradient of x·Wx + b."""
        found, H = da.copy(), h.shape[-1]
        np.multiply(factors["candidate"][steps], h, out=found[..., H:])
        return found

    def saturated(self, past: Past) -> Array:
        """Say where the candidate is flat."""
        return past.gates[..., past.hidden :] ** 2 > 0.95

    def compose(self, x: Any, states: Mapping[str, Any], weights: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
        """Record the step."""
        h = states["h"]
        H = h.shape[-1]
        hidden = h @ weights["Wh"]
        f = (x[:, :H] + hidden[:, :H]).sigmoid()
        n = (x[:, H:] + f * hidden[:, H:]).tanh()
        return {"h": kept("h", (1 - f) * n + f * h)}
