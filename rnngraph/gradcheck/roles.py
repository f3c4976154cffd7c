"""What the nodes of one step have in common with those of the others, and what they are called.

In: the tape of a replay. Out: a role a node, the readers of a value, and words such as "sigmoid of Wz".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, PARAMETER, Node
from rnngraph.autodiff.ops import ADD, INDEX, RELU, SIGMOID, SUBTRACT, TANH, sigmoid
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.gradcheck.mistakes import GATES, gate
from rnngraph.gradcheck.walk import Edge
from rnngraph.numpy.finding.products import JOINING, PRODUCTS, VIEWING, frozen

WORDS = {"h": "the hidden state", "c": "the cell state"}
SUMS = VIEWING | JOINING | PRODUCTS | {ADD}  # what lies between an activation and its weights
LONGEST = 5  # nodes that make a sigmoid
START = -1  # the step of what stands before the first


class Use(NamedTuple):
    """An edge of a node, and the value that is used there."""

    node: Node
    place: int
    source: int

    @property
    def edge(self) -> Edge:
        """Give the edge."""
        return self.node.id, self.place


class Carry(NamedTuple):
    """An edge on which a state of a step is carried on, in a direction, and the states that such edges lead to."""

    edge: Edge
    along: str
    kind: str
    step: int


class Roles:
    """The roles of nodes, by id: what is computed alike from states, leaves and constants is one role."""

    def __init__(self, tape: Tape, entries: Sequence[Entry]) -> None:
        """Number what is computed, and note who reads what."""
        self.entry, self.states, self.recurrences = tape.entry, dict[int, str](), tape.recurrences
        self.nodes = [entry for entry in entries if isinstance(entry, Node)]
        self.blocks = [entry for entry in entries if isinstance(entry, Block)]
        self.readers, self.last = defaultdict[int, list[Use]](list), dict[int, int]()
        pairs, known = list[tuple[int, int]](), dict[int, Any]()
        for one in self.recurrences:
            for kind, ids in one.states.items():
                ordered = [one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)]
                self.states |= dict.fromkeys(ordered, WORDS.get(kind, kind))
                self.last |= dict.fromkeys(ordered, ordered[-1])
                known |= dict.fromkeys(ordered, (one.name, kind))
                pairs += pairwise(ordered)
        self.after, self.before = dict(pairs), {after: state for state, after in pairs}
        self.roles, numbers, written = dict[int, int](), dict[Any, int](), Counter[Any]()
        for node in self.nodes:
            for k, source in enumerate(node.inputs):
                self.readers[source].append(Use(node, k, source))
            same = node.op, *node.inputs, *map(frozen, node.options.values())  # what is written twice has two roles
            read = [known.get(i) or self.roles.get(i, i) for i in node.inputs]
            parts = [frozen(one) for one in node.options.get("index", ()) if isinstance(one, slice)]  # gates, not steps
            number = node.value.shape or node.value.item()  # an array may differ from step to step, as a mask does
            made: Any = (node.op, *read, *parts, 0 if node.op in VIEWING else written[same])
            alone = ("constant", number) if node.op is CONSTANT else node.id
            self.roles[node.id] = numbers.setdefault(made if read else alone, len(numbers))
            written[same] += 1
        chains = [chain for node in self.nodes if (chain := self._activation(node))]
        self.activations = {chain[-1].id: chain for chain in chains}
        self.above = {chain[0].inputs[self.source(chain[0])]: chain for chain in chains}  # by their arguments
        self.ahead, self.carried = dict[int, int](), list[Carry]()
        self._carry()

    def _carry(self) -> None:
        """Find all edges that lead from a state to a later step, and the first step that something leads to."""
        for block in self.blocks:
            self.carried += [Carry((block.id, step + 1), "", "", step) for step in range(block.steps - 1)]
        for one in self.recurrences if not self.blocks else ():
            steps_of = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
            order, ahead = -1 if one.reverse else 1, dict[int, int]()
            for node in reversed(self.nodes):
                own = order * steps_of[node.id][1] if node.id in steps_of else ahead.get(node.id)
                if own is not None:
                    ahead |= {node.id: own} | {i: min(own, ahead.get(i, own)) for i in node.inputs}
            steps_of |= {node: (kind, START) for kind, node in one.initial.items()}
            for use in (use for node in self.nodes for use in self.uses(node)):
                (kind, step), first = steps_of.get(use.source, ("", 0)), ahead.get(use.node.id)
                if kind and first is not None and (step == START or first > order * step):
                    self.carried.append(Carry(use.edge, one.name, kind, step))
            self.ahead |= ahead

    def uses(self, node: Node) -> list[Use]:
        """Give what a node reads."""
        return [Use(node, k, i) for k, i in enumerate(node.inputs)]

    def way(self, use: Use) -> Any:
        """Give what an edge has in common with those of other steps."""
        return self.roles[use.node.id], use.place

    def value_of(self, i: int, like: Array) -> Array:
        """Give the value of a node, or the zeros before the first step."""
        return self.entry(i).value if i >= 0 else np.zeros_like(like)

    def source(self, node: Node) -> int:
        """Give the position of the one input of an op on single elements that is differentiated, or else -1."""
        wanted = [k for k, i in enumerate(node.inputs) if self.entry(i).requires]
        alone = len(wanted) == 1 and node.op.stepwise == "all" and node.arguments[wanted[0]].shape == node.value.shape
        return wanted[0] if alone else -1

    def _activation(self, node: Node) -> list[Node]:
        """Give the nodes that make a tanh, a ReLU or a sigmoid, or 1 / (1 + e^-x), from the argument on; else none."""
        chain: list[Any] = [node]
        while node.op not in (TANH, SIGMOID, RELU) and len(chain) <= LONGEST:
            k = self.source(chain[0])
            if k < 0:
                return []
            x = chain[0].arguments[k]
            is_relu = len(chain) == 1 and (x < 0).any() and np.array_equal(node.value, np.maximum(x, 0))
            if is_relu or (len(chain) > 2 and np.allclose(node.value, sigmoid(x), 1e-12, 0)):
                return chain
            if len(self.readers[chain[0].inputs[k]]) > 1:
                return []
            chain.insert(0, self.entry(chain[0].inputs[k]))
        return chain if len(chain) == 1 else []

    def kind(self, entry: Entry) -> str:
        """Name an activation by what it computes, and another op by its own name."""
        chain = self.activations.get(entry.id, [])
        unnamed = "sigmoid" if len(chain) > 1 else "relu" if chain else entry.op.name
        return entry.op.name if entry.op in (TANH, SIGMOID, RELU) else unnamed

    def slope(self, chain: list[Node]) -> Array:
        """Give the slope of an activation."""
        found: Any = np.ones_like(chain[-1].value)
        for node in reversed(chain):
            rule: Any = node.op.vjp
            found = rule(found, node)[self.source(node)]
        return np.asarray(found)

    def leads_to(self, node: Node) -> list[Node]:
        """Give the activation of what a node is, or is added to; else nothing."""
        while node.id not in self.above and len(self.readers[node.id]) == 1 and self.readers[node.id][0].node.op is ADD:
            node = self.readers[node.id][0].node
        return self.above.get(node.id, [])

    def viewed(self, i: int) -> Entry:
        """Give what a node is a view of, or itself."""
        entry = self.entry(i)
        while entry.op in VIEWING and entry.id not in self.states:
            entry = self.entry(entry.inputs[0])
        return entry

    def is_leaf(self, i: int) -> bool:
        """Tell a leaf that has a name, or a view of one."""
        return bool(self.viewed(i).name)

    def said(self, i: int) -> str:
        """Name a value: a leaf, a state, or an op by the weights behind it."""
        entry = self.viewed(i)
        if entry.name or entry.id in self.states:
            return str(entry.name).removeprefix("given.") if entry.name else self.states[entry.id]
        if entry.op is CONSTANT:
            return "a constant" if entry.value.shape else f"{float(entry.value):g}"
        return self.made(entry)

    def made(self, entry: Entry) -> str:
        """Name an op by the weights behind it, or the states."""
        if entry.op is SUBTRACT and self.entry(entry.inputs[0]).op is CONSTANT:
            return f"{self.said(entry.inputs[0])} - {self.said(entry.inputs[1])}"
        chain = self.activations.get(entry.id, [entry])
        found, gates, waiting = set[str](), set[str](), [*chain[0].inputs]
        for j in waiting:
            node: Any = self.entry(j)
            if node.op is PARAMETER or j in self.states:
                found.add(self.said(j))
            elif node.op in SUMS:
                waiting += [k for k in node.inputs if k not in waiting]
                gates |= {gate_of(node)} - {""} if node.op is INDEX else set()
        weights = sorted(found - set(self.states.values())) or sorted(found)
        behind = f" of {', '.join(weights)}{gates.pop() if len(gates) == 1 else ''}" if weights else ""
        return f"{self.kind(entry)}{behind}"

    def met(self, use: Use, *, further: bool = True) -> str:
        """Say what a value meets where it is read, and next: a weight by its name, or what else."""
        while use.node.op in VIEWING and use.node.id not in self.states and len(self.readers[use.node.id]) == 1:
            use = self.readers[use.node.id][0]
        others, on = [i for k, i in enumerate(use.node.inputs) if k != use.place], self.readers[use.node.id]
        if others and self.is_leaf(others[0]):
            return self.said(others[0])
        here = f"'{use.node.op.name}'" + (f" with {self.said(others[0])}" if others else "")
        more = further and self.source(use.node) == use.place and len(on) == 1 and on[0].node.op is not ADD
        return f"{here} and {self.met(on[0], further=False)}" if more and use.node.id not in self.states else here


def gate_of(node: Node) -> str:
    """Name the block of gates that an index picks along the last or the first axis, of which there are some."""
    for axis, (size, whole) in enumerate(zip(node.value.shape, node.arguments[0].shape, strict=False)):
        part = node.options["index"][axis] if axis < len(node.options["index"]) else None
        if isinstance(part, slice) and size and whole // size in GATES and whole % size == 0:
            return f", gate block {gate(part.indices(whole)[0] // size, whole // size)}"
    return ""
