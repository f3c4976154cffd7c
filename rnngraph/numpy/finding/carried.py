"""The states of a chain: values of one step that are read at a later one, on the way to a later product.

In: a chain. Out: a `Found`: node ids by timestep for every kind of state, their axes, and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TypeAlias

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node, Op
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.products import GIVEN, PRODUCTS, VIEWING, reached
from rnngraph.numpy.finding.read_later import Read, read_later

Kind: TypeAlias = tuple[Op, tuple[int, ...], tuple[Op, ...]]


@dataclass(slots=True)
class Found:
    """One recurrence, in the order of processing."""

    chain: Chain
    states: dict[str, list[int]]  # kind -> node ids
    initial: dict[str, int]
    units: dict[str, int | None]  # kind -> the axis of the units, None where it is not known
    unread: dict[str, int] = field(default_factory=dict)  # kind, of which the last is not there -> what it is made of
    inside: set[int] = field(default_factory=set)  # what leads to the states, of the nodes of the chain
    seen_through: dict[int, list[int]] = field(default_factory=dict)  # state "h" -> the views through which it is read
    there: Array | None = None  # (N, T) which samples there are at each step; None where it is all
    direction: str = "forward"
    name: str = ""

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(next(iter(self.states.values())))

    def made(self, name: object) -> dict[int, tuple[object, int]]:
        """Give the timestep of every state, with a name for them all."""
        last = None if self.direction == "forward" else self.time - 1
        return {i: (name, k if last is None else last - k) for ids in self.states.values() for k, i in enumerate(ids)}


def find_states(nodes: Sequence[Node], chain: Chain) -> Found | None:
    """Find what is carried; None where nothing is carried from step to step."""
    time, steps = len(chain.clock), chain.steps
    carried = read_later(nodes, chain)
    if not carried:
        return None
    shown = max(time - 3, min(time - 2, 1))  # a state that is masked behind the output leads once less to a product
    model = carried.get(shown, {})
    model = {i: reads for i, reads in model.items() if not _follows(nodes, steps, i, set(model) - {i})}
    main = [state for state, reads in model.items() if any(one.clocked for one in reads)]
    main += [s for s, reads in model.items() if s not in main and any(one.consumer in chain.weighed for one in reads)]
    ordered = main + [state for state in model if state not in main]
    by_step: list[list[int]] = [[] for _ in range(time)]
    for i in sorted(chain.steps):
        by_step[chain.steps[i]].append(i)
    found = Found(chain, {}, {}, {})
    followed = dict[int, list[int]]()
    for state in ordered:
        ids = _followed(nodes, chain, by_step, carried, state, by_step[shown])
        if ids is not None and all(set(ids).isdisjoint(other) for other in followed.values()):  # a node is one state
            followed[state] = ids
    if followed and all(len(ids) < time for ids in followed.values()):  # the last step makes no state
        chain.clock.pop()
        chain.steps = {i: k for i, k in steps.items() if k < time - 1}
    made = {
        state: _made_of(nodes, chain, by_step, shown, state) for state, ids in followed.items() if len(ids) == time - 1
    }
    followed = {s: ids for s, ids in followed.items() if len(ids) == len(chain.clock) or made.get(s) is not None}
    first = sum(state in followed for state in main) or 1  # of those that are not multiplied by the weights
    for place, (state, ids) in enumerate(followed.items()):
        kind = _kind(place, first)
        found.states[kind] = ids
        axes = [one.units for one in model[state] if one.clocked and one.units is not None]
        found.units[kind] = axes[0] if axes else None
        for k, i in enumerate(ids[:-1]):
            for read in carried.get(k, {}).get(i, ()):
                for view in read.via if read.step < len(chain.clock) else ():  # a view is of the step that reads it
                    chain.steps[view] = max(chain.steps.get(view, 0), read.step)
                if kind == "h" and read.clocked:
                    found.seen_through[i] = read.via[::-1]
        last = made.get(state)
        if len(ids) < len(chain.clock) and last is not None:
            found.unread[kind] = last
    found.initial = find_starts(nodes, found)
    return found if "h" in found.states else None


def find_starts(nodes: Sequence[Node], found: Found) -> dict[str, int]:
    """Find what stands before the first states, by kind, where that is known and of their shape."""
    shape = found.chain.shape
    first = {kind: shape(nodes[ids[0]]) for kind, ids in found.states.items()}
    return {kind: start for kind, start in starts_of(nodes, found).items() if shape(nodes[start]) == first[kind]}


def starts_of(nodes: Sequence[Node], found: Found) -> dict[str, int]:
    """Find what stands before the first states, by kind, where that is known, of whatever shape."""
    starts = {
        kind: _start(nodes, found.chain.steps, ids, found.seen_through.get(ids[0], ()))
        for kind, ids in found.states.items() if len(ids) > 1
    }  # fmt: skip
    return {kind: start for kind, start in starts.items() if start is not None}


def _follows(nodes: Sequence[Node], steps: dict[int, int], state: int, others: set[int]) -> bool:
    """Tell whether a value follows from other states of its step, as a part of one."""
    behind = reached(nodes, [state], lambda i: i in others or steps.get(i, -1) != steps[state]) - others
    return all(steps.get(i, steps[state]) == steps[state] for i in behind)


def _kind(place: int, main: int) -> str:
    """Name a state: `h` is multiplied by the weights, `c` is the first that is not."""
    if place == 0:
        return "h"
    return "c" if place == main else f"s{place}"


def _followed(
    nodes: Sequence[Node],
    chain: Chain,
    by_step: list[list[int]],
    carried: dict[int, dict[int, list[Read]]],
    state: int,
    model: list[int],
) -> list[int] | None:
    """Find the node of the same state in every step; `model` are those of the step that shows it."""
    rank, from_end = model.index(state), len(model) - model.index(state)
    op, shape, operands = wanted = _kind_of(nodes, state, chain)
    found: list[int] = []
    for k, here in enumerate(by_step):
        deep = [i for i in carried.get(k, ()) if _kind_of(nodes, i, chain) == wanted]
        if not deep:
            same = [i for i in here if nodes[i].op is op and chain.shape(nodes[i]) == shape]
            known = [i for i in carried.get(k, ()) if i in same]
            alike = [i for i in same if op is ASSEMBLE or len(nodes[i].inputs) == len(operands)]
            deep = [i for i in alike if i in known or _kind_of(nodes, i, chain) == wanted]
        if k == len(by_step) - 1 and not deep:  # the last one may lead nowhere
            return found
        some = deep or known or alike
        if not some:
            return None
        places = {i: here.index(i) for i in some} if len(some) > 1 else {}
        near = min(
            some, key=lambda i: min(abs(places[i] - rank), abs(len(here) - places[i] - from_end)) if places else 0
        )
        found.append(near)
    return found


def _made_of(nodes: Sequence[Node], chain: Chain, by_step: list[list[int]], shown: int, state: int) -> int | None:
    """Find, in the last step, what a state is made of that nobody reads there, as a cell that a mask keeps after it."""
    model, here = by_step[shown], by_step[-1]
    for one in nodes[state].inputs:
        like = _kind_of(nodes, one, chain)
        alike = [i for i in here if nodes[i].op is like[0] and _kind_of(nodes, i, chain) == like]
        if one in model and alike and chain.shape(nodes[one]) == chain.shape(nodes[state]):
            return min(alike, key=lambda i: abs(here.index(i) - model.index(one)))
    return None


def _kind_of(nodes: Sequence[Node], i: int, chain: Chain) -> Kind:
    """Say what two nodes of the same place in two steps have in common; of an array, steps may put other parts."""
    node = nodes[i]
    return node.op, chain.shape(node), tuple([nodes[j].op for j in node.inputs if node.op is not ASSEMBLE])


def _start(nodes: Sequence[Node], steps: dict[int, int], ids: Sequence[int], views: Sequence[int]) -> int | None:
    """Find what stands before the first state as that stands before the second: by a way that both have.

    Through `views` of the first state it is read, and what is plain has none of them.
    """
    waiting = [(ids[1], ids[0])]
    seen = set(waiting)
    for at, twin in waiting:
        if at == ids[0]:
            return twin
        pairs = zip(nodes[at].inputs, nodes[twin].inputs, strict=False)
        if nodes[twin].op in GIVEN and (at in views or nodes[at].op in VIEWING):
            pairs = zip(nodes[at].inputs, repeat(twin), strict=False)
        elif not _alike(nodes[twin], nodes[at]):
            continue
        below = [pair for pair in pairs if pair not in seen and (pair[0] in steps or pair[0] == ids[0])]
        seen.update(below)
        waiting += below
    return None


def _alike(one: Node, other: Node) -> bool:
    """Tell the same operation; a product of a vector is written as one of a matrix is."""
    same = one.op is other.op or {one.op, other.op} <= PRODUCTS
    return same and len(one.inputs) == len(other.inputs)
