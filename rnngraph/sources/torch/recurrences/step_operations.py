"""What a cell computes inside a step, read off the graph: its squashing functions, how saturated, and its operations.

In: a recurrence. Out: the facts of a cell of the user's own, with `PartTrace`s of what stands in the unrolled picture
at the detail of operations; and `GateStatistics`: how open gates are, from the outputs of tanh and sigmoid that
autograd keeps for the way back. The user's code is not touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.nn.cells.gate import SATURATED as SIGMOID_SATURATED
from rnngraph.nn.cells.tanh_relu import SATURATED as TANH_SATURATED
from rnngraph.sources.torch.autograd.edges import to_float64
from rnngraph.sources.torch.autograd.gradient_norms import alike
from rnngraph.sources.torch.autograd.opaque_nodes import gate, gates_of
from rnngraph.sources.torch.fused_layers.layout import cell_name, cell_of
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, Recurrence, nodes_of_step, states_before
from rnngraph.trace.cell import CUSTOM, INPUT, PREVIOUS, CellTrace, PartTrace
from rnngraph.trace.magnitudes import Floats

SQUASHING = {"TanhBackward0": "tanh", "SigmoidBackward0": "σ"}
_STATES = frozenset("gnc")  # of PyTorch's gates those that tanh squashes

_LABELS = {
    "Addmm": "·W + b", "Mm": "·W", "Bmm": "·", "Add": "+", "Sub": "-", "Rsub": "1 -", "Mul": "*", "Div": "/",
    "Tanh": "tanh", "Sigmoid": "σ", "Relu": "relu", "Convolution": "conv", "NativeLayerNorm": "layer norm",
    "NativeBatchNorm": "batch norm", "Softmax": "softmax", "Exp": "exp", "Log": "log", "Neg": "-", "Where": "where",
}  # fmt: skip
# They move data and compute nothing.
_MOVES = re.compile(
    r"(View|UnsafeView|ReshapeAlias|Slice|Select|Squeeze|Unsqueeze|T|Transpose|Permute|Split|SplitWithSizes|Chunk|Expand|"
    r"Clone|Alias|ToCopy|Unbind|Cat|Stack|AsStrided)Backward\d+"
)
_MOST = 60  # parts that a picture can hold


@dataclass(frozen=True, slots=True)
class Activation:
    """A squashing function of a step: a node of its own, or a gate of a node that is the whole step."""

    label: str
    node: Any
    gate: str = ""

    def result(self) -> Any:
        """Give what it returned.

        Raises:
            RuntimeError: it was freed, or changed in place.
        """
        return gate(self.node, self.gate) if self.gate else self.node._saved_result.detach()


def activations(one: Recurrence, t: int) -> list[Activation]:
    """Give the squashing functions of a step, in the order in which they were made."""
    found = []
    for node in nodes_of_step(one, t):
        if node.name() in SQUASHING:
            found.append(Activation(SQUASHING[node.name()], node))
        found += [Activation("tanh" if name in _STATES else "σ", node, name) for name in gates_of(node)]
    return found


def custom_cell_of(one: Recurrence) -> CellTrace:
    """Describe a cell that only its states and the graph tell of."""
    name = CUSTOM if one.module is None else type(one.module).__name__
    if one.how == SEQUENCE:
        return CellTrace(name, f"{name}, a sequence at once", ("h",))
    kinds = ("h", *(f"h{k + 1}" for k in one.places if k))
    middle = one.steps // 2
    names = [each.label for each in activations(one, middle)]
    gates = tuple(f"{label}{names[: k + 1].count(label)}" for k, label in enumerate(names)) if len(names) <= 16 else ()
    return CellTrace(
        name, one.title, kinds or ("h",), gates, operations=_operations_of(nodes_of_step(one, middle), one, middle)
    )


def _operations_of(nodes: list[Any], one: Recurrence, t: int) -> tuple[PartTrace, ...]:
    """Give the operations of step t; none of a step too large to be drawn."""
    states = {edge[0]: k for k, edge in enumerate(one.states[t])} if one.states else {}
    before = {edge[0]: k for k, edge in enumerate(states_before(one, t))}
    shown = [node for node in nodes if node in states or not _MOVES.fullmatch(node.name())]
    if not 0 < len(shown) <= _MOST:
        return ()
    keys = {node: _kind(states[node]) if node in states else f"{number}" for number, node in enumerate(shown)}
    levels: dict[Any, int] = {}
    inputs = {node: _inputs(node, keys, before, set(nodes)) for node in shown}
    by_key = {keys[node]: node for node in shown}
    for node in shown:
        below = [levels[by_key[key]] for key in inputs[node] if key in by_key and by_key[key] in levels]
        levels[node] = max(below, default=-1) + 1
    found = []
    for node in shown:
        row = [other for other in shown if levels[other] == levels[node]]
        label = f"{_label(node)}  {_kind(states[node])}" if node in states else _label(node)
        role = "state" if node in states else "gate" if node.name() in SQUASHING else "part"
        found.append(
            PartTrace(
                keys[node], label, role, inputs[node] or (INPUT,), f"{label}, as autograd recorded it",
                (levels[node], row.index(node), len(row)),
            )
        )  # fmt: skip
    return tuple(found)


def _kind(place: int) -> str:
    return "h" if not place else f"h{place + 1}"


def _label(node: Any) -> str:
    name = re.sub(r"Backward\d*$", "", node.name())
    return _LABELS.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _inputs(node: Any, keys: dict[Any, str], before: dict[Any, int], nodes: set[Any]) -> tuple[str, ...]:
    """Look through moves to the parts, the states before, and what comes from outside."""
    found: dict[str, None] = {}
    waiting = [below for below, _ in reversed(node.next_functions)]
    while waiting:
        one = waiting.pop()
        if one is None or not one.next_functions:  # a constant or a weight
            continue
        if one in before:
            found[PREVIOUS + _kind(before[one])] = None
        elif one in keys:
            found[keys[one]] = None
        elif one in nodes:
            waiting += [below for below, _ in one.next_functions]
        else:
            found[INPUT] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """Means and saturated shares of the gates, (gates, T), the share of the state, (T,), and what is kept."""

    mean: Floats
    share: Floats
    state: Floats
    kept: Floats | None  # (H,) mean logarithm of the gate that keeps the state


def gate_statistics(one: Recurrence, cell: CellTrace) -> GateStatistics | None:
    """Measure the gates of every step; None where the graph holds none."""
    if one.fused or one.how == SEQUENCE:
        return None
    steps = [activations(one, t) for t in range(one.steps)]
    labels = [each.label for each in steps[one.steps // 2]]
    if not labels or len(labels) < len(cell.gates):
        return None
    blank = np.full((len(cell.gates), one.steps), np.nan)
    found = GateStatistics(blank, blank.copy(), np.full(one.steps, np.nan), None)
    results = [_results(some) if len(some) == len(labels) else [None] * len(labels) for some in steps]
    columns = list(zip(*results, strict=True))
    places = _places(one, cell)
    for k, place in enumerate(places):
        for first, some in alike(columns[place]):
            run = slice(first, first + len(some))
            found.mean[k, run] = to_float64(some.flatten(1)).mean(dim=1).cpu().numpy()
            found.share[k, run] = _share(some, labels[place])
    last = max((k for k, label in enumerate(labels) if label == "tanh"), default=len(labels) - 1)
    for first, some in alike(columns[last]):
        found.state[first : first + len(some)] = _share(some, labels[last])
    if not cell.keeps:
        return found
    kept = [to_float64(some).log().flatten(0, -2) for _, some in alike(columns[places[cell.gates.index(cell.keeps)]])]
    sizes = sum(len(one) for one in kept)
    logs = sum(one.sum(dim=0) for one in kept).cpu().numpy() / sizes / abs(one.stride) if kept else None
    return GateStatistics(found.mean, found.share, found.state, logs)


def _places(one: Recurrence, cell: CellTrace) -> list[int]:
    """Say where the gates of the cell's facts stand among what a step squashes; PyTorch's cells have its order."""
    order = cell_of(one.module).gate_order.get("torch", "") if cell_name(one.module) else ""
    known = all(gate in order for gate in cell.gates)  # not of a cell in which more states were found than it has
    return [order.index(gate) if known else k for k, gate in enumerate(cell.gates)]


def _results(some: list[Activation]) -> list[Any]:
    """Give the outputs of a step's squashing functions; None of all where one was freed, or changed in place."""
    try:
        return [each.result() for each in some]
    except RuntimeError:
        return [None] * len(some)


def _share(results: Any, label: str) -> Floats:
    flat = results.flatten(1)
    flags = flat.abs() > TANH_SATURATED if label == "tanh" else flat * (1 - flat) < SIGMOID_SATURATED
    share: Floats = flags.sum(dim=1).cpu().numpy() / flags.shape[1]
    return share
