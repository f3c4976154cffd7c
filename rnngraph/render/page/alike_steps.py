"""Sort the timesteps of a trace into groups whose columns look alike, so that one of each has to be laid out.

In comes a trace, out goes a group number a timestep. Steps are alike where they recorded the same operations, in the
same order and from the same scopes; usually these are the first step, the last one, and all between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngraph.graph.build.loss_circles import loss_steps
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
