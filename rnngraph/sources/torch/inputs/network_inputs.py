"""What enters recurrences over time, and what of it the network is fed: the inputs behind which there is no other.

In: recurrences that were found in a pass. Out: entrances by step, and `NetworkInput`s. A recurrence whose input is
not known at every step has none: nothing is told of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch

from rnngraph.sources.torch.autograd.edges import Edge, unviewed, walk_down
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.inputs.entrance import Entrance, given
from rnngraph.sources.torch.inputs.step_inputs import Behind, StepInputs, is_same
from rnngraph.sources.torch.losses.ports import own_ports
from rnngraph.sources.torch.recurrences.module_states import is_within, spans
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, STEPS, Recurrence

Steps: TypeAlias = list[list[list[Entrance]]]  # by step, and of each tensor


@dataclass(eq=False)
class NetworkInput:
    """One input, and who reads it.

    `steps` are the entrances by step, of each tensor in a list of its own; empty where all steps enter at once. `edges`
    are then those of the input, a call of a fused layer each, where more reads it than that layer.
    """

    readers: list[Recurrence]
    steps: Steps = field(default_factory=list)
    edges: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"input of {self.readers[0].path}"

    @property
    def weight(self) -> float:
        """Frobenius norm of what multiplies it, in a fused layer the first; NaN where that is not known."""
        if self.steps:
            return math.hypot(*(one.weight for some in self.steps[-1] for one in some))
        weight = getattr(self.readers[0].module, "weight_ih_l0", None)
        return math.nan if weight is None else float(weight.detach().norm())


def boundaries(run: BackwardPass, recurrences: Sequence[Recurrence]) -> tuple[Behind, set[Edge]]:
    """Make what tells whether a recurrence lies behind an edge, and give the edges at which recurrences hand out."""
    walls = {port.edge for one in recurrences for port in own_ports(one)}
    return recurrences_behind(run, walls), walls


def step_inputs(recurrences: Sequence[Recurrence], behind: Behind, walls: Collection[Edge]) -> dict[Recurrence, Steps]:
    """Find what enters the recurrences whose states stand in the graph, or that take a sequence at once."""
    found = {one: StepInputs(one, behind, walls).by_tensor() for one in recurrences if one.states}
    return found | {one: _positions(one) for one in recurrences if one.how == SEQUENCE and not behind(one.input)}


def network_inputs(
    recurrences: Sequence[Recurrence], behind: Behind, known: Mapping[Recurrence, Steps]
) -> list[NetworkInput]:
    """Find the inputs, in the order of the recurrences that read them; `known` is what enters."""
    found: list[NetworkInput] = []
    for one in recurrences:
        if one.fused:
            _add_layer(found, one, behind)
        elif (steps := known.get(one)) and not any(_reads_too(fed, one, steps) for fed in found):
            found.append(NetworkInput([one], steps))
    return found


def _reads_too(fed: NetworkInput, one: Recurrence, steps: Steps) -> bool:
    """Let a recurrence be one more reader of an input, where it takes at every step what that one does."""
    pairs = list(zip(fed.steps, steps, strict=False))
    if len(fed.steps) != len(steps) or any(len(known) != len(some) for known, some in pairs):
        return False
    if not all(is_same(a[0], b[0]) for known, some in pairs for a, b in zip(known, some, strict=True)):
        return False
    fed.steps = [[[*a, *b] for a, b in zip(known, some, strict=True)] for known, some in pairs]
    fed.readers.append(one)
    return True


def measured_inputs(recurrences: Sequence[Recurrence], fed: Sequence[NetworkInput]) -> dict[Recurrence, Steps]:
    """Find what enters; of a module that the network does not feed, the first input that is no state."""
    found: dict[Recurrence, Steps] = {}
    for one in recurrences:
        if one.how == SEQUENCE:
            found[one] = _positions(one)
        elif one.how == STEPS:
            states = {edge for some in one.states for edge in some}
            firsts = [next((edge for edge in call.given if edge not in states), None) for call in one.calls]
            found[one] = [[[given(edge)]] if edge is not None else [] for edge in firsts]
    found |= {one.readers[0]: one.steps for one in fed if one.steps}
    return {one: steps for one, steps in found.items() if any(steps)}


def _positions(one: Recurrence) -> Steps:
    """Let every position of a sequence enter by itself."""
    edge = one.input
    return [
        [[Entrance(edge, partial(torch.select, dim=2, index=t), ("position",), (edge, t))]] for t in range(one.steps)
    ]


def edges_in(steps: Iterable[Steps]) -> list[Edge]:
    """List the edges of entrances, each once."""
    return list(dict.fromkeys(part.edge for one in steps for some in one for parts in some for part in parts))


def recurrences_behind(run: BackwardPass, walls: Collection[Edge]) -> Behind:
    """Make what tells whether a recurrence lies behind an edge."""
    descending: set[Any] = set()
    for node in run.nodes(0):
        if any(edge in walls or edge[0] in descending for edge in node.next_functions):
            descending.add(node)
    return lambda edge: edge[0] in descending or edge in walls or (edge[0] is not None and unviewed(edge) in walls)


def _add_layer(found: list[NetworkInput], one: Recurrence, behind: Behind) -> None:
    layers = one.layers
    edges = [layer.fed_edge for layer in layers]
    if any(edge is not None and behind(edge) for edge in edges):
        return
    keys = [
        edge if edge is not None else (layer.x.tensor.data_ptr(), layer.x.tensor.shape)
        for edge, layer in zip(edges, layers, strict=True)
    ]
    shape = [layer.layout.batch for layer in layers]
    for other in found:
        first = other.readers[0]
        batches = [layer.layout.batch for layer in first.layers]
        if first.fused and other.edges == keys and first.steps == one.steps and batches == shape:
            other.readers.append(one)
            return
    found.append(NetworkInput([one], edges=keys))


def read_elsewhere(run: BackwardPass, one: Recurrence) -> bool:
    """Whether anything but a fused layer reads the input of one of its calls."""
    edges = {layer.fed_edge: call for call, layer in zip(one.calls, one.layers, strict=False) if layer.fed_edge}
    if not edges:
        return False
    nodes = {edge[0] for edge in edges}
    for consumer in run.nodes(0):
        for below in consumer.next_functions:
            if below[0] in nodes and tuple(below) in edges and not edges[tuple(below)].made(consumer):
                return True
    return False


def read_inside(run: BackwardPass, one: Recurrence) -> bool:
    """Whether the loss is made of the inside of a fused layer's calls, past what they hand out."""
    ports, inside = set(one.ports), spans(one.calls)
    return one.fused and any(
        is_within(inside, node) and not is_within(inside, consumer) and (node, place) not in ports
        for consumer, node, place in walk_down(run.tops, min(call.begin for call in one.calls))
    )
