"""The walk of the whole loss over a tape: windows are lent, and the norm at every node is noted.

In: a tape, and the cotangents of its loss by node id. Out: windows, and what reached parameters and inputs.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

import numpy as np

from rnngraph.autodiff.backward import Step, sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import Inner
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import PARAMETER, Node
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.recording import Take
from rnngraph.norms import norm, row_norms, step_norms
from rnngraph.sources.tape.windows import NodeWindows, block_values, block_window
from rnngraph.trace.magnitudes import Magnitudes


class WholeLoss:
    """What a walk of the whole loss found: norms by node id, and what reached parameters, inputs and first states."""

    def __init__(
        self, tape: Tape, starts: Mapping[int, Array], numbers: Mapping[int, int], given: Container[int]
    ) -> None:
        """Start with nothing; `numbers` are those of the recurrences by the entry ids of their blocks.

        `given` are the ids of the inputs over time.
        """
        self.tape, self.starts, self.numbers, self.given = tape, starts, numbers, given
        self.norms = np.zeros(tape.size)
        self.initial: dict[int, float] = {}
        self.parameters: dict[int, Step] = {}
        self.inputs: dict[int, Magnitudes] = {}

    def walk(self, take: Take) -> None:
        """Walk the whole loss back once and lend every window."""
        tape = self.tape
        walked = bool(self.starts)
        nodes = [
            NodeWindows(tape, number, take, walked=walked)
            for number, one in enumerate(tape.recurrences)
            if one.block is None
        ]
        owners = {node_id: own for own in nodes for node_id in own.times}
        starting = {node_id for one in tape.recurrences for node_id in one.initial.values()}
        reached: set[int] = set()

        def lend(inner: Inner) -> None:
            block = inner.block
            self.norms[block.first] = math.hypot(self.norms[block.first], norm(inner.projected))
            ordered = {kind: block.order(total) for kind, total in inner.total.items()}
            to_gates = block.cell.to_gates(inner.past, ordered)
            if to_gates:
                together = block.order(np.hypot.reduce(step_norms(to_gates)))
                for part in (one for one in block.cell.facts.parts if one.role == "gate"):
                    block.order(self.norms[block.places_of(part.key)])[inner.steps] = together
            take(block_window(self.numbers[block.id], inner))

        for step in sweep(tape, self.starts, lend=lend):
            entry = step.node
            if entry.id in owners:
                owners[entry.id].see(step)
            elif isinstance(entry, Block):
                reached.add(entry.id)
            else:
                self._see(entry, step, starting)
        for own in nodes:
            own.finish()
        for entry_id, number in self.numbers.items():
            block = tape.recurrences[number].block
            if block is not None and entry_id not in reached:
                block_values(number, block, take, walked=walked)

    def _see(self, node: Node, step: Step, starting: set[int]) -> None:
        if node.op is PARAMETER:
            self.parameters[node.id] = step
            self.norms[node.id] = norm(step.gradient)
        elif node.id in self.given:
            by_step = step.gradient.swapaxes(0, 1)
            norms = row_norms(by_step.reshape(len(by_step), -1))
            self.inputs[node.id], self.norms[node.id] = Magnitudes.of(norms), norm(norms)
        else:
            self.norms[node.id] = size = norm(step.gradient)
            if node.id in starting:
                self.initial[node.id] = size
