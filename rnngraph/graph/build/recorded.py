"""Looking things up in the recorded graph of a trace, without walking over all of its nodes.

In comes a `GraphTrace` and the few timesteps that are shown, out go node ids. A trace from outside may have
no graph at all; then everything here is empty.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from rnngraph.trace.graph import GraphTrace
from rnngraph.trace.magnitudes import Integers


class Recorded:
    """The part of a recorded graph that the shown steps need."""

    def __init__(self, graph: GraphTrace, timesteps: Integers) -> None:
        """Select the nodes of `timesteps` (sorted) and those that belong to no timestep."""
        self.graph = graph
        self.outside: list[int] = np.flatnonzero(graph.timestep == -1).tolist()
        self.by_step: dict[int, list[int]] = {int(step): [] for step in timesteps}
        shown = np.flatnonzero(np.isin(graph.timestep, timesteps))
        for node, step in zip(shown.tolist(), graph.timestep[shown].tolist(), strict=True):
            self.by_step[step].append(node)

    @cached_property
    def dimensions(self) -> tuple[tuple[int, ...], ...]:
        """The sizes behind every entry of the table of shapes."""
        return tuple(tuple(int(size) for size in re.findall(r"\d+", text)) for text in self.graph.shapes)

    def op(self, node: int) -> str:
        """Return the name of a node's op."""
        return self.graph.ops[int(self.graph.op[node])]

    def label(self, node: int) -> str:
        """Return the label of a node's op."""
        return self.graph.labels[int(self.graph.op[node])]

    def role(self, node: int) -> str:
        """Return what a picture does with a node's op."""
        return self.graph.roles[int(self.graph.op[node])]

    def is_given(self, node: int) -> bool:
        """Whether a node is a weight or a constant, which is no box of its own."""
        return self.role(node) in {"parameter", "constant"}

    def formula(self, node: int) -> str:
        """Return the formula of a node's op, empty where it has none."""
        return self.graph.formulas[int(self.graph.op[node])]

    def name(self, node: int) -> str:
        """Return a node's own name, empty where it has none."""
        return self.graph.names.get(str(node), "")

    def scope(self, node: int) -> str:
        """Return a node's scope, without the timestep."""
        return self.graph.scopes[int(self.graph.scope[node])]

    def shape(self, node: int) -> tuple[int, ...]:
        """Return the shape of a node's value."""
        return self.dimensions[int(self.graph.shape[node])]

    def inputs(self, node: int) -> Integers:
        """Return the ids of a node's inputs."""
        return self.graph.inputs[int(self.graph.offsets[node]) : int(self.graph.offsets[node + 1])]
