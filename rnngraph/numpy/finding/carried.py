"""The states of a chain: values of one step that are read at a later one, on the way to a later product.

In: a chain. Out: a `Found`: node ids by timestep for every kind of state, their axes, and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
    woven_starts: frozenset[int] = frozenset()  # what stands before the first steps of runs that take turns

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
    time = len(chain.clock)
    by_step: list[list[int]] = [[] for _ in range(time)]
    for i in sorted(chain.steps):
        by_step[chain.steps[i]].append(i)
    shown = max(time - 3, min(time - 2, 1))  # a state that is masked behind the output leads once less to a product
    carried = read_later(nodes, chain)
    if not carried:
        return None
    model, main, followed = _all_followed(nodes, chain, by_step, carried, shown)
    found = Found(chain, {}, {}, {})
    if followed and all(len(ids) < time for ids in followed.values()):  # the last step makes no state
        chain.clock.pop()
        chain.steps = {i: k for i, k in chain.steps.items() if k < time - 1}
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


def _all_followed(
    nodes: Sequence[Node],
    chain: Chain,
    by_step: list[list[int]],
    carried: dict[int, dict[int, list[Read]]],
    shown: int,
) -> tuple[dict[int, list[Read]], list[int], dict[int, list[int]]]:
    """Follow what the step that shows them carries on: the states there, the main ones of them, and each by step."""
    while True:
        some = carried.get(shown, {})
        model = {i: reads for i, reads in some.items() if not _follows(nodes, chain.steps, i, set(some) - {i})}
        main = [state for state, reads in model.items() if any(one.clocked for one in reads)]
        main += [s for s, reads in model.items() if s not in main and any(r.consumer in chain.weighed for r in reads)]
        followed = dict[int, list[int]]()
        for state in [*main, *(state for state in model if state not in main)]:
            taken = set[int]().union(*followed.values())  # a node is one state
            ids = None if state in taken else _followed(nodes, chain, by_step, carried, state, by_step[shown], taken)
            if ids is not None:
                followed[state] = ids
        ended = [ids for ids in followed.values() if len(ids) < len(by_step)]
        if not any(_taken_back(nodes, chain.steps, carried, ids) for ids in ended):
            return model, main, followed


def _taken_back(
    nodes: Sequence[Node], steps: dict[int, int], carried: dict[int, dict[int, list[Read]]], ids: list[int]
) -> bool:
    """Take for the state what it was made of alone, where no next step makes anything of the last: a decay, a reset.

    What is made of it then belongs to the step that reads it.
    """
    some = [_made_of_one(nodes, steps, i) for i in ids]
    for k, (i, one) in enumerate(zip(ids, some, strict=True) if None not in some else ()):
        source, passed = one or (i, [])
        reads = [replace(read, via=[*read.via, *passed]) for read in carried[k].pop(i, ())]
        carried[k].setdefault(source, []).extend(reads)
        steps |= dict.fromkeys(passed, k + 1)
    if None in some:
        return False
    for i in sorted(steps):  # and all that is made of it
        steps[i] = max([steps[i], *(steps[j] for j in nodes[i].inputs if j in steps)])
    for k, reads_of in carried.items():
        carried[k] = {i: reads for i, reads in reads_of.items() if steps[i] == k}
    return True


def _made_of_one(nodes: Sequence[Node], steps: dict[int, int], i: int) -> tuple[int, list[int]] | None:
    """Find the nearest value of the same step and shape of which alone a value is made, and what lies between."""
    passed, behind = list[int](), {i}
    while not passed or len(behind) > 1 or nodes[min(behind)].value.shape != nodes[i].value.shape:
        at = max(behind)
        below = {j for j in nodes[at].inputs if j in steps}
        if nodes[at].op in PRODUCTS or not below or any(steps[j] != steps[i] for j in below):
            return None
        passed.append(at)
        behind = (behind - {at}) | below
    return behind.pop(), passed


def find_starts(nodes: Sequence[Node], found: Found) -> dict[str, int]:
    """Find what stands before the first states, by kind, where that is known and of their shape."""
    chain, starts = found.chain, dict[str, int]()
    for kind, ids in found.states.items():
        start = _start(nodes, chain.steps, ids, found.seen_through.get(ids[0], ())) if len(ids) > 1 else None
        if start is not None and chain.shape(nodes[start]) == chain.shape(nodes[ids[0]]):
            starts[kind] = start
    return starts


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
    taken: set[int],
) -> list[int] | None:
    """Find the node of the same state in every step; `model` are those of the step that shows it."""
    rank, from_end = model.index(state), len(model) - model.index(state)
    op, shape, operands = wanted = _kind_of(nodes, state, chain)
    found: list[int] = []
    for k, here in enumerate(by_step):
        deep = [i for i in carried.get(k, ()) if i not in taken and _kind_of(nodes, i, chain) == wanted]
        if not deep:
            same = [i for i in here if i not in taken and nodes[i].op is op and chain.shape(nodes[i]) == shape]
            known = [i for i in carried.get(k, ()) if i in same]
            alike = [i for i in same if op is ASSEMBLE or len(nodes[i].inputs) == len(operands)]
            deep = [i for i in alike if i in known or _kind_of(nodes, i, chain) == wanted]
            if k == len(by_step) - 1:  # the last one may lead nowhere: what is like it may be another layer's
                deep = [i for i in deep if _products_within(nodes, chain, i) == _products_within(nodes, chain, state)]
        if k == len(by_step) - 1 and not deep:
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


def _products_within(nodes: Sequence[Node], chain: Chain, i: int) -> int:
    """Count the products of its step of which a value is made."""
    step = chain.steps[i]
    behind = reached(nodes, [i], lambda j: chain.steps.get(j) != step)
    return sum(nodes[j].op in PRODUCTS and chain.steps.get(j) == step for j in behind)


def _made_of(nodes: Sequence[Node], chain: Chain, by_step: list[list[int]], shown: int, state: int) -> int | None:
    """Find, in the last step, what a state is made of that nobody reads there, as a cell that a mask keeps after it."""
    model, here = set(by_step[shown]), by_step[-1]
    behind = reached(nodes, [state], lambda i: i not in model or nodes[i].op in PRODUCTS)
    for one in sorted(behind & model - {state}, reverse=True):
        like = _kind_of(nodes, one, chain)
        alike = [i for i in here if nodes[i].op is like[0] and _kind_of(nodes, i, chain) == like]
        if alike and chain.shape(nodes[one]) == chain.shape(nodes[state]):
            place = by_step[shown].index(one)
            return min(alike, key=lambda i: abs(here.index(i) - place))
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
        elif nodes[twin].op is not nodes[at].op or len(nodes[twin].inputs) != len(nodes[at].inputs):
            continue
        below = [pair for pair in pairs if pair not in seen and (pair[0] in steps or pair[0] == ids[0])]
        seen.update(below)
        waiting += below
    return None
