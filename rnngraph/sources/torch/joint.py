"""Whether the loss reads many timesteps jointly, as pooling and attention do: it is one loss then, and not one a step.

In: what enters at the ports of its steps. Out: yes or no, by asking autograd a second time: whether what enters at some
steps depends on what others hand out. A sum of losses of single steps does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.torch.by_step import drawn_at, norms_at
from rnngraph.sources.torch.clocks import Port
from rnngraph.sources.torch.edges import Edge, edge_of
from rnngraph.sources.torch.passes import Pass
from rnngraph.sources.torch.question import ask, blocked
from rnngraph.trace.magnitudes import Floats

_SAME = 1e-6  # relative; what changes by less is rounding
_ALONE = 3.0  # how much more of it is in the sample that was moved than in others, which statistics of a batch reach


def reads_many_steps(run: Pass, ports: Mapping[Edge, Port], grown: Mapping[Edge, Any], entered: Floats) -> bool:
    """Tell whether what enters at steps of a sample changes what enters at its others.

    Half of the steps are moved at once, in the sample that has the most; `grown` can be asked about, and `entered` are
    its norms, (T, N).
    """
    known, sample = np.flatnonzero(entered.any(axis=1)), int((entered != 0).sum(axis=0).argmax())
    if known.size < 2:
        return False
    moved = np.sort(np.random.default_rng(0).permutation(known)[: known.size // 2]).tolist()
    seeds: dict[Edge, Any] = {}
    for edge, gradient in grown.items():
        port = ports[edge]
        steps = [t for t in moved if port.first <= t <= port.last]
        if steps and gradient.grad_fn is not None:
            drawn, place = drawn_at(port, gradient.detach(), steps, sample, entered.shape[1]), edge_of(gradient)
            seeds[place] = seeds[place] + drawn if place in seeds else drawn
    try:
        with blocked(ports):
            changed = norms_at(ports, ask(run, seeds, list(grown)), entered.shape)
    except InputError:  # a function that is differentiated once and not twice
        return False
    own, rest = np.linalg.norm(changed[moved, sample]), np.delete(changed, moved, axis=0)
    others = np.linalg.norm(np.delete(rest, sample, axis=1)) / max(entered.shape[1] - 1, 1) ** 0.5
    here = np.linalg.norm(rest[:, sample])
    return bool(here > _SAME * own and here > _ALONE * others)
