"""The backward passes of a watched run: from what each was walked, which calls it reached, and the weights of the time.

In: the roots of every backward. Out: `BackwardPass`es; passes that reach a common call count as one, as their gradients
add up. The graph of a pass is kept alive as long as its `BackwardPass` is.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable
from typing import Any

import torch

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import (
    Edge,
    all_below,
    at_and_below,
    edge_of,
    full_at,
    in_backward,
    number_of,
    oldest,
    tensors_in,
    walk_down,
)
from rnngraph.sources.torch.capture.backward_pass import BackwardPass, Snapshot, can_be_noted, unscaled
from rnngraph.sources.torch.capture.module_calls import Call, CallLog, TensorRef
from rnngraph.sources.torch.capture.user_hooks import Hooks, put_first

_PATIENCE = 4  # passes that may go by before the one that reaches a call
KEPT = 2  # the last pass, and the one before: a graph is as large as the activations of a step


class BackwardPasses:
    """Notes passes; keeps the last ones, or the first."""

    def __init__(self, model: Any, wanted: str | int, log: CallLog) -> None:
        """Start with none; `wanted` is "last", "first", or a negative number that says which from the end."""
        self.model, self.wanted, self.log = model, wanted, log
        self.found: list[BackwardPass] = []
        self.count = 0
        # While a forward pass grows, which may be an evaluation, one less is kept.
        self._kept = KEPT if isinstance(wanted, str) else max(KEPT, 1 - wanted)
        self._mine = {id(one) for one in model.parameters()}
        self._scales: dict[Edge, float] = {}  # of losses that were scaled for narrow numbers
        self._scalers: dict[int, Any] = {}  # the factors as tensors, by their ids
        self._walked: list[tuple[Any, float]] = []  # as the losses of a pass
        self._closed_at = 0  # calls that there were, of all modules, when the first pass was noted
        self.hooks = Hooks()
        self._begun = BackwardPass()  # what is noted when a pass begins
        self._handles: list[Any] = []
        self.under_way = False  # PyTorch calls its own functions once more where a mode of the user's is on
        self.after: Callable[[], None] | None = None  # is called at the end of a pass, where asking cannot wait

    def trains(self, inputs: Any, needed: bool) -> bool:
        """Tell a training pass from a question of the user's own: with `inputs`, it asks for a weight of the model."""
        if inputs is None:
            return not needed
        return any(id(one) in self._mine for one in _listed(inputs))

    @property
    def loss(self) -> float:
        """The sum of all scalars that were walked back and reached the model, unscaled; NaN of anything else."""
        return unscaled(self._walked)

    def note_scale(self, scaled: Any, scale: Any) -> None:
        """Note that losses were multiplied by a tensor, None for not at all, before they are walked back."""
        if scale is not None:
            self._scalers[id(scale)] = scale
            self._scales |= {edge_of(one): float(scale) for one in tensors_in(scaled) if one.grad_fn is not None}

    def forward_begins(self) -> None:
        """Let go of the oldest graph, before the next one grows."""
        fresh = torch.is_grad_enabled() and not in_backward()  # a checkpoint runs again what has run
        if fresh and self.wanted != "first" and len(self.found) >= self._kept:
            gone = {call for one in self.found[: 1 - self._kept] for call in one.calls}
            self.found = self.found[1 - self._kept :]
            self.log.calls = [call for call in self.log.calls if call not in gone]

    def begin(self, tensors: Any) -> None:
        """Note what an optimizer or a scaler may change, and look at hooks and the gradients of fused layers.

        A hook may change the gradient of a layer before anybody else can look.
        """
        self._begun = begun = BackwardPass()
        roots = [one.grad_fn for one in _listed(tensors) if one.grad_fn is not None]
        ends = [node for node in all_below(roots) if hasattr(node, "variable")]
        for node in ends:
            begun.ends.setdefault(id(node.variable), {})[node, 0] = None
        below = [node.variable for node in ends]
        given = itertools.chain(self.model.parameters(), self.model.buffers(), below, self._scalers.values())
        begun.weights = {
            key: Snapshot.of(one) for key, one in {id(one): one for one in given if can_be_noted(one)}.items()
        }
        begun.hooked = self.hooks.watched(below)
        used = {id(one): one for call in self.log.calls if call.layer is not None for one in call.layer.weights}
        watched = [one for one in used.values() if one.is_leaf and one.requires_grad]
        self._handles = [put_first(one, _adder(begun.gradients, id(one))) for one in watched]

    def end(self) -> None:
        """Look no more."""
        for one in (*self._begun.hooked, *self._handles):
            one.remove()

    def note(self, tensors: Any, seeds: Any, *, freed: bool = False) -> None:
        """Note a pass that was walked from `tensors`; `freed` says that its graph was meant to be let go of."""
        self.count += 1
        new, self._begun, log = self._begun, BackwardPass(), self.log
        listed = _listed(tensors)
        given = [None] * len(listed) if seeds is None else _listed(seeds)
        usable = [(one, g) for one, g in zip(listed, given, strict=True) if getattr(one, "grad_fn", None) is not None]
        roots = [edge_of(one) for one, _ in usable]
        least = min((call.begin for call in log.calls), default=0)
        nodes = {number_of(node): node for node in at_and_below((node for node, _ in roots), least, tables=True)}
        others = {call for one in self.found for call in one.calls} | {call for call in log.calls if call.waited}
        calls = reached(nodes, log.calls, others)
        scales = [self._scale_of(root) for root in roots]
        if not calls or (log.closed and sum(log.counts.values()) > self._closed_at):
            return
        if len({call.thread for call in calls}) > 1:
            raise InputError("its modules were called in several threads, in each of which PyTorch counts anew.")
        new.losses = [(one.detach(), scale) for (one, _), scale in zip(usable, scales, strict=True)]
        self._walked += new.losses
        own = next((one for one in self.found if not set(calls).isdisjoint(one.calls)), None)
        if own is None:
            if self.wanted == "first" and self.found:
                return
            own = BackwardPass()
            self.found = [*self.found, own][-self._kept :]
        own.calls = [call for call in log.calls if call in {*calls, *own.calls}]
        own.factor = next((one for one in scales if one != 1), own.factor)
        own.twice |= any(_keeps(nodes[number]) for number in own.freed & nodes.keys())
        own.number, own.names, own.retained = self.count, dict(self.model.named_parameters()), self.hooks.retaining()
        new.roots, new.freed = roots, {*nodes} if freed else set()
        with torch.enable_grad():
            new.owners = [one.view_as(one) for one, _ in usable if isinstance(one.grad_fn, torch._C._FunctionBase)]
        new.seeds = [
            full_at(edge, 1.0) if g is None else g.detach() for edge, (_, g) in zip(roots, usable, strict=True)
        ]
        own.add(new)
        self._forget(max(call.begin for call in calls))

    def _scale_of(self, root: Edge) -> float:
        """Give what a root was multiplied by, or what it was computed from."""
        if not self._scales:
            return 1.0
        first = oldest(node for node, _ in self._scales)
        known = [root, *((node, place) for _, node, place in walk_down([root[0]], first))]
        return next((found for edge in known if (found := self._scales.pop(edge, None)) is not None), 1.0)

    def _forget(self, newest: int) -> None:
        """Let go of calls that no pass reached for a while: the last one has reached calls up to `newest`."""
        log, held = self.log, {call for one in self.found for call in one.calls}
        for call in log.calls:
            call.waited = 0 if call in held else call.waited + (call.begin < newest)
        log.calls = [call for call in log.calls if call.waited < _PATIENCE]
        if self.wanted == "first" and not log.closed:
            log.closed, self._closed_at = True, sum(log.counts.values())


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


def _adder(found: dict[int, Any], key: int) -> Any:
    def add(gradient: Any) -> None:  # holds the list only: a cycle through C++ is never collected
        known = found.get(key)
        found[key] = gradient.detach().clone() if known is None else known + gradient.detach()

    return add


def _keeps(node: Any) -> bool:
    """Whether a node holds tensors for the way back, which PyTorch lets go of once it was walked."""
    kept = [name for name in dir(node) if name.startswith("_raw_saved_")]
    return bool(node._raw_saved_tensors) if kept == ["_raw_saved_tensors"] else bool(kept)


def reached(nodes: Iterable[int], calls: list[Call], others: Container[Call]) -> list[Call]:
    """Find the calls that made one of some nodes, the steps between them, and those before a cut.

    What other passes reached, `others`, is a window of its own.
    """
    ordered = sorted(nodes)
    places = [bisect_left(ordered, call.begin) for call in calls]
    hit = [k < len(ordered) and ordered[k] < call.end for k, call in zip(places, calls, strict=True)]
    kept = set(itertools.compress(calls, hit))
    _add_steps_between(calls, kept)
    _add_steps_before(calls, kept, others)
    return [call for call in calls if call in kept]


def _add_steps_between(calls: list[Call], kept: set[Call]) -> None:
    """Add steps that nothing reaches, as those before a cut, where later ones are reached: these keep their number."""
    last, before = {call.path: call for call in calls if call in kept}, dict[str, Call]()
    for call in calls:
        earlier = before.get(call.path)
        if earlier is not None and call not in kept and call.begin < last[call.path].begin and _leads(earlier, call):
            kept.add(call)
        if call in kept:
            before[call.path] = call


def _add_steps_before(calls: list[Call], kept: set[Call], others: Container[Call]) -> None:
    """Add steps at the start that nothing reaches, where the next took what they handed out, as a detached state."""
    first = {call.path: call for call in reversed(calls) if call in kept}
    for call in reversed(calls):
        later = first.get(call.path)
        if later is not None and call.begin < later.begin and call not in others and _took(later, call):
            kept.add(call)
            first[call.path] = call


def _took(later: Call, call: Call) -> bool:
    """Tell whether a call was given what another handed out."""
    given = {one.tensor.untyped_storage().data_ptr() for one in later.taken if isinstance(one, TensorRef)}
    handed = {one.tensor.untyped_storage().data_ptr() for one in call.values.values()}
    return not given.isdisjoint(handed) or _leads(call, later)


def _leads(earlier: Call, call: Call) -> bool:
    return earlier.leads_to(node for node, _ in call.out)
