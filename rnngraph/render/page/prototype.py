"""Small drawings that hold every kind of column, and every two neighbours, that a long picture consists of.

In comes a trace, out go the groups of its timesteps that look alike, and sheets of a few columns. The page repeats
these in any number, so that it needs neither a layout of its own nor the positions of a thousand steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnngraph.graph.build.fold import initial_sides, loop_columns, with_initial
from rnngraph.graph.build.graph import build_columns
from rnngraph.graph.build.loss_circles import loss_steps
from rnngraph.graph.compose import compose
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.sheet import Sheet
from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Integers
from rnngraph.trace.model import Trace

_Hashes = NDArray[np.uint64]
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Groups:
    """Which timesteps look alike. `order[starts[t] + k]` is the id of the k-th node of step t."""

    of: Integers  # (T,) group of every timestep
    first: Integers  # (groups,) a timestep of every group
    order: Integers
    starts: Integers  # (T + 1,)

    def nodes(self, steps: Integers, rank: int) -> Integers:
        """Return the ids of the `rank`-th node of several timesteps."""
        return self.order[self.starts[steps] + rank]

    def rank(self, step: int, node: int) -> int:
        """Return which node of its timestep a node is, -1 where it belongs to none or another."""
        found = np.flatnonzero(self.order[self.starts[step] : self.starts[step + 1]] == node)
        return int(found[0]) if len(found) else -1


def find_groups(trace: Trace) -> Groups:
    """Return the groups of all timesteps, numbered in the order of time."""
    graph, steps = trace.graph, trace.timesteps
    order = np.argsort(graph.timestep, kind="stable")
    starts = np.searchsorted(graph.timestep[order], np.arange(steps + 1))
    code = loss_steps(trace).astype(np.uint64)
    if len(order):
        inside = order[starts[0] : starts[-1]]
        step = graph.timestep[inside]
        position = (np.arange(len(inside)) + starts[0] - starts[step]).astype(np.uint64)
        np.add.at(code, step, _mixed(_nodes(graph)[inside] + position * np.uint64(0x9E3779B1)))
    for state in trace.states:
        code = _mixed(code) + (state.nodes >= 0).astype(np.uint64)
    for recurrence in trace.recurrences:  # before its end, at it, where a reverse one starts, and beyond
        code = _mixed(code) + (1 + np.sign(np.arange(steps) - recurrence.timesteps)).astype(np.uint64)
    _, first, of = np.unique(code, return_index=True, return_inverse=True)
    by_time = np.argsort(first, kind="stable")
    number = np.empty_like(by_time)
    number[by_time] = np.arange(len(by_time))
    return Groups(number[of].astype(np.int64), first[by_time], order, starts)


def _nodes(graph: GraphTrace) -> _Hashes:
    """Hash every node by its op, scope and shape, and by those of its inputs and how far away in time they are."""
    own = _mixed((graph.op * 65_537 + graph.scope * 257 + graph.shape).astype(np.uint64))
    counts = np.diff(graph.offsets)
    owner = np.repeat(np.arange(len(own)), counts)
    outside = graph.timestep[graph.inputs] < 0
    away = np.where(outside, 7, graph.timestep[graph.inputs] - graph.timestep[owner] + 1_000_003)
    rank = np.arange(len(owner)) - np.repeat(graph.offsets[:-1], counts)
    inputs = _mixed(own[graph.inputs] + (away * 31 + rank * 1_000_000_007).astype(np.uint64))
    total = own.copy()
    np.add.at(total, owner, inputs)
    return total


def _mixed(values: _Hashes) -> _Hashes:
    mixed = (values ^ (values >> np.uint64(29))) * _PRIME
    return mixed ^ (mixed >> np.uint64(32))


WIDTH = 112.0  # of a step; there is room for the mark of any step


@dataclass(frozen=True, slots=True)
class Prototype:
    """A graph, its sheet, and the name of the kind of each of its columns.

    Kinds are "L" and "R" (initial states on either side), "F" (a fold), "O" (a loop) and the number of a group.
    """

    graph: Graph
    sheet: Sheet
    kinds: tuple[str, ...]


def rolled(trace: Trace, detail: str) -> list[Prototype]:
    """Draw the one loop."""
    left, right = initial_sides(trace, rolled=True)
    columns = loop_columns(trace, ((0, trace.timesteps),))
    return [_draw(trace, detail, columns, ("L",) * left + ("O",) + ("R",) * right)]


def unrolled(trace: Trace, detail: str, groups: Groups) -> list[Prototype]:
    """Draw every group of steps beside a fold, and beside every group that is ever its neighbour."""
    fold = Column("fold", ((0, trace.timesteps),))
    neighbours = np.unique(np.stack([groups.of[:-1], groups.of[1:]]), axis=1, return_index=True)[1]
    # Every step but the first is the second of two, and every one but the last the first: each stands beside a fold.
    columns = [_step(trace, 0)]
    for step in neighbours:
        columns += [fold, _step(trace, int(step)), _step(trace, int(step) + 1)]
    columns += [fold, _step(trace, trace.timesteps - 1)]
    steps = [_step(trace, int(step)) for step in groups.first]  # without which a fold would be less tall
    pictures = with_initial(trace, columns), with_initial(trace, [fold, *steps, fold])
    return [_draw(trace, detail, found, tuple(_kinds(found, groups))) for found in pictures]


def _kinds(columns: tuple[Column, ...], groups: Groups) -> Iterator[str]:
    for number, column in enumerate(columns):
        if column.kind == "initial":
            yield "R" if number else "L"
        else:
            yield "F" if column.kind == "fold" else str(groups.of[column.first])


def _step(trace: Trace, step: int) -> Column:
    return Column("step", ((step, step + 1),), trace.labels[step], trace.batch)


def _draw(trace: Trace, detail: str, columns: tuple[Column, ...], kinds: tuple[str, ...]) -> Prototype:
    # The page itself draws what differs from step to step: cuts, marks of saturation, the first non-finite node.
    plain = replace(
        trace,
        states=tuple(replace(state, cut=np.zeros_like(state.cut)) for state in trace.states),
        graph=replace(trace.graph, first_nonfinite_forward=-1, first_nonfinite_backward=-1),
    )
    typical = min((one.timesteps for one in trace.recurrences), default=trace.timesteps) // 2
    graph = build_columns(plain, columns, detail=detail, typical=typical)
    return Prototype(graph, compose(graph, least=WIDTH), kinds)
