"""A recurrence that was found in a run: its calls, by step the edges that its states stand at, and what a step made.

In: calls. Out: `Recurrence`s; a fused layer has its states inside, where only its `UnrolledCall` sees them. Of others,
the nodes of a step as they were made, and the weights by which it multiplies the state before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from rnngraph.sources.torch.autograd.edges import Edge, age, at_and_below, number_of, shape_of, unviewed
from rnngraph.sources.torch.capture.module_calls import FUSED, Call, Layer, TensorRef
from rnngraph.sources.torch.inputs.entrance import PRODUCTS, leaf_of

LAYER, STEPS, LOOP, RAW, MARKED, SEQUENCE = "layer", "steps", "loop", "raw", "marked", "sequence"


@dataclass(eq=False)
class Recurrence:
    """Calls of one module that are the steps of one sequence; or marks that the user set, or a loop without modules."""

    path: str
    how: str
    calls: list[Call]
    states: list[list[Edge]] = field(default_factory=list)
    linked: list[bool] = field(default_factory=list)  # by call, whether it goes on from an earlier one
    values: dict[Edge, TensorRef] = field(default_factory=dict)  # of marks
    made: dict[int, list[Any]] = field(default_factory=dict)  # the nodes of steps that were looked at
    stride: int = 1  # from a step to the one that goes on from it: more of a dilated one, -1 where time runs back
    anew: Sequence[int] = ()  # steps at which all begins anew while another recurrence goes on
    others: frozenset[Any] = frozenset()  # nodes of other raw loops' states: its own steps end there
    axis: int | None = 0  # of the samples, in states of more than two axes; None where all is one sample

    @property
    def fused(self) -> bool:
        """Whether several steps are inside one call."""
        return self.how == LAYER

    @property
    def module(self) -> Any:
        """The module that was called; None of marks."""
        return self.calls[0].module if self.calls else None

    @property
    def layers(self) -> list[Layer]:
        """What the calls of a fused layer were given and returned; none of others."""
        return [call.layer for call in self.calls if self.fused]

    @property
    def ports(self) -> list[Edge]:
        """What the calls of a fused layer handed out."""
        return [edge for call in self.calls for edge in call.ports.values()]

    @property
    def order(self) -> range:
        """Its steps as they were taken."""
        return range(self.steps) if self.stride > 0 else range(self.steps)[::-1]

    def before(self, t: int) -> int | None:
        """Give the step that a step goes on from; None where it begins."""
        return t - self.stride if 0 <= t - self.stride < self.steps else None

    def turn(self) -> None:
        """Let time run the other way."""
        self.stride = -self.stride
        self.made.clear()
        for some in (self.calls, self.states, self.linked):
            some.reverse()

    @property
    def begin(self) -> int:
        """The number of the first node that was made for it."""
        first = 0 if self.stride > 0 else -1
        return self.calls[first].begin if self.calls else number_of(self.states[first][0][0])

    @property
    def steps(self) -> int:
        """The number of its steps."""
        if self.how == SEQUENCE:
            return shape_of(self.output)[1]
        return sum(call.steps for call in self.calls) if self.fused else len(self.states)

    @property
    def input(self) -> Edge:
        """Where a sequence that is taken at once goes in."""
        return self.calls[0].taken_edges[0]

    @property
    def output(self) -> Edge:
        """Where it comes out."""
        return self.calls[0].returned[0][0]

    @property
    def starts(self) -> list[int]:
        """The timestep of the first step of every call."""
        found, t = [], 0
        for call in self.calls:
            found.append(t)
            t += call.steps if self.fused else 1
        return found

    @property
    def title(self) -> str:
        """What a person calls it: "GRUCell", "nn.LSTM", "a loop around Linear"."""
        if self.module is None:
            return "a loop without modules" if self.how == RAW else "marked by hand"
        name = type(self.module).__name__
        return f"a loop around {name}" if self.how == LOOP else f"nn.{name}" if type(self.module) in FUSED else name

    @property
    def places(self) -> range:
        """The numbers of the states of a step."""
        return range(max((len(some) for some in self.states), default=0))

    def leave_out(self, others: Sequence[Recurrence]) -> bool:
        """Leave out states that are others' already, as of two layers in one loop; say whether any are left."""
        known = {edge for one in others for some in one.states for edge in some}
        kept = [k for k in self.places if any(len(some) > k and some[k] not in known for some in self.states)]
        self.states = [[some[k] for k in kept if k < len(some)] for some in self.states]
        return bool(kept)

    def edge(self, place: int, t: int) -> Edge | None:
        """Give the edge of a state at a step; None where there is none. A sequence at once has one for all."""
        if self.how == SEQUENCE:
            return self.input
        return self.states[t][place] if place < len(self.states[t]) else None

    def value(self, edge: Edge, t: int) -> Any:
        """Give the value of a state; None where it is not known."""
        kept = self.values.get(edge) or (self.calls[t].values.get(edge) if t < len(self.calls) else None)
        return None if kept is None else kept.value

    def batch(self) -> int:
        """The number of samples, the largest of all steps."""
        if self.fused:
            return max(one.layout.batch for one in self.layers)
        if self.how == SEQUENCE:
            return shape_of(self.output)[0]
        return max((self.batch_of(edge) for some in self.states for edge in some), default=1)

    def batch_of(self, edge: Edge) -> int:
        """The number of samples at one step."""
        shape = shape_of(edge)
        axis = self.axis_of(len(shape))
        return 1 if axis is None else shape[axis]

    def axis_of(self, count: int) -> int | None:
        """Give the axis of the samples in a state of so many; None where all is one sample."""
        return None if count < 2 or self.axis is None else self.axis if count > 2 else 0


def is_cell(module: Any) -> bool:
    """Tell PyTorch's own recurrent modules."""
    return isinstance(module, nn.RNNCellBase | nn.RNNBase)


def is_builtin(module: Any) -> bool:
    """Tell a plain module of PyTorch's, such as Linear, Conv2d, Dropout or Sequential."""
    if module is None or is_cell(module):
        return False
    own = any(kind is not nn.Module and kind.__module__.startswith("torch.nn.modules") for kind in type(module).__mro__)
    inside = [name for name, _ in module.named_children() if name != "parametrizations"]
    return own and (not inside or type(module).__module__.endswith("container"))


EVERY = slice(None)


def nodes_of_step(one: Recurrence, t: int) -> list[Any]:
    """Give the nodes that a step made: in its call, or else between the state before and its own."""
    if t not in one.made:
        one.made[t] = _in_call(one, t) if one.how == STEPS else _between(one, t)
    return one.made[t]


def _in_call(one: Recurrence, t: int) -> list[Any]:
    if not one.states[t]:
        return []
    before, call = {node for node, _ in states_before(one, t)}, one.calls[t]
    nodes = {node for node, _ in (*one.states[t], *call.out) if number_of(node) >= call.begin}
    return [node for node in at_and_below(nodes, call.begin, before.__contains__) if node not in before]


def states_before(one: Recurrence, t: int) -> list[Edge]:
    """Give the states that a step goes on from; none where it begins."""
    before = one.before(t)
    return [] if before is None or not one.states else one.states[before]


def _between(one: Recurrence, t: int) -> list[Any]:
    """Take for the first step as many numbers back as the second took."""
    if not one.states or not one.states[t]:
        return []
    before, after = states_before(one, t), one.states[(t + one.stride) % one.steps]
    own, last = (max(map(age, some), default=0) for some in (one.states[t], before or after))
    least = (last if before else 2 * own - last) + 1
    nodes = at_and_below((node for node, _ in one.states[t]), least, one.others.__contains__)
    return [node for node in nodes if node not in one.others]


@dataclass(frozen=True, slots=True)
class Multiplying:
    """A weight that a state is multiplied with: whether it is turned, and which of its rows the state takes."""

    weight: Any
    turned: bool
    rows: slice

    @property
    def whole(self) -> bool:
        """Whether it multiplies nothing but the state."""
        return self.rows == EVERY


def multiplying_states(one: Recurrence) -> list[Multiplying]:
    """Find the weights by which a step multiplies a state of the step before."""
    t = one.steps // 2
    states = set(states_before(one, t))
    found = []
    for node in nodes_of_step(one, t) if states else ():
        slot = PRODUCTS.get(node.name(), (None,))[0]
        taken = None if slot is None else node.next_functions[slot]
        if slot is None or taken is None or taken[0] is None:
            continue
        leaf, rows = leaf_of(node.next_functions[slot + 1]), _rows(tuple(taken), states)
        if leaf is not None and rows is not None:
            found.append(Multiplying(*leaf, rows))
    return found


def _rows(edge: Edge, states: set[Edge]) -> slice | None:
    if unviewed(edge) in states:
        return EVERY
    if edge[0].name() != "CatBackward0":
        return None
    widths = [None if node is None else shape_of((node, place))[-1] for node, place in edge[0].next_functions]
    missing = shape_of(edge)[-1] - sum(width or 0 for width in widths)
    first = 0
    for below, width in zip(edge[0].next_functions, widths, strict=True):
        size = missing if width is None else width
        if below[0] is not None and unviewed(tuple(below)) in states:
            return slice(first, first + size)
        first += size
    return None
