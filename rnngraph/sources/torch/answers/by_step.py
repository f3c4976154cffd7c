"""What stands at the ports of steps, step by step and sample by sample.

In: tensors at ports. Out: norms (T, N), or one step of a tensor.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rnngraph.sources.torch.autograd.edges import Edge, drawn_once
from rnngraph.sources.torch.autograd.row_norms import row_norms, sample_norms
from rnngraph.sources.torch.finding.clocks import Port
from rnngraph.sources.torch.fused.layout import Layout
from rnngraph.trace.magnitudes import Floats


def alike(tensors: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield steps that follow one another and are alike, stacked, with the first of each run; None is no step."""
    known = [(t, one) for t, one in enumerate(tensors) if one is not None]
    place = itertools.count()
    for _, group in itertools.groupby(known, lambda step: (step[0] - next(place), step[1].shape, step[1].dtype)):
        steps = list(group)
        yield steps[0][0], torch.stack([one for _, one in steps])


def norms_by_step(tensors: Sequence[Any], shape: tuple[int, ...]) -> Floats:
    """Give the norms of tensors (samples, units), one a step, as (T, N) in `shape`; zeros where there is none."""
    found = np.zeros(shape)
    for first, some in alike(tensors):
        found[first : first + len(some), : some.shape[1]] = row_norms(some)
    return found


def norms_at(ports: Mapping[Edge, Port], at: Mapping[Edge, Any], shape: tuple[int, ...]) -> Floats:
    """Give the norms of what stands at ports by step and sample, (T, N) in `shape`."""
    norms = np.zeros(shape)
    for edge, one in at.items():
        _note(norms, ports[edge], one)
    return norms


def _note(norms: Floats, port: Port, share: Any) -> None:
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


def drawn_at(port: Port, like: Any, steps: Sequence[int], sample: int, batch: int) -> Any:
    """Draw the same numbers for one sample at some of the steps of a port; zeros elsewhere."""
    drawn = torch.zeros_like(like)
    if port.kind == "out" and port.call is not None and port.call.layer is not None:
        layout = Layout(port.call.module, port.call.layer)
        wide = layout.spread(drawn)
        for t in steps:
            _draw(wide[t - port.first, sample])
        return layout.gathered(wide)
    if port.kind == "sequence":
        for t in steps:
            _draw(drawn[sample, t])
        return drawn
    axis = _axis(port, drawn, batch)
    if port.last in steps and sample < drawn.shape[axis]:
        _draw(drawn.select(axis, sample))
    return drawn


def _draw(part: Any) -> None:
    part.copy_(drawn_once(tuple(part.shape)))
