"""Rows of many losses at edges of the graph, each times a power of two of its own.

In: rows, with the losses as an axis in front. Out: their sums, and logarithms of their norms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rnngraph.sources.torch.autograd.edges import Edge, cast_to, to_float64
from rnngraph.sources.torch.autograd.gradient_norms import row_norms
from rnngraph.sources.torch.autograd.opaque_nodes import above, through
from rnngraph.trace.magnitudes import Floats, Integers

_FAR = 1 << 40


@dataclass(slots=True)
class EdgeRows:
    """Rows by edge, or by whatever names an input that has no edge."""

    at: dict[Any, list[tuple[Any, Integers]]] = field(default_factory=dict)

    def add(self, edge: Any, rows: Any, exponents: Integers) -> None:
        """Add what arrives."""
        self.at.setdefault(edge, []).append((rows, exponents))

    def total(self, edge: Any) -> tuple[Any, Integers] | None:
        """Sum what arrived."""
        return summed(self.at.get(edge, []))

    def whole(self, edge: Edge) -> tuple[Any, Integers] | None:
        """Sum what arrived at a state, with the part that takes the way inside its node."""
        beside = [(through(edge, rows), bits) for rows, bits in self.at.get(above(edge), ())]
        return summed([*self.at.get(edge, ()), *beside])


def summed(some: Sequence[tuple[Any, Integers]]) -> tuple[Any, Integers] | None:
    """Sum rows, each with powers of two of its own; None of nothing."""
    if len(some) < 2:
        return next(iter(some), None)
    held = [rows.detach().flatten(1).any(dim=1).cpu().numpy() for rows, _ in some]  # a row of zeros has no size
    top = np.maximum.reduce([np.where(own, bits, -_FAR) for own, (_, bits) in zip(held, some, strict=True)])
    top = np.where(top > -_FAR, top, 0)
    parts = [_scaled(to_float64(rows), exponents - top) for rows, exponents in some]
    return sum(parts[1:], parts[0]), top


def rescaled(some: Mapping[Edge, tuple[Any, Integers]]) -> tuple[dict[Edge, Any], Integers]:
    """Bring rows at edges to sizes near one, in the types of the edges; one power of two a row takes the rest."""
    tops = []
    for rows, exponents in some.values():
        largest = to_float64(rows.detach().abs().flatten(1).amax(dim=1)).cpu().numpy()
        known = (largest > 0) & np.isfinite(largest)
        tops.append(np.where(known, np.frexp(np.where(known, largest, 1))[1] + exponents, -_FAR))
    top = np.maximum.reduce(tops)
    top = np.where(top > -_FAR, top, 0)
    found = {edge: cast_to(edge, _scaled(to_float64(rows), bits - top)) for edge, (rows, bits) in some.items()}
    return found, top


def _scaled(rows: Any, bits: Integers) -> Any:
    factor = torch.from_numpy(np.ldexp(1.0, np.clip(bits, -1070, 1020).astype(np.int32)))
    return rows * factor.to(rows.device).reshape(-1, *[1] * (rows.dim() - 1))


def of_samples(rows: Any, samples: Integers) -> Any:
    """Choose samples of rows (rows, N, ...)."""
    return rows.index_select(1, torch.from_numpy(samples).to(rows.device))


def logs_of(steps: Sequence[Any], exponents: Integers, samples: Integers) -> Floats:
    """Give ln of the norms of steps that are alike, (rows, N, units) each, at chosen samples.

    A batch that shrank gives nothing there.
    """
    first, inside = steps[0], samples < steps[0].shape[1]
    norms = np.zeros((len(steps), len(first), len(samples)))
    norms[..., inside] = row_norms(torch.stack([of_samples(one, samples[inside]) for one in steps]))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(norms) + (exponents * np.log(2))[:, None])
