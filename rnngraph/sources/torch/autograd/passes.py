"""The backward passes of a watched run: from what each was walked, which calls it reached, and the weights of the time.

In: the roots of every backward. Out: `Pass`es; passes that reach a common call count as one, as their gradients add up.
The graph of a pass is kept alive as long as its `Pass` is.
"""

from __future__ import annotations

import contextlib
import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from rnngraph.sources.torch.autograd.edges import Edge, edge_of, leaves, like, tensors_in, walk_down
from rnngraph.sources.torch.watching.calls import Call, CallLog

_PATIENCE = 4  # passes that may go by before the one that reaches a call
KEPT = 2  # the last pass, and the one before: a graph is as large as the activations of a step


@dataclass(eq=False)
class Pass:
    """One or more backward passes over one set of calls."""

    calls: list[Call]
    roots: list[Edge] = field(default_factory=list)
    seeds: list[Any] = field(default_factory=list)
    losses: list[Any] = field(default_factory=list)  # the values at the roots
    weights: list[tuple[Any, int, Any]] = field(default_factory=list)  # tensor, its version and value at the time
    gradients: dict[int, Any] = field(default_factory=dict)  # by the id of a fused layer's weight: what PyTorch found
    number: int = 0

    @property
    def loss(self) -> float:
        """The scalar that was walked back, the sum where there were several; NaN of anything else."""
        if any(one.numel() != 1 for one in self.losses):
            return float("nan")
        return float(sum(float(one.detach()) for one in self.losses))

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[None]:
        """Put the weights back that the pass was run with, unseen by autograd, and the present ones afterwards.

        A tensor that retains its gradient would be given that of every question: it keeps the user's.
        """
        alive = [one for call in self.calls for kept in call.returned if (one := kept()) is not None]
        retained = [(one, one.grad) for one in alive if one.retains_grad]
        changed = [one for one in self.weights if one[0]._version != one[1] or not torch.equal(one[0], one[2])]
        present = [(weight, weight._version, weight.detach().clone()) for weight, _, _ in changed]
        _put(changed)
        try:
            yield
        finally:
            _put(present)
            for one, gradient in retained:
                one.grad = gradient


def _put(weights: list[tuple[Any, int, Any]]) -> None:
    with torch.no_grad():
        for weight, version, value in weights:
            weight.copy_(value)
            _set_version(weight, version)


def _set_version(weight: Any, version: int) -> None:
    put = torch._C._autograd._unsafe_set_version_counter
    try:
        put((weight,), (version,))
    except TypeError:  # PyTorch before 2.7
        put(weight, version)


class Passes:
    """Notes passes; keeps the last ones, or the first."""

    def __init__(self, model: Any, wanted: str | int) -> None:
        """Start with none; `wanted` is "last", "first", or a negative number that says which from the end."""
        self.model, self.wanted = model, wanted
        self.found: list[Pass] = []
        self.count = 0
        self._kept = KEPT if isinstance(wanted, str) else max(KEPT, -wanted)
        self._mine = {id(one) for one in model.parameters()}
        self._gradients: dict[int, Any] = {}
        self._scales: dict[Edge, float] = {}  # of losses that were scaled for narrow numbers
        self._scalers: dict[int, Any] = {}  # the factors as tensors, by their ids
        self._weights: list[tuple[Any, int, Any]] = []  # as they are when a pass begins
        self._walked: list[tuple[Any, float]] = []  # the value at every root, and what it is to be divided by
        self.after: Callable[[], None] | None = None  # is called at the end of a pass, where asking cannot wait

    def trains(self, inputs: Any, needed: bool) -> bool:
        """Tell a training pass from a question of the user's own: with `inputs`, it asks for a weight of the model."""
        if inputs is None:
            return not needed
        return any(id(one) in self._mine for one in ([inputs] if isinstance(inputs, torch.Tensor) else inputs))

    @property
    def loss(self) -> float:
        """The sum of all scalars that were walked back and reached the model, unscaled; NaN of anything else."""
        if not self._walked or any(one.numel() != 1 for one, _ in self._walked):
            return float("nan")
        return sum(float(one) / scale for one, scale in self._walked)

    def note_scale(self, scaled: Any, scale: Any) -> None:
        """Note that losses were multiplied by a tensor, None for not at all, before they are walked back."""
        if scale is not None:
            self._scalers[id(scale)] = scale
            self._scales |= {edge_of(one): float(scale) for one in tensors_in(scaled) if one.grad_fn is not None}

    def forward_begins(self, log: CallLog) -> None:
        """Let go of the oldest graph, before the next one grows."""
        if torch.is_grad_enabled() and self.wanted != "first" and len(self.found) >= self._kept:
            gone = {call for one in self.found[: 1 - self._kept] for call in one.calls}
            self.found = self.found[1 - self._kept :]
            log.calls = [call for call in log.calls if call not in gone]

    def begin(self, tensors: Any, log: CallLog) -> list[Any]:
        """Note what an optimizer or a scaler may change, and look at the gradients of fused layers as they come."""
        roots = [one.grad_fn for one in _listed(tensors) if one.grad_fn is not None]
        given = itertools.chain(self.model.parameters(), self.model.buffers(), leaves(roots), self._scalers.values())
        held = {id(one): one for one in given if _is_whole(one)}
        self._weights = [(one, one._version, one.detach().clone()) for one in held.values()]
        self._gradients = {}
        used = {id(one): one for call in log.calls if call.layer is not None for one in call.layer.weights}
        watched = [one for one in used.values() if one.is_leaf and one.requires_grad]
        return [one.register_hook(_adder(self._gradients, id(one))) for one in watched]

    def note(self, tensors: Any, seeds: Any, log: CallLog) -> None:
        """Note a pass that was walked from `tensors`."""
        self.count += 1
        listed = _listed(tensors)
        given = [None] * len(listed) if seeds is None else [seeds] if isinstance(seeds, torch.Tensor) else list(seeds)
        usable = [(one, g) for one, g in zip(listed, given, strict=True) if getattr(one, "grad_fn", None) is not None]
        roots = [edge_of(one) for one, _ in usable]
        calls = reached(roots, log.calls)
        scales = [self._scales.pop(root, 1.0) for root in roots]
        if not calls:
            return
        self._walked += [(one.detach(), scale) for (one, _), scale in zip(usable, scales, strict=True)]
        own = next((one for one in self.found if not set(calls).isdisjoint(one.calls)), None)
        if own is None:
            if self.wanted == "first" and self.found:
                return
            own = Pass([])
            self.found = [*self.found, own][-self._kept :]
        own.calls = [call for call in log.calls if call in {*calls, *own.calls}]
        own.roots += roots
        own.seeds += [like(edge, 1.0) if g is None else g.detach() for edge, (_, g) in zip(roots, usable, strict=True)]
        own.losses += [one.detach() for one, _ in usable]
        own.number = self.count
        known = {id(one) for one, _, _ in own.weights}
        own.weights += [one for one in self._weights if id(one[0]) not in known]
        for key, gradient in self._gradients.items():
            before = own.gradients.get(key)
            own.gradients[key] = gradient if before is None else before + gradient
        self._forget(log)

    def _forget(self, log: CallLog) -> None:
        """Let go of calls that no pass reached for a while."""
        held = {call for one in self.found for call in one.calls}
        for call in log.calls:
            call.waited = 0 if call in held else call.waited + 1
        log.calls = [call for call in log.calls if call.waited < _PATIENCE]
        log.closed = self.wanted == "first" and bool(self.found)


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


def _adder(found: dict[int, Any], key: int) -> Any:
    def add(gradient: Any) -> None:  # holds the list only: a cycle through C++ is never collected
        known = found.get(key)
        found[key] = gradient.detach().clone() if known is None else known + gradient.detach()

    return add


def _is_whole(tensor: Any) -> bool:
    """Tell a tensor that can be put back from a lazy, sharded or sparse one, and from one that was given up."""
    if is_lazy(tensor) or tensor.is_inference() or tensor.layout != torch.strided or hasattr(tensor, "_local_tensor"):
        return False
    return bool(tensor.untyped_storage().nbytes() >= tensor.nbytes)


def reached(roots: list[Edge], calls: list[Call]) -> list[Call]:
    """Find the calls of which a node lies below the roots, and the steps between them."""
    if not calls or not roots:
        return []
    numbers = {
        node._sequence_nr() for _, node, _ in walk_down([node for node, _ in roots], min(c.begin for c in calls))
    }
    numbers |= {node._sequence_nr() for node, _ in roots}
    ordered = sorted(numbers)

    def hit(call: Call) -> bool:
        place = bisect_left(ordered, call.begin)
        return place < len(ordered) and ordered[place] < call.end

    return _with_steps_between(calls, [call for call in calls if hit(call)])


def _with_steps_between(calls: list[Call], found: list[Call]) -> list[Call]:
    """Add steps that nothing reaches, as those before a cut, where later ones are reached: these keep their number."""
    last, before = {call.path: call for call in found}, dict[str, Call]()
    kept = set(found)
    for call in calls:
        earlier = before.get(call.path)
        if call not in kept and earlier is not None and call.begin < last[call.path].begin:
            nodes = [node for node, _ in call.out]
            if any(earlier.made(node) for _, node, _ in walk_down(nodes, earlier.begin)):
                kept.add(call)
        if call in kept:
            before[call.path] = call
    return [call for call in calls if call in kept]
