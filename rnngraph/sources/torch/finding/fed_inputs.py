"""What enters recurrences over time, and what of it the network is fed: the inputs behind which there is no other.

In: recurrences that were found in a pass. Out: entrances by step, and `Fed`, an input each. A recurrence whose input is
not known at every step has none: nothing is told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnngraph.sources.torch.autograd.edges import Edge, plain, walk_down
from rnngraph.sources.torch.autograd.passes import Pass
from rnngraph.sources.torch.finding.entrance import Entrance, entrances, given, narrowed
from rnngraph.sources.torch.finding.recurrence import SEQUENCE, STEPS, Recurrence
from rnngraph.sources.torch.finding.step_nodes import nodes_of_step
from rnngraph.sources.torch.finding.within import WORDS, entering_loop
from rnngraph.sources.torch.fused.layout import Layout
from rnngraph.sources.torch.watching.calls import Kept

Behind: TypeAlias = Callable[[Edge], bool]
Steps: TypeAlias = Sequence[Sequence[Sequence[Entrance]]]  # by step, and of each tensor


@dataclass(eq=False)
class Fed:
    """One input, and who reads it.

    `steps` are the entrances by step, of each tensor in a list of its own; empty where all steps enter at once. `edges`
    are then those of the input, a call of a fused layer each, where more reads it than that layer.
    """

    readers: list[Recurrence]
    steps: list[list[list[Entrance]]] = field(default_factory=list)
    edges: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"input of {self.readers[0].path}"


def fed_inputs(run: Pass, recurrences: Sequence[Recurrence]) -> list[Fed]:
    """Find the inputs, in the order of the recurrences that read them."""
    behind = _behind(recurrences)
    found: list[Fed] = []
    for one in recurrences:
        if one.how == SEQUENCE:
            if not behind(one.input):
                found.append(Fed([one]))
        elif one.fused:
            _add_layer(found, run, one, behind)
        else:
            steps = (_of_calls(one, behind) or _words(one)) if one.how == STEPS else entering_loop(one, behind)
            if steps:
                found.append(Fed([one], steps))
    return found


def entering_steps(recurrences: Sequence[Recurrence], fed: Sequence[Fed]) -> dict[Recurrence, Steps]:
    """Find what enters; of a module that the network does not feed, the first input that is no state."""
    found: dict[Recurrence, Steps] = {}
    for one in recurrences:
        if one.how == SEQUENCE:
            found[one] = [[[given(one.input)]]]
        elif one.how == STEPS:
            states = {edge for some in one.states for edge in some}
            firsts = [next((edge for edge in call.given if edge not in states), None) for call in one.calls]
            found[one] = [[[given(edge)]] if edge is not None else [] for edge in firsts]
    found |= {one.readers[0]: one.steps for one in fed if one.steps}
    return {one: steps for one, steps in found.items() if any(steps)}


def edges_in(steps: Iterable[Steps]) -> list[Edge]:
    """List the edges of entrances, each once."""
    return list(dict.fromkeys(part.edge for one in steps for some in one for parts in some for part in parts))


def _behind(recurrences: Sequence[Recurrence]) -> Behind:
    """Make what tells whether a recurrence lies behind an edge."""
    walls: set[Edge] = {edge for one in recurrences for some in one.states for edge in some}
    walls |= {one.output for one in recurrences if one.how == SEQUENCE}
    for one in recurrences:
        walls |= {edge for call in one.calls if one.fused and call.layer for edge in call.layer.ports.values()}
    least = min((int(node._sequence_nr()) for node, _ in walls), default=0)

    def behind(edge: Edge) -> bool:
        if edge in walls or plain(edge) in walls:
            return True
        return any((node, place) in walls for _, node, place in walk_down([edge[0]], least))

    return behind


def _add_layer(found: list[Fed], run: Pass, one: Recurrence, behind: Behind) -> None:
    layers = [call.layer for call in one.calls if call.layer is not None]
    edges = [layer.fed_edge for layer in layers]
    if any(edge is not None and behind(edge) for edge in edges):
        return
    keys = [
        edge if edge is not None else (layer.x.tensor.data_ptr(), layer.x.tensor.shape)
        for edge, layer in zip(edges, layers, strict=True)
    ]
    shape = [Layout(one.module, layer).batch for layer in layers]
    for other in found:
        first = other.readers[0]
        batches = [Layout(first.module, call.layer).batch for call in first.calls if call.layer]
        if first.fused and other.edges == keys and first.steps == one.steps and batches == shape:
            other.readers.append(one)
            return
    found.append(Fed([one], edges=keys))


def read_elsewhere(run: Pass, one: Recurrence) -> bool:
    """Whether anything but a fused layer reads the input of one of its calls."""
    edges = {call.layer.fed_edge: call for call in one.calls if call.layer is not None and call.layer.fed_edge}
    if not edges:
        return False
    nodes = {edge[0] for edge in edges}
    least = min(int(call.begin) for call in one.calls)
    roots = [edge[0] for edge in run.roots]
    for consumer in {*roots, *(node for _, node, _ in walk_down(roots, least))}:
        for below in consumer.next_functions:
            if below[0] in nodes and tuple(below) in edges and not edges[tuple(below)].made(consumer):
                return True
    return False


def _of_calls(one: Recurrence, behind: Behind) -> list[list[list[Entrance]]]:
    """Find what the calls of a module took that is no state, and changes from step to step."""
    states = {edge for some in one.states for edge in some}
    taken = [call.taken for call in one.calls]
    count = len(taken[len(taken) // 2])
    steps: list[list[list[Entrance]]] = [[] for _ in taken]
    for place in range(count):
        column = [some[place] for some in taken if place < len(some)]
        if len(column) < len(taken) or _is_one_thing(column):
            continue
        edges = [item for item in column if not isinstance(item, Kept)]
        if any(plain(edge) in states for edge in edges):
            continue
        data = [item for item in column if isinstance(item, Kept)]
        parts = _data(one, data) if not edges else [_parts(item, behind) for item in column]
        if not any(parts):
            continue
        if not all(parts):
            return []
        for t, some in enumerate(parts):
            steps[t] += some
    return steps if all(steps) else []


def _words(one: Recurrence) -> list[list[list[Entrance]]]:
    """Find the words that a module looks up within its step."""
    found = [[node for node in nodes_of_step(one, t) if node.name() == WORDS] for t in range(one.steps)]
    alike = len({len(some) for some in found}) == 1
    return [[[given((node, 0))] for node in some] for some in found] if alike and found[0] else []


def _is_one_thing(column: Sequence[Any]) -> bool:
    keys = {(one.tensor.data_ptr(), one.tensor.shape) if isinstance(one, Kept) else one for one in column}
    return len(keys) == 1 and len(column) > 1


def _parts(item: Any, behind: Behind) -> list[list[Entrance]]:
    """Give an edge as an entrance; of what was joined, the parts that no recurrence is behind."""
    if isinstance(item, Kept):
        return []
    if not behind(item):
        return [[given(item)]]
    if item[0].name() != "CatBackward0":
        return []
    return [part for below in item[0].next_functions if below[0] is not None for part in _parts(tuple(below), behind)]


def _data(one: Recurrence, column: Sequence[Kept]) -> list[list[list[Entrance]]]:
    """Find where data that the calls took enters, step by step."""
    found = [entrances(nodes_of_step(one, t)) for t in range(one.steps)]
    middle = one.steps // 2
    like = [entrance for entrance in found[middle] if _takes(entrance, column[middle])]
    joined = [entrance for entrance in like if entrance.sign[0] == "joined"]
    signs = {entrance.sign for entrance in like}
    steps = []
    for some, kept in zip(found, column, strict=True):
        own = [entrance for entrance in some if entrance.sign in signs and _takes(entrance, kept)]
        if joined:  # at the first step the state is data too, and the graph shows no join
            wide = [one for one in some if one.value is not None and _width(one.value, joined[0]) > joined[0].width]
            own += [part for part in (narrowed(one, joined[0]) for one in wide) if _takes(part, kept)]
        steps.append([own] if own else [])
    return steps


def _width(value: Any, joined: Entrance) -> int:
    axis = joined.sign[1]
    return int(value.shape[axis]) if axis < value.dim() else 0


def _takes(entrance: Entrance, kept: Kept) -> bool:
    """Whether an operation took this data, or a copy in another type."""
    tensor, value = kept.tensor, entrance.value
    if value is None:
        return _width(tensor, entrance) == entrance.width
    if value.data_ptr() == tensor.data_ptr() and value.numel() == tensor.numel():
        return True
    return value.shape == tensor.shape and bool((value == tensor.to(value.dtype)).all())
