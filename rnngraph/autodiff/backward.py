"""The reverse sweep: walk a tape from its end to its start and yield what reaches every node.

In: a tape and the cotangents to start from. Out: a stream of `Step`s in reverse tape order. Nothing is measured here.
The gradient of an intermediate node is dropped as soon as the sweep has passed it, so memory
follows the frontier; there is no recursion. A block is one step of the stream; its inner gradients are lent by windows.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import Lend, pull
from rnngraph.autodiff.block.given import gather
from rnngraph.autodiff.contribution import Array, Contribution, StateSlice, add_up
from rnngraph.autodiff.names import Named
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import GradientError, InputError, TapeError


@dataclass(slots=True, eq=False)
class Step:
    """One entry as the sweep passes it. Arrays are lent until the next step: copy what is to be changed.

    `consumers[i]` is the entry that handed back `contributions[i]`; None for a cotangent that the sweep started from.
    """

    node: Entry
    consumers: list[Entry | None] = field(default_factory=list)
    contributions: list[Contribution] = field(default_factory=list)
    _gradient: Array | None = None

    @property
    def gradient(self) -> Array:
        """The sum of the contributions, formed when it is first asked for."""
        if self._gradient is None:
            self._gradient = add_up(self.contributions, self.node.value)
        return self._gradient


def sweep(
    tape: Tape, starts: Mapping[int, Contribution], *, until: Container[int] = (), lend: Lend | None = None
) -> Iterator[Step]:
    """Walk the tape in reverse from the cotangents in `starts`, keyed by node id.

    Entries whose id is in `until` are reached but not walked past. `lend` is called with the inner gradients of blocks,
    a window of steps at a time. Wrap the walk in `np.errstate(all="ignore")` where overflow is expected.

    Raises:
        GradientError: a vjp returned a gradient of the wrong shape.
    """
    pending: dict[int, Step] = {}
    for start, cotangent in starts.items():
        entry = tape.entry(start)
        step = pending.setdefault(entry.id, Step(entry))
        step.consumers.append(None)
        step.contributions.append(cotangent if start == entry.id else _inner_start(entry, start, cotangent))
    for entry in reversed(tape.entries):
        passed = pending.pop(entry.id, None)
        if passed is None:
            continue
        yield passed
        if entry.id in until:
            continue
        for source, contribution in _handed_back(tape, entry, passed, lend):
            target = pending.get(source.id)
            if target is None:
                target = pending[source.id] = Step(source)
            target.consumers.append(entry)
            target.contributions.append(contribution)


def _inner_start(entry: Entry, start: int, cotangent: Contribution) -> Contribution:
    """Turn a cotangent of one step's node of a block into one of a state."""
    if not isinstance(entry, Block) or not isinstance(cotangent, np.ndarray):
        raise GradientError(f"node {start} cannot be started from: it is inside {entry.describe()}.")
    return StateSlice(*entry.find(start), cotangent)


def _handed_back(tape: Tape, entry: Entry, step: Step, lend: Lend | None) -> list[tuple[Entry, Contribution]]:
    if isinstance(entry, Block):
        return _pulled(tape, entry, step, lend)
    if entry.op.vjp is None:
        return []
    contributions = entry.op.vjp(step.gradient, entry)
    if type(contributions) is not tuple and not isinstance(contributions, Sequence):
        raise GradientError(
            f"the vjp of {entry.describe()} returned a {type(contributions).__name__}; it must return a tuple with "
            "one gradient an input."
        )
    found: list[tuple[Entry, Contribution]] = []
    entries = tape.entries if tape.size == len(tape.entries) else None  # without blocks an id is a place
    for source, contribution in zip(entry.inputs, contributions, strict=False):
        target = tape.entry(source) if entries is None else entries[source]
        if contribution is None or not target.requires:
            continue
        if type(contribution) is np.ndarray:
            if contribution.shape != target.value.shape:
                contribution = unbroadcast(contribution, target.value.shape, node=entry, source=source)
        elif isinstance(contribution, np.generic):
            contribution = np.asarray(contribution)  # NumPy turns zero-dimensional results into scalars
            contribution = unbroadcast(contribution, target.value.shape, node=entry, source=source)
        found.append((target, contribution))
    return found


def _pulled(tape: Tape, block: Block, step: Step, lend: Lend | None) -> list[tuple[Entry, Contribution]]:
    wanted = {name: one for name, source in block.sources.items() if (one := tape.entry(source)).requires}
    shared = [name for name in block.weights if tape.is_shared(block.sources[name])]
    found = pull(block, gather(block, step.contributions), wanted=wanted, factored=shared, lend=lend)
    return [(source, found[name]) for name, source in wanted.items()]


def unbroadcast(array: Array, shape: tuple[int, ...], *, node: Node, source: int, lead: int = 0) -> Array:
    """Undo broadcasting: sum what the vjp of `node` returned for its input `source` to that input's shape.

    `shape` is the wanted one, with `lead` leading axes of its own in front.

    Raises:
        GradientError: it cannot be the gradient of such an input.
    """
    extra = array.ndim - len(shape)
    if extra > 0 and array.shape[lead : lead + extra] == (1,) * extra:  # there is nothing to be summed
        array = array.reshape(array.shape[:lead] + array.shape[lead + extra :])
    elif extra > 0:
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
    leaves = [node for node in loss.tape.entries if node.op.vjp is None and node.name and node.requires]
    by_name = {str(node.name): found[node.id] if node.id in found else np.zeros_like(node.value) for node in leaves}
    return Gradients(loss.tape, by_name)


def scalar_cotangent(loss: Tensor) -> Array:
    """Give the cotangent 1 of a scalar loss.

    Raises:
        InputError: the loss has more than one element, or no parameter or floating input leads to it.
    """
    if not isinstance(loss, Tensor):
        library = type(loss).__module__.partition(".")[0]
        kind = f"{'' if library == 'builtins' else f'{library}.'}{type(loss).__name__}"
        raise InputError(
            f"the loss is a {kind}; pass the scalar Tensor that a model computed on a tape. A PyTorch step is looked "
            "at with rnngraph.torch.watch(model), and the watch is what is drawn and judged; a saved run is opened "
            "with rnngraph.Trace.load(file)."
        )
    if loss.value.size != 1:
        raise InputError(f"the loss has shape {loss.shape}; reduce it to a scalar, with .sum() or .mean().")
    if not loss.node.requires:
        raise InputError(
            "the loss depends on no parameter and no floating-point input; record one with tape.input or a layer."
        )
    return np.ones_like(loss.value)
