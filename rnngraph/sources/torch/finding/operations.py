"""What a cell computes inside a step, read off the graph: its squashing functions and its operations.

In: a recurrence. Out: the facts of a cell of the user's own, and by step how open and how saturated its gates are. The
outputs of tanh and sigmoid are what autograd keeps for the way back, so the user's code is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rnngraph.nn.cells.gate import SATURATED as SIGMOID_SATURATED
from rnngraph.nn.cells.tanh_relu import SATURATED as TANH_SATURATED
from rnngraph.sources.torch.finding.parts import operations_of
from rnngraph.sources.torch.finding.recurrence import SEQUENCE, Recurrence, is_cell
from rnngraph.sources.torch.finding.step_nodes import nodes_of_step
from rnngraph.sources.torch.fused.layout import cell_of
from rnngraph.trace.cell import CUSTOM, CellTrace
from rnngraph.trace.magnitudes import Floats

_SQUASHING = {"TanhBackward0": "tanh", "SigmoidBackward0": "σ"}


@dataclass(frozen=True, slots=True)
class Squashed:
    """How open and how saturated the gates of a recurrence are: (gates, T), (gates, T), and of the state, (T,)."""

    mean: Floats
    share: Floats
    state: Floats
    kept: Floats | None  # (H,) mean logarithm of the gate that keeps the state


def _squashers(one: Recurrence, t: int) -> list[Any]:
    return [node for node in nodes_of_step(one, t) if node.name() in _SQUASHING]


def custom_cell_of(one: Recurrence) -> CellTrace:
    """Describe a cell that only its states and the graph tell of."""
    name = CUSTOM if one.module is None else type(one.module).__name__
    if one.how == SEQUENCE:
        return CellTrace(name, f"{name}, a sequence at once", ("h",))
    kinds = ("h", *(f"h{k + 1}" for k in one.places if k))
    middle = one.steps // 2
    names = [_SQUASHING[node.name()] for node in _squashers(one, middle)]
    gates = tuple(f"{label}{names[: k + 1].count(label)}" for k, label in enumerate(names)) if len(names) <= 16 else ()
    return CellTrace(
        name, one.title, kinds or ("h",), gates, operations=operations_of(nodes_of_step(one, middle), one, middle)
    )


def squashed(one: Recurrence, cell: CellTrace) -> Squashed | None:
    """Measure the gates of every step; None where the graph holds none, as of a kernel that does a step at once."""
    if one.fused or one.how == SEQUENCE:
        return None
    steps = [_squashers(one, t) for t in range(one.steps)]
    count = len(steps[one.steps // 2])
    if not count or count < len(cell.gates):
        return None
    mean, share = np.full((2, len(cell.gates), one.steps), np.nan)
    state, logs = np.full(one.steps, np.nan), []
    for t, nodes in enumerate(steps):
        found = [_result(node) for node in nodes]
        if len(found) != count or any(result is None for result, _ in found):
            continue
        ordered = _in_order(one, cell, found)
        for k, (result, label) in enumerate(ordered):
            mean[k, t], share[k, t] = float(result.mean(dtype=torch.float64)), _share(result, label)
        tanhs = [pair for pair in found if pair[1] == "tanh"] or found
        state[t] = _share(*tanhs[-1])
        if cell.keeps:
            result = ordered[cell.gates.index(cell.keeps)][0].double()
            logs.append(result.reshape(-1, result.shape[-1]).log().mean(dim=0))
    kept = torch.stack(logs).mean(dim=0).cpu().numpy() if logs else None
    return Squashed(mean, share, state, kept)


def _in_order(one: Recurrence, cell: CellTrace, found: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    """Put the gates in the order of the cell's facts; those of PyTorch's cells are made in PyTorch's."""
    order = cell_of(one.module).gate_order.get("torch", "") if is_cell(one.module) else ""
    if not order or not cell.gates:
        return found[: len(cell.gates)]
    return [found[order.index(gate)] for gate in cell.gates]


def _result(node: Any) -> tuple[Any, str]:
    try:
        return node._saved_result.detach(), _SQUASHING[node.name()]
    except RuntimeError:  # freed, or changed in place
        return None, ""


def _share(result: Any, label: str) -> float:
    flags = result.square() > TANH_SATURATED if label == "tanh" else result * (1 - result) < SIGMOID_SATURATED
    return int(flags.count_nonzero()) / max(int(flags.numel()), 1)
