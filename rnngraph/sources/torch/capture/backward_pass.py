"""One backward pass of a watched run, and the weights of the time put back, to ask about it later.

In: what `backward_passes` noted. Out: a `BackwardPass`; its graph is kept alive as long as it is. A loop changes
weights and buffers where they stand, or gives them other numbers by `.data =`; what the graph keeps may look at either.
"""

from __future__ import annotations

import contextlib
import weakref
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, edge_or_leaf, number_of
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.capture.user_hooks import Hooked


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tensor, and its state of the time."""

    tensor: Any
    version: int
    value: Any
    home: Any  # where its numbers stood

    @staticmethod
    def of(tensor: Any) -> Snapshot:
        """Note a tensor as it is now."""
        return Snapshot(tensor, tensor._version, tensor.detach().clone(), tensor.data)

    @property
    def moved(self) -> bool:
        """Whether it was written to since."""
        return bool(self.tensor._version != self.version)

    @property
    def changed(self) -> bool:
        """Whether anything of it is other than it was."""
        return self.moved or not _is_same(self.tensor.data, self.home) or not torch.equal(self.home, self.value)

    def there(self) -> tuple[Snapshot, Snapshot]:
        """Note how it is now, in both places: where its numbers stand now is put back last, as it is noted first."""
        return Snapshot.of(self.tensor), Snapshot(self.tensor, self.tensor._version, self.home.clone(), self.home)

    def put(self) -> None:
        """Let the tensor be as it was."""
        self.tensor.data = self.home
        self.home.copy_(self.value)
        _set_version(self.tensor, self.version)


def can_be_noted(tensor: Any) -> bool:
    """Tell a tensor that can be put back from a lazy, sharded or sparse one, and from one that was given up."""
    if is_lazy(tensor) or tensor.is_inference() or tensor.layout != torch.strided or hasattr(tensor, "_local_tensor"):
        return False
    return bool(tensor.untyped_storage().nbytes() >= tensor.nbytes)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two tensors are the same numbers in the same place."""
    return bool(one.dtype == other.dtype and one.is_set_to(other))


def _set_version(weight: Any, version: int) -> None:
    put = torch._C._autograd._unsafe_set_version_counter
    try:
        put((weight,), (version,))
    except TypeError:  # PyTorch before 2.7
        put(weight, version)


def unscaled(losses: Sequence[tuple[Any, float]]) -> float:
    """Add up scalars, each divided by its factor; NaN of none, and of anything else."""
    if not losses or any(one.numel() != 1 for one, _ in losses):
        return float("nan")
    return sum(float(one) / factor for one, factor in losses)


@dataclass(eq=False)
class BackwardPass:
    """One or more backward passes over one set of calls."""

    calls: list[Call] = field(default_factory=list)
    roots: list[Edge] = field(default_factory=list)
    owners: list[Any] = field(default_factory=list)  # views at roots: older versions let go of a function of one's own
    seeds: list[Any] = field(default_factory=list)
    losses: list[tuple[Any, float]] = field(default_factory=list)  # the values at the roots, times what
    weights: dict[int, Snapshot] = field(default_factory=dict)  # by their ids, and so are the next
    names: dict[str, Any] = field(default_factory=dict)  # the model's weights of the time
    ends: dict[int, dict[Edge, None]] = field(default_factory=dict)  # where the graph ends
    gradients: dict[int, Any] = field(default_factory=dict)  # of a fused layer's weights: what PyTorch found
    number: int = 0
    factor: float = 1.0  # what the loss was multiplied by for narrow numbers
    overflowed: float = 1.0  # likewise, where it was too much
    freed: set[int] = field(default_factory=set)  # numbers of nodes that PyTorch would have let go of
    hooked: list[Hooked] = field(default_factory=list)  # what hooks of the user's own did
    retained: list[weakref.ref[Any]] = field(default_factory=list)  # tensors that retain their gradients
    twice: bool = False  # it would have refused a later walk for that
    _is_back: bool = False  # whether the weights are those of the time

    def add(self, other: BackwardPass) -> None:
        """Count in another walk over the same calls."""
        self.__dict__.pop("_nodes", None)
        self.roots += other.roots
        self.owners += other.owners
        self.seeds += other.seeds
        self.losses += other.losses
        self.hooked += other.hooked
        self.freed |= other.freed
        self.weights = {**other.weights, **self.weights}
        for key, edges in other.ends.items():
            self.ends.setdefault(key, {}).update(edges)
        for key, gradient in other.gradients.items():
            self.gradients[key] = self.gradients[key] + gradient if key in self.gradients else gradient

    @property
    def tops(self) -> list[Any]:
        """The nodes at its roots."""
        return [node for node, _ in self.roots]

    @cached_property
    def _nodes(self) -> list[Any]:
        return at_and_below(self.tops, tables=True)

    def nodes(self, least: int) -> list[Any]:
        """List the nodes at and below its roots that are numbered `least` at least, the oldest first."""
        return self._nodes[bisect_left(self._nodes, least, key=number_of) :]

    @property
    def loss(self) -> float:
        """The scalar that was walked back, the sum where there were several; NaN of anything else."""
        return unscaled(self.losses)

    def give_up_factor(self) -> None:
        """Be as the pass would have been without the factor."""
        self.seeds = [one / self.factor for one in self.seeds]
        self.gradients, self.overflowed, self.factor = {}, self.factor, 1.0

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[None]:
        """Put the weights back that the pass was run with, unseen by autograd, and the present ones afterwards.

        A tensor that retains its gradient would be given that of every question: it keeps the user's. What a checkpoint
        runs again, by a question or because something is looked at that it did not keep, changes buffers and random
        numbers again: they are put back as well.

        Raises:
            InputError: data of a call is gone, of which PyTorch itself cannot tell.
        """
        if self._is_back:
            try:
                yield
            finally:
                for one in self.weights.values():
                    if one.moved:
                        one.put()
                for kept in self.retained:  # else the next question's would be added to it
                    if (tensor := kept()) is not None:
                        tensor.grad = None
            return
        for call in self.calls:
            call.check_given(call.taken if call.hidden else ())
        with contextlib.ExitStack() as back:
            back.callback(torch.set_rng_state, torch.get_rng_state())
            for kept in self.retained:
                if (tensor := kept()) is not None:
                    back.callback(setattr, tensor, "grad", tensor.grad)
            for one in [one for one in self.weights.values() if one.changed]:
                for now in one.there():
                    back.callback(now.put)
                one.put()
            for hooks in self.hooked:
                back.callback(hooks.put, hooks.act())
            back.callback(setattr, self, "_is_back", False)
            self._is_back = True
            yield

    def edges_of(self, weight: Any) -> list[Edge]:
        """Give the places of a weight in the graph: it has another since each time that its type was changed."""
        now = edge_or_leaf(weight)
        return list(self.ends.get(id(weight), () if now is None else (now,)))

    def then(self, weight: Any, name: str) -> Any:
        """Give the weight that was called so at the time, as an assignment may have put another in its place."""
        return weight if id(weight) in self.ends else self.names.get(name, weight)
