"""What stands at the ports of steps, step by step and sample by sample.

In: tensors at ports. Out: norms (T, N), or one step of a tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rnngraph.sources.torch.clocks import Port
from rnngraph.sources.torch.layout import Layout
from rnngraph.sources.torch.row_norms import sample_norms
from rnngraph.trace.magnitudes import Floats


def note_norms(norms: Floats, port: Port, share: Any) -> None:
    """Add norms of what stands at a port to those by step and sample, (T, N)."""
    if port.kind == "out" and port.call is not None and port.call.layer is not None:
        wide = Layout(port.call.module, port.call.layer).spread(share)
        found = np.stack([sample_norms(one) for one in wide])
        here = norms[port.first : port.first + port.steps]
    elif port.kind == "sequence":
        found = np.stack([sample_norms(one) for one in time_first(share)])
        here = norms
    else:
        axis = _axis(port, share, norms.shape[1])
        found = sample_norms(share.transpose(0, axis) if axis else share)[None]
        here = norms[port.last : port.last + 1]
    count = min(found.shape[1], here.shape[1])
    if found.shape[1] > here.shape[1]:  # no axis of samples that is ours: all of it is every sample's
        found = np.broadcast_to(np.sqrt((found**2).sum(axis=1, keepdims=True)), here.shape)
        count = here.shape[1]
    np.hypot(here[:, :count], found[:, :count], out=here[:, :count])


def _axis(port: Port, share: Any, batch: int) -> int:
    """Find the axis of the samples: the first of the size of the batch; a batch that shrinks stands first."""
    if port.kind in ("h", "c") and share.dim() > 2:
        return 1
    sizes = list(share.shape[:-1])
    return sizes.index(batch) if batch in sizes else 0


def time_first(tensor: Any) -> Any:
    """Bring what a module handed out over time, (N, T, ...), to (T, N, ...)."""
    return tensor.transpose(0, 1)


def only_step(tensor: Any, t: int) -> Any:
    """Keep one step of a tensor (N, T, ...)."""
    kept = torch.zeros_like(tensor)
    kept[:, t] = tensor[:, t]
    return kept


def only(port: Port, tensor: Any, t: int, sample: int, batch: int) -> Any:
    """Keep of a tensor at a port what stands at one step and sample."""
    kept = torch.zeros_like(tensor)
    if port.kind == "out" and port.call is not None and port.call.layer is not None:
        layout = Layout(port.call.module, port.call.layer)
        wide = torch.zeros_like(layout.spread(tensor))
        wide[t - port.first, sample] = layout.spread(tensor)[t - port.first, sample]
        return layout.gathered(wide)
    if port.kind == "sequence":
        kept[sample, t] = tensor[sample, t]
    elif port.last == t:
        axis = _axis(port, tensor, batch)
        if sample < tensor.shape[axis]:
            kept.select(axis, sample).copy_(tensor.select(axis, sample))
    return kept
