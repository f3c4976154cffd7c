"""Whether the loss reads many timesteps jointly, as pooling and attention do: it is one loss then, and not one a step.

In: a pass and what enters at the ports of its steps. Out: yes or no, by asking autograd a second time: whether what
enters at a step depends on what other steps hand out. A sum of losses of single steps does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rnngraph.errors import InputError
from rnngraph.sources.torch.by_step import note_norms, only
from rnngraph.sources.torch.clocks import Port
from rnngraph.sources.torch.edges import Edge, edge_of, shape_of
from rnngraph.sources.torch.passes import Pass
from rnngraph.sources.torch.question import ask, blocked, whole
from rnngraph.trace.magnitudes import Floats

_SAME = 1e-6  # relative; what changes by less is rounding
_ALONE = 3.0  # how much more of it is in the sample that was moved than in others, which statistics of a batch reach
_ASKED = 3  # steps that are moved


def reads_many_steps(run: Pass, ports: Mapping[Edge, Port], at: Mapping[Edge, Any], shape: tuple[int, int]) -> bool:
    """Tell whether what enters at one step of a sample changes what enters at its others; `shape` is (T, N)."""
    entered = _norms(ports, at, shape)
    known = np.flatnonzero(entered.any(axis=1))
    if known.size < 2:
        return False
    chosen = known[np.linspace(0, known.size - 1, min(_ASKED, known.size)).round().astype(int)]
    try:
        with blocked(ports):
            grown = ask(run, whole(run), list(at), grow=True)
            return any(_changes_others(run, ports, grown, t, entered) for t in chosen.tolist())
    except InputError:  # a function that is differentiated once and not twice
        return False


def _changes_others(run: Pass, ports: Mapping[Edge, Port], grown: Mapping[Edge, Any], t: int, entered: Floats) -> bool:
    sample, batch = int(entered[t].argmax()), entered.shape[1]
    seeds = {}
    for edge, gradient in grown.items():
        if gradient.grad_fn is not None and ports[edge].first <= t <= ports[edge].last:
            drawn = torch.randn(shape_of(edge), generator=torch.Generator().manual_seed(t), dtype=torch.float64)
            moved = drawn.to(gradient.device, gradient.dtype)
            seeds[edge_of(gradient)] = only(ports[edge], moved, t, sample, batch)
    changed = _norms(ports, ask(run, seeds, list(grown)), entered.shape)
    own, rest = changed[t, sample], np.delete(changed, t, axis=0)
    here = float(np.linalg.norm(rest[:, sample]))
    others = np.delete(rest, sample, axis=1)
    beside = float(np.linalg.norm(others)) / max(batch - 1, 1) ** 0.5
    return bool(here > _SAME * own and here > _ALONE * beside)


def _norms(ports: Mapping[Edge, Port], at: Mapping[Edge, Any], shape: tuple[int, ...]) -> Floats:
    norms = np.zeros(shape)
    for edge, one in at.items():
        note_norms(norms, ports[edge], one)
    return np.nan_to_num(norms)
