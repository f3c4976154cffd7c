"""Norms that are taken where the numbers are: in float64, with a scale where squares would leave its range.

In: tensors on any device. Out: NumPy arrays of norms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rnngraph.trace.magnitudes import Floats


def sample_norms(tensor: Any) -> Floats:
    """Give the norm of every sample, the first axis; NaN where one holds NaN or infinity."""
    return row_norms(tensor.reshape(1, -1) if tensor.dim() < 2 else tensor.flatten(1))


def row_norms(rows: Any) -> Floats:
    """Give the norms over the last axis."""
    norms: Floats = row_norms_there(rows).cpu().numpy()
    return np.where(np.isfinite(norms), norms, np.nan)


def row_norms_there(rows: Any) -> Any:
    """Give the norms over the last axis as a float64 tensor on the device of the rows."""
    wide = rows.detach().double()
    if rows.dtype != torch.float64:  # squares of all narrower numbers are inside its range
        return wide.square().sum(dim=-1).sqrt()
    largest = wide.abs().amax(dim=-1, keepdim=True)
    scale = largest.clamp(min=1e-300)
    return (wide / scale).norm(dim=-1) * scale.squeeze(-1)


def norm(tensor: Any) -> float:
    """Give the norm over all elements."""
    return float(row_norms(tensor.reshape(1, -1))[0])
