"""How open and how saturated the gates of a recurrence are, step by step.

In: a recurrence of cells that stand in the graph. Out: `Squashed`. The outputs of tanh and sigmoid are what autograd
keeps for the way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.nn.cells.gate import SATURATED as SIGMOID_SATURATED
from rnngraph.nn.cells.tanh_relu import SATURATED as TANH_SATURATED
from rnngraph.sources.torch.autograd.edges import wide
from rnngraph.sources.torch.autograd.row_norms import alike
from rnngraph.sources.torch.finding.operations import Squasher, squashers
from rnngraph.sources.torch.finding.recurrence import SEQUENCE, Recurrence, is_cell
from rnngraph.sources.torch.fused.layout import cell_of
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.magnitudes import Floats


@dataclass(frozen=True, slots=True)
class Squashed:
    """Means and saturated shares of the gates, (gates, T), the share of the state, (T,), and what is kept."""

    mean: Floats
    share: Floats
    state: Floats
    kept: Floats | None  # (H,) mean logarithm of the gate that keeps the state


def squashed(one: Recurrence, cell: CellTrace) -> Squashed | None:
    """Measure the gates of every step; None where the graph holds none."""
    if one.fused or one.how == SEQUENCE:
        return None
    steps = [squashers(one, t) for t in range(one.steps)]
    labels = [each.label for each in steps[one.steps // 2]]
    if not labels or len(labels) < len(cell.gates):
        return None
    blank = np.full((len(cell.gates), one.steps), np.nan)
    found = Squashed(blank, blank.copy(), np.full(one.steps, np.nan), None)
    results = [_results(some) if len(some) == len(labels) else [None] * len(labels) for some in steps]
    columns = list(zip(*results, strict=True))
    places = _places(one, cell)
    for k, place in enumerate(places):
        for first, some in alike(columns[place]):
            run = slice(first, first + len(some))
            found.mean[k, run] = wide(some.flatten(1)).mean(dim=1).cpu().numpy()
            found.share[k, run] = _share(some, labels[place])
    last = max((k for k, label in enumerate(labels) if label == "tanh"), default=len(labels) - 1)
    for first, some in alike(columns[last]):
        found.state[first : first + len(some)] = _share(some, labels[last])
    if not cell.keeps:
        return found
    kept = [wide(some).log().flatten(0, -2) for _, some in alike(columns[places[cell.gates.index(cell.keeps)]])]
    sizes = sum(len(one) for one in kept)
    logs = sum(one.sum(dim=0) for one in kept).cpu().numpy() / sizes if kept else None
    return Squashed(found.mean, found.share, found.state, logs)


def _places(one: Recurrence, cell: CellTrace) -> list[int]:
    """Say where the gates of the cell's facts stand among what a step squashes; PyTorch's cells have its order."""
    order = cell_of(one.module).gate_order.get("torch", "") if is_cell(one.module) else ""
    known = all(gate in order for gate in cell.gates)  # not of a cell in which more states were found than it has
    return [order.index(gate) if known else k for k, gate in enumerate(cell.gates)]


def _results(some: list[Squasher]) -> list[Any]:
    """Give the outputs of a step's squashing functions; None of all where one was freed, or changed in place."""
    try:
        return [each.result() for each in some]
    except RuntimeError:
        return [None] * len(some)


def _share(results: Any, label: str) -> Floats:
    flat = results.flatten(1)
    flags = flat.abs() > TANH_SATURATED if label == "tanh" else flat * (1 - flat) < SIGMOID_SATURATED
    share: Floats = wide(flags).mean(dim=1).cpu().numpy()
    return share
