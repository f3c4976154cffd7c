"""The reverse sweep: walk a tape from its end to its start and yield what reaches every node.

In: a tape and the cotangents to start from. Out: a stream of `Step`s in reverse tape order. Nothing is measured here.
The gradient of an intermediate node is dropped as soon as the sweep has passed it, so memory
follows the frontier; there is no recursion.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array, Contribution, add_up
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Named, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import GradientError, InputError, TapeError


class Step:
    """One node as the sweep passes it. Arrays are lent until the next step: copy what is to be changed.

    `consumers[i]` is the node that handed back `contributions[i]`; None for a cotangent that the sweep started from.
    """

    __slots__ = ("_gradient", "_lead", "consumers", "contributions", "node")

    def __init__(self, node: Node, lead: tuple[int, ...]) -> None:
        """Start with nothing received."""
        self.node = node
        self.consumers: list[Node | None] = []
        self.contributions: list[Contribution] = []
        self._lead = lead
        self._gradient: Array | None = None

    @property
    def gradient(self) -> Array:
        """The sum of the contributions, formed when it is first asked for."""
        if self._gradient is None:
            self._gradient = add_up(self.contributions, self.node.value, self._lead)
        return self._gradient


def sweep(
    tape: Tape,
    starts: Mapping[int, Contribution],
    *,
    lead: tuple[int, ...] = (),
    wanted: Container[int] | None = None,
    until: Container[int] = (),
) -> Iterator[Step]:
    """Walk the tape in reverse from the cotangents in `starts`, keyed by node id.

    `lead` is the shape of the extra leading axes of every cotangent, for many losses at once. `wanted` limits the
    walk to those node ids; those in `until` are reached but not walked past. Wrap the walk in
    `np.errstate(all="ignore")` where overflow is expected.

    Raises:
        GradientError: a vjp returned a gradient of the wrong shape.
    """
    nodes = tape.nodes
    pending: dict[int, Step] = {}
    for start, cotangent in starts.items():
        pending[start] = Step(nodes[start], lead)
        pending[start].consumers.append(None)
        pending[start].contributions.append(cotangent)
    for node_id in range(max(starts, default=-1), -1, -1):
        step = pending.pop(node_id, None)
        if step is None:
            continue
        yield step
        node = step.node
        if node.op.vjp is None or node_id in until:
            continue
        contributions = node.op.vjp(step.gradient, node)
        if type(contributions) is not tuple and not isinstance(contributions, Sequence):
            raise GradientError(
                f"the vjp of {node.describe()} returned a {type(contributions).__name__}; it must return a tuple with "
                "one gradient an input."
            )
        for source, contribution in zip(node.inputs, contributions, strict=False):
            if contribution is None:
                continue
            target = pending.get(source)
            if target is None:
                if not nodes[source].requires or (wanted is not None and source not in wanted):
                    continue
                target = pending[source] = Step(nodes[source], lead)
            if type(contribution) is not np.ndarray and isinstance(contribution, np.generic):
                contribution = np.asarray(contribution)  # NumPy turns zero-dimensional results into scalars
            if type(contribution) is np.ndarray and contribution.shape != target.node.value.shape:
                shape = lead + target.node.value.shape
                contribution = unbroadcast(contribution, shape, lead=len(lead), node=node, source=source)
            target.consumers.append(node)
            target.contributions.append(contribution)


def unbroadcast(array: Array, shape: tuple[int, ...], *, lead: int, node: Node, source: int) -> Array:
    """Undo broadcasting: sum what the vjp of `node` returned for its input `source` to that input's shape.

    `shape` is the wanted one, with `lead` leading axes of its own in front.

    Raises:
        GradientError: it cannot be the gradient of such an input.
    """
    extra = array.ndim - len(shape)
    if extra > 0:
        array = np.asarray(array.sum(axis=tuple(range(lead, lead + extra))))
    if array.ndim == len(shape):
        stretched = tuple([axis for axis in range(lead, array.ndim) if shape[axis] == 1 != array.shape[axis]])
        if stretched:
            array = array.sum(axis=stretched, keepdims=True)
    if array.shape != shape:
        raise GradientError(
            f"the vjp of {node.describe()} returned shape {array.shape} for argument "
            f"{node.inputs.index(source)}, which has shape {shape}; its rule is wrong."
        )
    return array


class Gradients(dict[str, Array]):
    """Gradients by name; `grads[x]` also takes the tensor of an input and the `Parameter` of a layer."""

    def __init__(self, tape: Tape, found: Mapping[str, Array]) -> None:
        """Hold the gradients of the leaves of `tape`."""
        super().__init__(found)
        self._tape = tape

    def __getitem__(self, key: str | Tensor | Named) -> Array:
        """Give the gradient of a name, of an input's tensor, or of a parameter."""
        return super().__getitem__(key)  # type: ignore[index]

    def __missing__(self, key: Any) -> Array:
        """Look a tensor or a parameter up by its name on the tape."""
        if isinstance(key, Tensor):
            if key.tape is not self._tape:
                raise TapeError(f"{key!r} is a tensor of another tape; ask for one that led to this loss.")
            if key.node.op.vjp is None and key.node.name in self:
                return self[str(key.node.name)]
        name = self._tape.name_of(key)
        if name in self:
            return self[str(name)]
        raise KeyError(f"there is no gradient of {key!r}; there are {', '.join(self)}")


def gradients(loss: Tensor) -> Gradients:
    """Compute the gradient of a scalar loss with respect to every parameter and floating input.

    Returns:
        arrays by name (`"rnn.Wx"`, `"x"`), in tape order; zeros for what the loss does not reach. Tensors of inputs and
        parameters of layers are keys too.

    Raises:
        InputError: the loss is not a scalar.
    """
    cotangent = scalar_cotangent(loss)
    starts = {loss.id: cotangent}
    found: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for step in sweep(loss.tape, starts):
            if step.node.op.vjp is None and step.node.name is not None:
                found[step.node.id] = np.array(step.gradient)
    leaves = [node for node in loss.tape.nodes if node.op.vjp is None and node.name and node.requires]
    by_name = {str(node.name): found[node.id] if node.id in found else np.zeros_like(node.value) for node in leaves}
    return Gradients(loss.tape, by_name)


def scalar_cotangent(loss: Tensor) -> Array:
    """Give the cotangent 1 of a scalar loss.

    Raises:
        InputError: the loss has more than one element, or no parameter or floating input leads to it.
    """
    if not isinstance(loss, Tensor):
        raise InputError(f"the loss is a {type(loss).__name__}; pass the scalar Tensor that the model computed.")
    if loss.value.size != 1:
        raise InputError(f"the loss has shape {loss.shape}; reduce it to a scalar, with .sum() or .mean().")
    if not loss.node.requires:
        raise InputError(
            "the loss depends on no parameter and no floating-point input; record one with tape.input or a layer."
        )
    return np.ones_like(loss.value)
