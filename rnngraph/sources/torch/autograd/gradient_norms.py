"""Norms that are taken where the numbers are.

In: tensors on any device. Out: norms by row or step, in float64, with a scale where squares would leave its range.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from rnngraph import norms
from rnngraph.sources.torch.autograd.edges import as_reals, home_of_float64, to_float64
from rnngraph.trace.magnitudes import Floats

_SMALLEST, _LARGEST = 1e-140, 1e150  # between which squares lose nothing that matters


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
