"""What the nodes of one step have in common with those of the others: what is called alike is alike.

In: the replay of what is checked. Out: the ways between two values, the activations, what is carried from step to step,
and words such as "sigmoid of Wz".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, PARAMETER, Node
from rnngraph.autodiff.ops import ADD, INDEX, RELU, SIGMOID, STACK, SUBTRACT, TANH, sigmoid
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.gradcheck.mistakes import GATES, gate
from rnngraph.gradcheck.replayed import Edge, Replay
from rnngraph.numpy.finding.products import JOINING, PRODUCTS, VIEWING

WORDS = {"h": "the hidden state", "c": "the cell state"}
CARRIED = "what is carried from step t+1 to t"
SUMS = VIEWING | JOINING | PRODUCTS | {ADD, SUBTRACT}  # what lies between an activation and its weights
LONGEST = 5  # nodes that make a sigmoid
START = -1  # the step of what stands before the first


class Use(NamedTuple):
    """A node, the position of one of its inputs, and that input."""

    node: Node
    place: int
    source: int

    @property
    def edge(self) -> Edge:
        """The edge from the node to the input."""
        return self.node.id, self.place


class Way(NamedTuple):
    """The uses that are alike in all steps, whether some value has others, and words for what comes back on them."""

    uses: list[Use]
    forks: bool
    said: dict[str, str]


class Carry(NamedTuple):
    """A use by which a state of a step is carried on."""

    use: Use
    along: str
    kind: str
    step: int


class Roles:
    """The nodes of a replay by what they do."""

    def __init__(self, replay: Replay) -> None:
        """Note who reads what, the states and the activations."""
        self.nodes, self.tape, self.entry = replay.nodes, replay.tape, replay.tape.entry
        self.readers = defaultdict[int, list[Use]](list)
        for use in (use for node in self.nodes for use in self.uses(node)):
            self.readers[use.source].append(use)
        self.states, self.series = dict[int, str](), dict[int, tuple[list[int], int]]()  # ids in order, and a place
        for one in replay.tape.recurrences:
            for kind, ids in one.states.items():
                ordered = [one.initial.get(kind, -1), *(ids[::-1] if one.reverse else ids)]
                self.series |= {i: (ordered, k) for k, i in enumerate(ordered)}
                along = f" along {one.name}" * (len(replay.tape.recurrences) > 1)
                self.states |= dict.fromkeys(ordered, WORDS.get(kind, kind) + along)
        found = [pair for node in self.nodes if (pair := self._activation(node))]
        self.activations = {chain[-1].id: (kind, chain) for kind, chain in found}
        self.above = {chain[0].inputs[self.source(chain[0])]: chain for _, chain in found}  # by their arguments
        self.carried = [carry for one in replay.tape.recurrences for carry in self._carried(one)]
        self.words = dict[int, str]()

    def _carried(self, one: Recurrence) -> Iterator[Carry]:
        """Give the edges from a state to what leads to later steps alone."""
        order, ahead = -1 if one.reverse else 1, dict[int, int]()  # the first step that something leads to, in order
        steps = {node: (kind, step) for kind, ids in one.states.items() for step, node in enumerate(ids)}
        for node in reversed(self.nodes):
            first = order * steps[node.id][1] if node.id in steps else ahead.get(node.id)
            if first is not None:
                ahead |= {node.id: first} | {i: min(first, ahead.get(i, first)) for i in node.inputs}
        steps |= {node: (kind, START) for kind, node in one.initial.items()}
        for i, (kind, step) in steps.items():
            for use in self.readers[i]:
                if use.node.id in ahead and (step == START or ahead[use.node.id] > order * step):
                    yield Carry(use, one.name, kind, step)

    def uses(self, node: Node) -> list[Use]:
        """Give what a node reads."""
        return [Use(node, k, i) for k, i in enumerate(node.inputs)]

    def shifted(self, i: int, steps: int) -> int:
        """Give the state some steps later; that before the first step, -1 for zeros, where there is no such."""
        ids, place = self.series.get(i, ([-1], 0))
        return ids[place + steps if 0 <= place + steps < len(ids) else 0]

    def value(self, i: int, like: Array) -> Array:
        """Give a value, or zeros where there is none."""
        return np.zeros_like(like) if i < 0 else self.entry(i).value

    @cached_property
    def ways(self) -> list[Way]:
        """The ways back to values that have a gradient."""
        found, edges = defaultdict[str, list[Use]](list), {one.use.edge for one in self.carried}
        for source, uses in [*self.readers.items()]:
            for use in uses if self.entry(source).requires else ():
                if use.node.op not in (STACK, ASSEMBLE):
                    found[self.back(use)].append(use)
        ways = []
        for back, some in found.items():
            use = some[-1]
            forks = any(len({self.back(one) for one in self.readers[use.source]}) > 1 for use in some)
            if any(use.edge in edges for use in some):
                back = f"{CARRIED} through {self.met(use)}"
            name, chain = self.said(use.source), self.leads_to(use.node)
            others = [i for k, i in enumerate(use.node.inputs) if k != use.place and not self.is_leaf(i)]
            said = {
                "back": back, "name": name, "it": "it" if self.is_leaf(use.source) else back,
                "slope": f"the slope of {self.made(chain[-1])}" if chain else "",
                "formed": f"what comes back to {self.said(others[0])}" if others else "it",
            }  # fmt: skip
            ways.append(Way(some, forks, said))
        return ways

    def back(self, use: Use) -> str:
        """Name what comes back to a value from one that reads it."""
        return f"what comes back to {self.said(use.source)} through {self.met(use)}"

    def source(self, node: Node) -> int:
        """Give the position of the one input of an op on single elements that is differentiated, or else -1."""
        wanted = [k for k, i in enumerate(node.inputs) if self.entry(i).requires]
        alone = len(wanted) == 1 and node.op.stepwise == "all" and node.arguments[wanted[0]].shape == node.value.shape
        return wanted[0] if alone else -1

    def _activation(self, node: Node) -> tuple[str, list[Node]] | None:
        """Give the nodes that make a tanh, a ReLU or a sigmoid, or 1 / (1 + e^-x), from the argument on; else none."""
        chain: list[Any] = [node]
        while node.op not in (TANH, SIGMOID, RELU) and len(chain) <= LONGEST:
            k = self.source(chain[0])
            if k < 0:
                return None
            x = chain[0].arguments[k]
            if len(chain) == 1 and (x < 0).any() and np.array_equal(node.value, np.maximum(x, 0)):
                return "relu", chain
            if len(chain) > 2 and np.allclose(node.value, sigmoid(x), 1e-12, 0):
                return "sigmoid", chain
            if len(self.readers[chain[0].inputs[k]]) > 1:
                return None
            chain.insert(0, self.entry(chain[0].inputs[k]))
        return (node.op.name, chain) if len(chain) == 1 else None

    def slope(self, chain: Sequence[Node]) -> Array:
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

    def _viewed(self, i: int) -> Any:
        entry = self.entry(i)
        while entry.op in VIEWING and entry.id not in self.states:
            entry = self.entry(entry.inputs[0])
        return entry

    def is_leaf(self, i: int) -> bool:
        """Tell a leaf that has a name and is no state, or a view of one."""
        entry = self._viewed(i)
        return bool(entry.name) and entry.id not in self.states

    def said(self, i: int) -> str:
        """Name a value: a leaf, a state, a number, or an op by the weights behind it."""
        if i not in self.words:
            entry = self._viewed(i)
            if entry.id in self.states or entry.name:
                self.words[i] = self.states.get(entry.id) or str(entry.name).removeprefix("given.")
            elif entry.op is CONSTANT:
                self.words[i] = "a constant" if entry.value.shape else f"{float(entry.value):g}"
            else:
                self.words[i] = self.made(entry)
        return self.words[i]

    def made(self, entry: Node) -> str:
        """Name an op by the weights behind it, or the states."""
        if entry.op is SUBTRACT and self.entry(entry.inputs[0]).op is CONSTANT:
            return f"{self.said(entry.inputs[0])} - {self.said(entry.inputs[1])}"
        kind, chain = self.activations.get(entry.id, (entry.op.name, [entry]))
        weights, states, gates, waiting = set[str](), set[str](), set[str](), [*chain[0].inputs]
        for j in waiting:
            node: Any = self.entry(j)
            if j in self.states:
                states.add(self.states[j])
            elif node.op is PARAMETER:
                weights.add(self.said(j))
            elif node.op in SUMS:
                waiting += [k for k in node.inputs if k not in waiting]
                gates |= {gate_of(node)} - {""} if node.op is INDEX else set()
        behind = ", ".join(sorted(weights or states))
        return kind + (f" of {behind}{gates.pop() if len(gates) == 1 else ''}" if behind else "")

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
