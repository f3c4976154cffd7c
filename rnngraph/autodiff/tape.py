"""The tape: an append-only list of nodes and blocks, written by the forward pass.

It knows the scopes (which layer, direction and timestep a node belongs to) and the recurrences, and nothing of
gradients. A tape is always explicit: there is no current tape anywhere. Every node has an id; a block takes the ids of
all of its steps' nodes, which are made when somebody looks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.cell import Cell
from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.declare import declare_state
from rnngraph.autodiff.names import Named, numbered, reserve
from rnngraph.autodiff.node import CONSTANT, INPUT, PARAMETER, Node, Op, Scope, split_scope
from rnngraph.autodiff.recurrence import FORWARD, Recurrence
from rnngraph.autodiff.show import Nodes
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError, TapeError

Entry: TypeAlias = Node | Block
_NOTHING: dict[str, Any] = {}


class Tape:
    """An append-only record of one forward pass.

    `model` and `step_labels` (the text under each timestep) are only for display. `mask`, (batch, time), says which
    steps bear a loss. `outputs` and `starts` are what the functional interface returned and walked back from.
    """

    def __init__(self, *, model: str = "") -> None:
        """Start an empty tape."""
        self.entries: list[Entry] = []
        self.model = model
        self.step_labels: Sequence[str | None] = ()
        self.recurrences: list[Recurrence] = []
        self.mask: Array | None = None
        self.outputs: tuple[Tensor, ...] = ()
        self.starts: dict[int, Array] = {}
        self.place: Scope = ()
        self.timestep = -1
        self.size = 0  # ids that were given
        self._firsts: list[int] = []
        self._parameters: dict[int, tuple[Named, int]] = {}
        self._uses: dict[int, int] = {}
        self._names: set[str] = set()

    def __len__(self) -> int:
        """Count the nodes, those of blocks included."""
        return self.size

    @property
    def nodes(self) -> Nodes:
        """All nodes by id; those of blocks are made when they are looked at."""
        return Nodes(self)

    def entry(self, node_id: int) -> Entry:
        """Give the node of this id, or the block that it belongs to."""
        if self.size == len(self.entries):
            return self.entries[node_id]
        return self.entries[bisect_right(self._firsts, node_id) - 1]

    def append(
        self,
        op: Op,
        inputs: tuple[int, ...],
        value: Array,
        *,
        options: dict[str, Any] = _NOTHING,
        scope: Scope | None = None,
        name: str | None = None,
        requires: bool | None = None,
    ) -> int:
        """Record a value that was already computed, and return its node's id."""
        node_id = self.size
        sources = [self.entry(i) for i in inputs]
        if requires is None:
            requires = any([source.requires for source in sources])  # noqa: C419 - a list is faster than a generator
        arguments = tuple([source.value for source in sources])
        place, timestep = (self.place, self.timestep) if scope is None else split_scope(scope)
        self._add(Node(node_id, op, inputs, value, arguments, place, timestep, requires, options, name))
        self.size += 1
        return node_id

    def append_block(
        self,
        cell: Cell,
        x: Tensor,
        weights: Mapping[str, Tensor],
        initial: Mapping[str, Tensor],
        *,
        reverse: bool = False,
        mask: Array | None = None,
        cuts: Sequence[int] = (),
        make: Callable[..., Block] = Block,
    ) -> Block:
        """Compute all steps of a layer and direction, and record them as the block that `make` makes."""
        with np.errstate(all="ignore"):  # what overflows is reported by the trace, with its place
            block = make(
                self.size, cell, x.value, weights={name: one.value for name, one in weights.items()},
                initial={kind: one.value for kind, one in initial.items()}, reverse=reverse, mask=mask, cuts=cuts,
            )  # fmt: skip
        block.place = self.place
        block.sources = {"x": x.id} | {name: one.id for name, one in weights.items()}
        block.sources |= {kind + "0": one.id for kind, one in initial.items()}
        block.inputs = tuple(block.sources.values())
        self._add(block)
        self.size = block.id + 1
        return block

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._firsts.append(entry.first)

    def apply(self, op: Op, *tensors: Tensor, **options: Any) -> Tensor:
        """Compute `op` on tensors of this tape and record it.

        Raises:
            TapeError: a tensor belongs to another tape.
        """
        for tensor in tensors:
            if tensor.tape is not self:
                raise TapeError(
                    f"{op.name} got a tensor of another tape (node {tensor.id}); make all inputs with the same Tape."
                )
        with np.errstate(all="ignore"):  # what overflows is reported by the trace, with its place
            value = np.asarray(op.forward(*[tensor.value for tensor in tensors], **options))
        return self.tensor(self.append(op, tuple([tensor.id for tensor in tensors]), value, options=options))

    def tensor(self, node_id: int) -> Tensor:
        """Give the handle of a recorded node."""
        return Tensor(self, node_id)

    def input(self, array: Any, name: str = "x", *, finite: bool = True) -> Tensor:
        """Record an input. Floating arrays are differentiated, integers and booleans are not.

        Args:
            array: any shape without a zero in it; not copied where it is a NumPy array already.
            name: the key of its gradient; `_1`, `_2`, ... is added to a name that is taken.
            finite: refuse NaN and infinity. False lets them through, and the trace says where they spread.

        Raises:
            InputError: an empty array, or NaN or infinity in it.
            DtypeError: complex, text or object arrays.
        """
        value = checked_array(array, name, finite=finite)
        return self.tensor(self.append(INPUT, (), value, name=self.unique(name), requires=value.dtype.kind == "f"))

    def constant(self, array: Any) -> Tensor:
        """Record a value that gets no gradient.

        Raises:
            InputError: an empty or ragged array.
            DtypeError: text, complex numbers or objects.
        """
        value = checked_array(array, "the constant", finite=False)
        return self.tensor(self.append(CONSTANT, (), value, requires=False))

    def parameter(self, parameter: Named) -> Tensor:
        """Record a parameter, once however often it is used.

        Raises:
            InputError: it has no name and value, as `nn.Parameter` has.
        """
        if not hasattr(parameter, "name") or not hasattr(parameter, "value"):
            raise InputError(f"the parameter is {parameter!r:.60}; pass an nn.Parameter, with a name and a value.")
        known = self._parameters.get(id(parameter))
        if known is None:
            name = self.unique(parameter.name)
            known = parameter, self.append(PARAMETER, (), parameter.value, name=name, requires=True, scope=())
            self._parameters[id(parameter)] = known
        self._uses[known[1]] = self._uses.get(known[1], 0) + 1
        return self.tensor(known[1])

    def is_shared(self, node_id: int) -> bool:
        """Tell whether a parameter was asked for more than once: its parts then come from several places."""
        return self._uses.get(node_id, 0) > 1

    def name_of(self, parameter: object) -> str | None:
        """Give the name under which a parameter was recorded here; None where it was not."""
        known = self._parameters.get(id(parameter))
        return None if known is None else self.entry(known[1]).name

    def state(
        self,
        name: str,
        tensors: Sequence[Tensor],
        *,
        initial: Tensor | None = None,
        mask: Any = None,
        cuts: Any = None,
        batch_axis: int | None = 0,
        direction: str = FORWARD,
    ) -> None:
        """Declare the states of a cell written by hand, one tensor a timestep, so that the trace follows them.

        The recurrence is seen in the scopes: compute step t under `with tape.scope(t=t)`. A `kind` other than
        `h` is the part of the name after the last dot (`cell.c`). States of one cell, such as `cell.h` and `cell.c`,
        are one recurrence.

        Args:
            name: such as `cell.h`.
            tensors: one a timestep, all of one shape.
            initial: the state before the first step.
            mask: (N, T) booleans, False where a sample copies its state over padding, which counts as no step.
            cuts: timesteps, or (N, T) booleans, whose step is cut from the one processed before it (a reset, or
                truncated back-propagation); without it a `detach` between two states is a cut.
            batch_axis: the axis of the samples in a state's value; None where there is one sample and no such axis.
            direction: `forward`, or `reverse` where the last timestep is computed first.

        Raises:
            InputError: no tensors, shapes that differ, a tensor that was recorded at another timestep than its own, or
                a declaration that does not fit the states.
            TapeError: a tensor of another tape.
        """
        declare_state(self, name, tensors, initial, mask=mask, cuts=cuts, batch_axis=batch_axis, direction=direction)

    @contextmanager
    def scope(self, **place: Any) -> Iterator[None]:
        """Record what follows as part of a place, such as `scope(layer="decoder")` or `scope(t=3)`."""
        outer = self.place, self.timestep
        self.place, timestep = split_scope((*self.place, *place.items()))
        self.timestep = self.timestep if timestep < 0 else timestep
        try:
            yield
        finally:
            self.place, self.timestep = outer

    def unique(self, name: str) -> str:
        """Reserve a name; the second `x` is `x_1`, and the second layer's `rnn.Wx` is `rnn_1.Wx`."""
        return reserve(name, self._names)

    def layer_name(self, name: str) -> str:
        """Name one more call of a layer; its second call on this tape, or a second layer of that name, is `rnn_1`."""
        return numbered(name, {recurrence.stem for recurrence in self.recurrences})
