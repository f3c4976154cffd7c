"""The loss of every step: what enters at the ports of a step without having passed another port.

In: a pass and its ports. Out: `Shares`. The shares of all steps add up to the whole loss, whatever lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rnngraph.measure.recording import Losses
from rnngraph.sources.torch.clocks import Port, Ports
from rnngraph.sources.torch.edges import Edge
from rnngraph.sources.torch.layout import Layout
from rnngraph.sources.torch.norms import sample_norms
from rnngraph.sources.torch.passes import Pass
from rnngraph.sources.torch.question import ask, blocked
from rnngraph.sources.torch.recurrence import Recurrence
from rnngraph.trace.magnitudes import Floats


def whole(run: Pass) -> dict[Edge, Any]:
    """Give the cotangents from which the pass was walked."""
    found: dict[Edge, Any] = {}
    for edge, seed in zip(run.roots, run.seeds, strict=True):
        found[edge] = found[edge] + seed if edge in found else seed
    return found


@dataclass(slots=True)
class Shares:
    """What enters at every port."""

    ports: Ports
    at: dict[Edge, Any]
    clocks: Mapping[int, int]  # by the id of a recurrence
    batches: Mapping[int, int]  # by clock
    lengths: Mapping[int, int]

    @staticmethod
    def of(
        run: Pass, ports: Ports, recurrences: Sequence[Recurrence], clocks: Sequence[int], batches: list[int]
    ) -> Shares:
        """Ask for all of them in one pass."""
        with blocked(ports.found):
            at = ask(run, whole(run), list(ports.found))
        return Shares(
            ports, at, {id(one): clock for one, clock in zip(recurrences, clocks, strict=True)},
            dict(zip(reversed(clocks), reversed(batches), strict=True)),
            {clock: one.steps for one, clock in zip(recurrences, clocks, strict=True)},
        )  # fmt: skip

    def clock(self, port: Port) -> int:
        """The clock of a port."""
        return self.clocks[id(port.recurrence)]

    def losses(self) -> Losses:
        """Say which steps a loss enters."""
        norms = {clock: np.zeros((self.lengths[clock], batch)) for clock, batch in sorted(self.batches.items())}
        for edge, share in self.at.items():
            port = self.ports.found[edge]
            _enter(norms[self.clock(port)], port, share)
        pairs = [(clock, t) for clock, norm in norms.items() for t in np.flatnonzero((norm != 0).any(axis=1)).tolist()]
        return Losses(
            np.array([t for _, t in pairs], np.int64), np.array([clock for clock, _ in pairs], np.int64), norms
        )


def _enter(norms: Floats, port: Port, share: Any) -> None:
    if port.kind == "out" and port.call is not None and port.call.layer is not None:
        wide = Layout(port.call.module, port.call.layer).spread(share)
        found = np.stack([sample_norms(one) for one in wide])
        here = norms[port.first : port.first + port.steps]
    elif port.kind == "sequence":
        found = np.stack([sample_norms(one) for one in time_first(share)])
        here = norms
    else:
        axis = 1 if port.kind in ("h", "c") and share.dim() > 2 else _axis(share, norms.shape[1])
        found = sample_norms(share.transpose(0, axis) if axis else share)[None]
        here = norms[port.last : port.last + 1]
    count = min(found.shape[1], here.shape[1])
    if found.shape[1] > here.shape[1]:  # no axis of samples that is ours: all of it is every sample's
        found = np.broadcast_to(np.sqrt((found**2).sum(axis=1, keepdims=True)), here.shape)
        count = here.shape[1]
    np.hypot(here[:, :count], found[:, :count], out=here[:, :count])


def _axis(share: Any, batch: int) -> int:
    """Find the axis of the samples: the first of the size of the batch; a batch that shrinks stands first."""
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
