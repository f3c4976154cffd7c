"""Norms that are taken where the numbers are: in float64, with a scale where squares would leave its range.

In: tensors on any device. Out: NumPy arrays of norms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rnngraph import norms
from rnngraph.sources.torch.autograd.edges import home_of_float64, wide
from rnngraph.trace.magnitudes import Floats

_SMALLEST, _LARGEST = 1e-140, 1e150  # between which squares lose nothing that matters


def sample_norms(tensor: Any) -> Floats:
    """Give the norm of every sample, the first axis; NaN where one holds NaN or infinity."""
    return row_norms(tensor.reshape(1, -1) if tensor.dim() < 2 else tensor.flatten(1))


def row_norms(rows: Any) -> Floats:
    """Give the norms over the last axis; NaN where a row holds NaN or infinity."""
    known = rows.detach() if rows.dtype == torch.float32 else wide(rows)
    if home_of_float64(known.device).type == "cpu":  # NumPy sees the same memory, and its calls cost less
        return norms.row_norms(known.cpu().numpy(force=True))
    known = wide(known)
    scale = known.abs().amax(dim=-1, keepdim=True).clamp(min=1e-300) if rows.dtype == torch.float64 else 1.0
    found = ((known / scale).norm(dim=-1, keepdim=True) * scale).squeeze(-1).cpu().numpy()
    return np.where(np.isfinite(found), found, np.nan)


def norm(tensor: Any) -> float:
    """Give the norm over all elements."""
    dense = tensor.detach().coalesce().values() if tensor.is_sparse else tensor.detach()
    found = float(torch.linalg.vector_norm(dense.to(home_of_float64(dense.device)), dtype=torch.float64))
    return found if _SMALLEST < found < _LARGEST else float(row_norms(dense.reshape(1, -1))[0])
