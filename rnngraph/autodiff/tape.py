"""The tape: an append-only list of nodes with integer ids, written by the forward pass.

It knows the scopes (which layer, direction and timestep a node belongs to) and the recurrences
(which nodes are the states of which layer), and nothing of gradients. A tape is always explicit: there is
no current tape anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rnngraph.autodiff.checked import check_states, checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import CONSTANT, INPUT, PARAMETER, Node, Op, Recurrence, Scope, split_scope
from rnngraph.errors import InputError, TapeError

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor


class Named(Protocol):
    """What a tape needs of a parameter; `nn.Parameter` is one."""

    name: str
    value: Array


_NOTHING: dict[str, Any] = {}


class Tape:
    """An append-only record of one forward pass.

    `model` and `step_labels` (the text under each timestep) are only for display. `mask`, (batch, time), says which
    steps bear a loss, `keep` which steps of the input are data where a recurrent layer was given a mask. `outputs`
    and `starts` are what the functional interface returned and walked back from.
    """

    def __init__(self, *, model: str = "") -> None:
        """Start an empty tape."""
        self.nodes: list[Node] = []
        self.model = model
        self.step_labels: Sequence[str | None] = ()
        self.recurrences: list[Recurrence] = []
        self.mask: Array | None = None
        self.keep: Array | None = None
        self.outputs: tuple[Tensor, ...] = ()
        self.starts: dict[int, Array] = {}
        self.place: Scope = ()
        self.timestep = -1
        self._parameters: dict[int, tuple[Named, int]] = {}
        self._names: set[str] = set()

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.nodes)

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
        nodes = self.nodes
        node_id = len(nodes)
        sources = [nodes[i] for i in inputs]
        if requires is None:
            requires = any([source.requires for source in sources])  # noqa: C419 - a list is faster than a generator
        arguments = tuple([source.value for source in sources])
        place, timestep = (self.place, self.timestep) if scope is None else split_scope(scope)
        nodes.append(Node(node_id, op, inputs, value, arguments, place, timestep, requires, options, name))
        return node_id

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
        from rnngraph.autodiff.tensor import Tensor

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
        return self.tensor(known[1])

    def name_of(self, parameter: object) -> str | None:
        """Give the name under which a parameter was recorded here; None where it was not."""
        known = self._parameters.get(id(parameter))
        return None if known is None else self.nodes[known[1]].name

    def state(self, name: str, tensors: Sequence[Tensor], *, initial: Tensor | None = None) -> None:
        """Declare the states of a cell written by hand, one tensor a timestep, so that the trace follows them.

        The recurrence is seen in the scopes: compute step t under `with tape.scope(t=t)`. A `kind` other than
        `h` is the part of the name after the last dot (`cell.c`). Axis 0 of a state with two axes or more is the batch.

        Raises:
            InputError: no tensors, shapes that differ, or a tensor that was recorded at another timestep than its own.
            TapeError: a tensor of another tape.
        """
        check_states(self, name, tensors=tensors, initial=initial)
        layer, _, kind = name.rpartition(".")
        recurrence = Recurrence(layer or name, "custom", layer=len(self.recurrences))
        recurrence.states[kind if layer else "h"] = [tensor.id for tensor in tensors]
        if initial is not None:
            recurrence.initial[kind if layer else "h"] = initial.id
        self.recurrences.append(recurrence)

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
        if not isinstance(name, str):
            raise InputError(f"the name is {name!r}; pass text, such as 'x'.")
        owner, dot, last = name.rpartition(".")
        candidate, count = name, 0
        while candidate in self._names:
            count += 1
            candidate = f"{owner}_{count}.{last}" if dot else f"{name}_{count}"
        self._names.add(candidate)
        return candidate

    def layer_name(self, name: str) -> str:
        """Name one more call of a layer; its second call on this tape, or a second layer of that name, is `rnn_1`."""
        taken = {recurrence.name for recurrence in self.recurrences}
        count = 0
        while (f"{name}_{count}" if count else name) in taken:
            count += 1
        return f"{name}_{count}" if count else name
