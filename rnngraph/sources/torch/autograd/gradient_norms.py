"""What arrived at edges of the graph: norms that are taken where the numbers are, and rows of many losses.

In: tensors on any device, at edges or at ports of steps; rows have an axis in front, each times a power of two. Out:
norms by row, sample or step, in float64, with a scale where squares would leave its range; sums of rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph import norms
from rnngraph.sources.torch.autograd.edges import Edge, as_reals, cast_to, home_of_float64, to_float64
from rnngraph.sources.torch.autograd.opaque_nodes import above, through
from rnngraph.trace.magnitudes import Floats, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.losses.clocks_and_ports import Port

_SMALLEST, _LARGEST = 1e-140, 1e150  # between which squares lose nothing that matters


def sample_norms(tensor: Any) -> Floats:
    """Give the norm of every sample, the first axis; NaN where one holds NaN or infinity."""
    return row_norms(tensor.reshape(1, -1) if tensor.dim() < 2 else tensor.flatten(1))


def row_norms(rows: Any) -> Floats:
    """Give the norms over the last axis; NaN where a row holds NaN or infinity."""
    rows = as_reals(rows)
    known = rows.detach() if rows.dtype == torch.float32 else to_float64(rows)
    if home_of_float64(known.device).type == "cpu":  # NumPy sees the same memory, and its calls cost less
        return norms.row_norms(known.cpu().numpy(force=True))
    known = to_float64(known)
    scale = known.abs().amax(dim=-1, keepdim=True).clamp(min=1e-300) if rows.dtype == torch.float64 else 1.0
    found = ((known / scale).norm(dim=-1, keepdim=True) * scale).squeeze(-1).cpu().numpy()
    return np.where(np.isfinite(found), found, np.nan)


def norm(tensor: Any) -> float:
    """Give the norm over all elements."""
    dense = as_reals(tensor.detach().coalesce().values() if tensor.is_sparse else tensor.detach())
    found = float(torch.linalg.vector_norm(dense.to(home_of_float64(dense.device)), dtype=torch.float64))
    return found if _SMALLEST < found < _LARGEST else float(row_norms(dense.reshape(1, -1))[0])


def alike(tensors: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield steps that follow one another and are alike, stacked, with the first of each run; None is no step."""
    known = [(t, one) for t, one in enumerate(tensors) if one is not None]
    place = itertools.count()
    for _, group in itertools.groupby(known, lambda step: (step[0] - next(place), step[1].shape, step[1].dtype)):
        steps = list(group)
        yield steps[0][0], torch.stack([one for _, one in steps])


def norms_by_step(runs: Iterable[tuple[int, Any]], shape: tuple[int, ...]) -> Floats:
    """Give the norms of runs of steps (steps, samples, units) as (T, N) in `shape`; zeros where there is none."""
    found = np.zeros(shape)
    for first, some in runs:
        found[first : first + len(some), : some.shape[1]] = row_norms(some)
    return found


def norms_at(ports: Mapping[Edge, Port], at: Mapping[Edge, Any], shape: tuple[int, ...]) -> Floats:
    """Give the norms of what stands at ports by step and sample, (T, N) in `shape`."""
    norms = np.zeros(shape)
    for edge, one in at.items():
        port = ports[edge]
        wide = port.spread(one, shape[1])
        found = np.stack([sample_norms(step) for step in wide])
        here = norms[port.first : port.last + 1]
        if found.shape[1] > shape[1]:  # no axis of samples that is ours: all of it is every sample's
            found = np.broadcast_to(np.sqrt((found**2).sum(axis=1, keepdims=True)), here.shape)
        here = here[:, : found.shape[1]]
        np.hypot(here, found, out=here)
    return norms


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
