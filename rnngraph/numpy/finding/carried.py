"""The states of a chain: values of one step that are read at a later one, on the way to a later product.

In: a chain. Out: a `Found`: node ids by timestep for every kind of state, their axes, and the direction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rnngraph.autodiff.node import Node, Op
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.read_later import Read, behind, read_later

Kind: TypeAlias = tuple[Op, tuple[int, ...], tuple[Op, ...]]


@dataclass(slots=True)
class Found:
    """One recurrence, in the order of processing."""

    chain: Chain
    states: dict[str, list[int]]  # kind -> node ids
    initial: dict[str, int]
    units: dict[str, int | None]  # kind -> the axis of the units, None where it is not known
    between: dict[int, int] = field(default_factory=dict)  # views between two steps -> the step that reads them
    unread: dict[str, int] = field(default_factory=dict)  # kind, of which the last is not there -> what it is made of
    inside: set[int] = field(default_factory=set)  # what leads to the states, of the nodes of the chain
    direction: str = "forward"
    name: str = ""

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(next(iter(self.states.values())))


def find_states(nodes: Sequence[Node], chain: Chain) -> Found | None:
    """Find what is carried; None where nothing is carried from step to step."""
    time, steps = len(chain.clock), chain.steps
    carried = read_later(nodes, chain)
    shown, model = _model(nodes, chain, carried)
    if not model:
        return None
    main = [state for state, reads in model.items() if any(one.clocked for one in reads)]
    main += [s for s, reads in model.items() if s not in main and any(one.consumer in chain.weighed for one in reads)]
    ordered = main + [state for state in model if state not in main]
    by_step: list[list[int]] = [[] for _ in range(time)]
    for i in sorted(chain.steps):
        by_step[chain.steps[i]].append(i)
    found = Found(chain, {}, {}, {})
    followed = {
        state: ids
        for state in ordered
        if (ids := _followed(nodes, by_step, carried, state, by_step[shown])) is not None
    }
    if followed and all(len(ids) < time for ids in followed.values()):  # the last step makes no state
        chain.clock.pop()
        chain.steps = {i: k for i, k in steps.items() if k < time - 1}
    made = {state: _made_of(nodes, by_step, shown, state) for state, ids in followed.items() if len(ids) == time - 1}
    followed = {s: ids for s, ids in followed.items() if len(ids) == len(chain.clock) or made.get(s) is not None}
    first = sum(state in followed for state in main) or 1  # of those that are not multiplied by the weights
    for place, (state, ids) in enumerate(followed.items()):
        kind = _kind(place, first)
        found.states[kind] = ids
        axes = [one.units for one in model[state] if one.clocked and one.units is not None]
        found.units[kind] = axes[0] if axes else _units_by_size(nodes, chain, nodes[state].value.shape)
        for k, i in enumerate(ids[:-1]):
            for read in carried.get(k, {}).get(i, ()):
                for view in read.via if read.step < len(chain.clock) else ():
                    found.between[view] = max(found.between.get(view, 0), read.step)
        last = made.get(state)
        if len(ids) < len(chain.clock) and last is not None:
            found.unread[kind] = last
        start = _start(nodes, by_step, model[state][0], nodes[state].value.shape)
        if start is not None and nodes[start].value.shape == nodes[state].value.shape:
            found.initial[kind] = start
    return found if "h" in found.states else None


def _model(
    nodes: Sequence[Node], chain: Chain, carried: dict[int, dict[int, list[Read]]]
) -> tuple[int, dict[int, list[Read]]]:
    """Give a late step that shows every state, and these: the last but one, or the one before it where that shows more.

    A state that is masked behind the step's output is read once more before it leads to a product.
    """
    last = len(chain.clock) - 2
    model, before = carried.get(last, {}), carried.get(last - 1, {})
    kinds = {_kind_of(nodes, state) for state in model}
    more = [i for i in before if _kind_of(nodes, i) not in kinds]
    others = before.keys() - set(more)
    more = [i for i in more if not _follows(nodes, chain.steps, i, others)]
    if not model or not more or len(others) != len(model):
        return last, model
    return last - 1, {i: reads for i, reads in before.items() if i in others or i in more}


def _follows(nodes: Sequence[Node], steps: dict[int, int], state: int, others: Collection[int]) -> bool:
    """Tell whether a value follows from other states of its step, as a part of one."""
    seen, waiting = {state}, [state]
    while waiting:
        for i in nodes[waiting.pop()].inputs:
            if i in others or i not in steps or i in seen:
                continue
            if steps[i] < steps[state]:
                return False
            seen.add(i)
            waiting.append(i)
    return True


def _units_by_size(nodes: Sequence[Node], chain: Chain, shape: tuple[int, ...]) -> int | None:
    """Find the axis of the units by its size, which is one of the weights'; None where that does not tell."""
    sizes = {size for i in chain.weights for size in nodes[i].value.shape}
    fits = [axis for axis, size in enumerate(shape) if size in sizes]
    return fits[0] if len(fits) == 1 else None


def _kind(place: int, main: int) -> str:
    """Name a state: `h` is multiplied by the weights, `c` is the first that is not."""
    if place == 0:
        return "h"
    return "c" if place == main else f"s{place}"


def _followed(
    nodes: Sequence[Node],
    by_step: list[list[int]],
    carried: dict[int, dict[int, list[Read]]],
    state: int,
    model: list[int],
) -> list[int] | None:
    """Find the node of the same state in every step; `model` are those of the step that shows it."""
    rank, from_end = model.index(state), len(model) - model.index(state)
    op, shape, operands = wanted = _kind_of(nodes, state)
    found: list[int] = []
    for k, here in enumerate(by_step):
        deep = sure = [i for i in carried.get(k, ()) if _kind_of(nodes, i) == wanted]
        if not sure:
            same = [i for i in here if nodes[i].op is op and nodes[i].value.shape == shape]
            known = [i for i in carried.get(k, ()) if i in same]
            alike = [i for i in same if len(nodes[i].inputs) == len(operands)]
            deep = [i for i in alike if _kind_of(nodes, i) == wanted]
        if k == len(by_step) - 1 and not deep:  # the last one may lead nowhere
            return found
        some = deep or [i for i in known if i in alike] or known or alike
        if not some:
            return None
        places = {i: here.index(i) for i in some} if len(some) > 1 else {}
        near = min(
            some, key=lambda i: min(abs(places[i] - rank), abs(len(here) - places[i] - from_end)) if places else 0
        )
        found.append(near)
    return found


def _made_of(nodes: Sequence[Node], by_step: list[list[int]], shown: int, state: int) -> int | None:
    """Find, in the last step, what a state is made of that nobody reads there, as a cell that a mask keeps after it."""
    model, here = by_step[shown], by_step[-1]
    for one in nodes[state].inputs:
        like = _kind_of(nodes, one)
        alike = [i for i in here if nodes[i].op is like[0] and _kind_of(nodes, i) == like]
        if one in model and alike and nodes[one].value.shape == nodes[state].value.shape:
            return min(alike, key=lambda i: abs(here.index(i) - model.index(one)))
    return None


def _kind_of(nodes: Sequence[Node], i: int) -> Kind:
    """Say what two nodes of the same place in two steps have in common."""
    node = nodes[i]
    return node.op, node.value.shape, tuple([nodes[j].op for j in node.inputs])


def _start(nodes: Sequence[Node], by_step: list[list[int]], read: Read, shape: tuple[int, ...]) -> int | None:
    """Find what the first step reads where later ones read the state."""
    here = by_step[read.step] if read.step < len(by_step) else []
    if read.consumer not in here:
        return None
    rank = here.index(read.consumer)
    consumer = nodes[read.consumer]
    alike = [i for i in by_step[0] if nodes[i].op is consumer.op and nodes[i].value.shape == consumer.value.shape]
    if not alike:
        return None
    first = min(alike, key=lambda i: abs(by_step[0].index(i) - rank))
    start, _, _ = behind(nodes, {}, nodes[first].inputs[read.position], None, -1, shape)
    return start
