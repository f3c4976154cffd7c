"""The states of a chain: values of one step that are read at a later one, on the way to a later product.

In: a chain. Out: a `Found`: node ids by timestep for every kind of state, their axes, and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import TypeAlias

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.node import Node, Op
from rnngraph.numpy.finding.chains import Chain
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.products import GIVEN, PRODUCTS, VIEWING, reached
from rnngraph.numpy.finding.read_later import Read, read_later

Kind: TypeAlias = tuple[Op, tuple[int, ...], tuple[Op, ...]]


def find_states(nodes: Sequence[Node], chain: Chain) -> Found | None:
    """Find what is carried; None where nothing is carried from step to step."""
    steps = _Steps(nodes, chain)
    if not steps.carried:
        return None
    model, main, followed = steps.all_followed()
    found = Found(chain, {}, {}, {})
    if followed and all(len(ids) < steps.time for ids in followed.values()):  # the last step makes no state
        chain.clock.pop()
        chain.steps = {i: k for i, k in chain.steps.items() if k < steps.time - 1}
    made = {state: steps.made_of(state) for state, ids in followed.items() if len(ids) == steps.time - 1}
    followed = {s: ids for s, ids in followed.items() if len(ids) == len(chain.clock) or made.get(s) is not None}
    first = sum(state in followed for state in main) or 1  # of those that are not multiplied by the weights
    for place, (state, ids) in enumerate(followed.items()):
        kind = _kind(place, first)
        found.states[kind] = ids
        axes = [one.units for one in model[state] if one.clocked and one.units is not None]
        found.units[kind] = axes[0] if axes else None
        steps.see_through(found, kind)
        last = made.get(state)
        if len(ids) < len(chain.clock) and last is not None:
            found.unread[kind] = last
    found.initial = find_starts(nodes, found)
    return found if "h" in found.states else None


class _Steps:
    """The nodes of a chain by step, and what is read later of each; one step shows the states of all."""

    def __init__(self, nodes: Sequence[Node], chain: Chain) -> None:
        self.nodes, self.chain, self.time = nodes, chain, len(chain.clock)
        self.carried = read_later(nodes, chain)
        self.by_step: list[list[int]] = [[] for _ in range(self.time)]
        for i in sorted(chain.steps):
            self.by_step[chain.steps[i]].append(i)
        # A state that is masked behind the output leads once less to a product.
        self.shown = max(self.time - 3, min(self.time - 2, 1))

    def all_followed(self) -> tuple[dict[int, list[Read]], list[int], dict[int, list[int]]]:
        """Follow what the step that shows them carries on: the states there, the main ones, and each by step."""
        while True:
            model, main = self._model()
            followed = dict[int, list[int]]()
            for state in [*main, *(one for one in model if one not in main)]:
                taken = set[int]().union(*followed.values())  # a node is one state
                ids = None if state in taken else self._followed(state, taken)
                if ids is not None:
                    followed[state] = ids
            ended = [ids for ids in followed.values() if len(ids) < self.time]
            if not any(self._taken_back(ids) for ids in ended):
                return model, main, followed

    def _taken_back(self, ids: list[int]) -> bool:
        """Take for the state what it was made of alone, where no next step makes anything of the last: as a decay.

        What is made of it then belongs to the step that reads it.
        """
        some = [self._made_of_one(i) for i in ids]
        for k, (i, one) in enumerate(zip(ids, some, strict=True) if None not in some else ()):
            source, passed = one or (i, [])
            reads = [replace(read, via=[*read.via, *passed]) for read in self.carried[k].pop(i, ())]
            self.carried[k].setdefault(source, []).extend(reads)
            self.chain.steps |= dict.fromkeys(passed, k + 1)
        if None in some:
            return False
        steps = self.chain.steps
        for i in sorted(steps):  # and all that is made of it
            steps[i] = max([steps[i], *(steps[j] for j in self.nodes[i].inputs if j in steps)])
        for k, reads_of in self.carried.items():
            self.carried[k] = {i: reads for i, reads in reads_of.items() if steps[i] == k}
        return True

    def _made_of_one(self, i: int) -> tuple[int, list[int]] | None:
        """Find the nearest value of the same step and shape of which alone a value is made, and what lies between."""
        nodes, steps = self.nodes, self.chain.steps
        passed, behind = list[int](), {i}
        while not passed or len(behind) > 1 or nodes[min(behind)].value.shape != nodes[i].value.shape:
            at = max(behind)
            below = {j for j in nodes[at].inputs if j in steps}
            if nodes[at].op in PRODUCTS or not below or any(steps[j] != steps[i] for j in below):
                return None
            passed.append(at)
            behind = (behind - {at}) | below
        return behind.pop(), passed

    def _model(self) -> tuple[dict[int, list[Read]], list[int]]:
        """Give the states of the step that shows them with their readers, and those that the weights multiply."""
        found = self.carried.get(self.shown, {})
        found = {i: reads for i, reads in found.items() if not self._follows(i, set(found) - {i})}
        main = [i for i, reads in found.items() if any(one.clocked for one in reads)]
        weighed = self.chain.weighed
        main += [i for i, reads in found.items() if i not in main and any(one.consumer in weighed for one in reads)]
        return found, main

    def _follows(self, state: int, others: set[int]) -> bool:
        """Tell whether a value follows from other states of its step, as a part of one."""
        steps = self.chain.steps
        behind = reached(self.nodes, [state], lambda i: i in others or steps.get(i, -1) != steps[state]) - others
        return all(steps.get(i, steps[state]) == steps[state] for i in behind)

    def _followed(self, state: int, taken: set[int]) -> list[int] | None:
        """Find the node of the same state in every step, of those that are no other state."""
        nodes, chain, model = self.nodes, self.chain, self.by_step[self.shown]
        rank, from_end = model.index(state), len(model) - model.index(state)
        op, shape, operands = wanted = self._kind_of(state)
        clocked = any(read.clocked for read in self.carried[self.shown][state])
        found: list[int] = []
        for k, here in enumerate(self.by_step):
            reads = self.carried.get(k, {})
            carried = [i for i in reads if i not in taken]
            some = [i for i in carried if clocked and any(read.clocked for read in reads[i])]
            some = [i for i in some if chain.shape(nodes[i]) == shape]
            some = some or [i for i in carried if self._kind_of(i) == wanted]
            if not some:
                same = [i for i in here if i not in taken and nodes[i].op is op and chain.shape(nodes[i]) == shape]
                known = [i for i in carried if i in same]
                alike = [i for i in same if op is ASSEMBLE or len(nodes[i].inputs) == len(operands)]
                some = [i for i in alike if i in known or self._kind_of(i) == wanted]
                if k == self.time - 1:  # the last one may lead nowhere: what is like it may be another layer's
                    some = [i for i in some if self._products_within(i) == self._products_within(state)]
                    if not some:
                        return found
                some = some or known or alike
            if not some:
                return None
            if len(some) > 1:
                places = {i: here.index(i) for i in some}
                some = [min(some, key=lambda i: min(abs(places[i] - rank), abs(len(here) - places[i] - from_end)))]
            found.append(some[0])
        return found

    def _products_within(self, i: int) -> int:
        """Count the products of its step of which a value is made."""
        steps = self.chain.steps
        behind = reached(self.nodes, [i], lambda j: steps.get(j) != steps[i])
        return sum(self.nodes[j].op in PRODUCTS and steps.get(j) == steps[i] for j in behind)

    def made_of(self, state: int) -> int | None:
        """Find, in the last step, what a state is made of that nobody reads there, as a cell before its mask."""
        nodes, model, here = self.nodes, self.by_step[self.shown], self.by_step[-1]
        behind = reached(nodes, [state], lambda i: i not in model or nodes[i].op in PRODUCTS)
        for one in sorted(behind & {*model} - {state}, reverse=True):
            like = self._kind_of(one)
            alike = [i for i in here if nodes[i].op is like[0] and self._kind_of(i) == like]
            if alike and self.chain.shape(nodes[one]) == self.chain.shape(nodes[state]):
                place = model.index(one)
                return min(alike, key=lambda i: abs(here.index(i) - place))
        return None

    def see_through(self, found: Found, kind: str) -> None:
        """Put the views through which a state is read at the steps that read it."""
        for k, i in enumerate(found.states[kind][:-1]):
            for read in self.carried.get(k, {}).get(i, ()):
                for view in read.via if read.step < len(self.chain.clock) else ():
                    self.chain.steps[view] = max(self.chain.steps.get(view, 0), read.step)
                if kind == "h" and read.clocked:
                    found.seen_through[i] = read.via[::-1]

    def _kind_of(self, i: int) -> Kind:
        """Say what two nodes of the same place in two steps have in common; of an array, steps may put other parts."""
        node = self.nodes[i]
        below = tuple([self.nodes[j].op for j in node.inputs if node.op is not ASSEMBLE])
        return node.op, self.chain.shape(node), below


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


def _kind(place: int, main: int) -> str:
    """Name a state: `h` is multiplied by the weights, `c` is the first that is not."""
    if place == 0:
        return "h"
    return "c" if place == main else f"s{place}"


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
