"""The calls of a model's modules while it is watched: which nodes of the graph each made, and what it handed out.

In: what a module was given and returned. Out: `Call`s in the order in which they ended. Only references are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import (
    Edge,
    edge_of,
    edge_or_leaf,
    in_backward,
    number_now,
    number_of,
    tensors_in,
    unviewed,
    walk_down,
)
from rnngraph.sources.torch.capture.invocation import Invocation
from rnngraph.sources.torch.fused_layers.layout import Layout

FUSED = (nn.RNN, nn.LSTM, nn.GRU)
# Gives the hooks on saved tensors that are on, also those of a checkpoint; PyTorch before 2.8 does not tell.
_saved_by_hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", lambda ignored: None)
_SHARING = torch._C._functorch  # tells whether a transform such as vmap is under way


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor of the run: a reference without its history, and the version that it had."""

    tensor: Any
    version: int

    @staticmethod
    def of(tensor: Any) -> TensorRef:
        """Keep a tensor as it is now."""
        return TensorRef(tensor.detach(), tensor._version)

    @property
    def value(self) -> Any:
        """The tensor; None where it was changed in place since."""
        return self.tensor if self.tensor._version == self.version else None


@dataclass(frozen=True, slots=True)
class Layer:
    """What a fused layer was given and returned."""

    x: TensorRef
    x_edge: Edge | None
    fed_edge: Edge | None  # the same, also of a leaf that needs a gradient
    layout: Layout
    initial: tuple[TensorRef, ...]  # h0, c0; empty where none were given
    initial_edges: tuple[Edge | None, ...]
    output: TensorRef
    final: tuple[TensorRef, ...]
    ports: dict[str, Edge]  # "out", "h", "c"
    weights: tuple[Any, ...]
    random: Any  # the state of the generator before, where masks of dropout were drawn between the layers
    rounded: torch.dtype  # the type of its products: what autocast narrowed them to, or that of the output


@dataclass(eq=False)
class Call:
    """One call of one module."""

    path: str
    module: Any
    begin: int  # the nodes that it made: begin <= sequence number < end
    end: int = 0
    taken: list[Edge | TensorRef] = field(default_factory=list)  # what went in: of plain data the numbers
    out: list[Edge] = field(default_factory=list)  # looks through views
    returned: list[tuple[Edge, TensorRef]] = field(default_factory=list)  # what came out, as it was
    values: dict[Edge, TensorRef] = field(default_factory=dict)
    weights: set[Any] = field(default_factory=set)  # nodes that made what stood in its weights' place, as in MAML
    hidden: bool = False  # whether hooks on saved tensors hide from PyTorch what was changed in place
    layer: Any = None  # a `Layer`, of a fused one
    outer: Call | None = None  # the call of the user's own in which it ran
    invocation: Invocation | None = None  # how it was called, of one that ran in no other
    random: Any = None  # the state of the generator before, where masks of dropout are drawn between the layers
    waited: int = 0  # backward passes that did not reach it
    thread: threading.Thread = field(default_factory=threading.current_thread)  # PyTorch counts nodes in each anew

    @property
    def outermost(self) -> Call:
        """The call of the user's own in which it ran, or which it is."""
        return self.outer or self

    @property
    def taken_edges(self) -> list[Edge]:
        """What went in and was computed, or needs a gradient."""
        return [one for one in self.taken if not isinstance(one, TensorRef)]

    @property
    def given(self) -> list[Edge]:
        """The same, looked at through views."""
        return [unviewed(one) for one in self.taken_edges]

    def check_given(self, given: Iterable[Edge | TensorRef]) -> None:
        """Refuse to ask about numbers that are no longer there.

        Raises:
            InputError: some of what was given was written over.
        """
        if any(isinstance(one, TensorRef) and one.value is None for one in given):
            raise InputError(
                f"what {self.path} was given was changed in place after it, as where the next batch is written over "
                "it: call watch.trace() before, or copy instead of changing."
            )

    @property
    def ports(self) -> Mapping[str, Edge]:
        """What a fused layer handed out; nothing of another."""
        return {} if self.layer is None else self.layer.ports

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return 1 if self.layer is None else self.layer.layout.steps

    def leads_to(self, nodes: Iterable[Any]) -> bool:
        """Tell whether some nodes descend from what was made in it."""
        return any(self.made(node) for _, node, _ in walk_down(nodes, self.begin))

    def made(self, node: Any) -> bool:
        """Tell whether a node was made in it."""
        return self.begin <= number_of(node) < self.end


def by_path(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """Sort calls by the module that was called."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.path, []).append(call)
    return found


class CallLog:
    """Sees calls of the modules of one model."""

    def __init__(self, names: dict[int, str]) -> None:
        """Start with nothing; `names` are paths by the id of a module."""
        self.names = names
        self.calls: list[Call] = []
        self.counts: dict[str, int] = {}  # of all calls, those that no gradient can reach included
        self.closed = False  # what is wanted was seen
        self.asleep: Callable[[], bool] = lambda: False  # whether what runs now is of no interest
        self.failure = ""
        self._under_way: list[Call] = []

    def begin(self, module: Any, owner: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Note that a forward starts; None where it is not to be seen."""
        path = self.names.get(id(module))
        if path is None or in_backward():  # a checkpoint's second run is no call
            return None
        if self._under_way and self._under_way[-1].module is module:  # super().forward
            return None
        if isinstance(module, nn.RNNBase) and owner not in FUSED:  # what a subclass adds lies outside the layer
            return None
        self.counts[path] = self.counts.get(path, 0) + 1
        if self.closed or self.asleep() or not torch.is_grad_enabled() or _SHARING.peek_interpreter_stack() is not None:
            return None
        outer = self._under_way[0] if self._under_way else None
        call = Call(path, module, number_now(), outer=outer, hidden=_saved_by_hooks(True) is not None)
        call.random, call.invocation = _random_state(module), None if outer else Invocation.now(args, kwargs)
        self._under_way.append(call)
        return call

    @property
    def outermost(self) -> bool:
        """Whether no call is under way."""
        return not self._under_way

    def leave(self, call: Call) -> None:
        """Note that a forward ended or raised."""
        call.end = number_now()
        self._under_way = self._under_way[: self._under_way.index(call)]

    def finish(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Keep what a call was given and returned."""
        given = {one.grad_fn for one in call.module._parameters.values() if one is not None and one.grad_fn is not None}
        for one in (*self._under_way, call) if given else ():
            one.weights |= given
        computed = [one for one in tensors_in(result) if one.grad_fn is not None]
        if not computed:
            return
        call.taken = [edge_or_leaf(one) or TensorRef.of(one) for one in tensors_in((args, kwargs))]
        call.returned = [(edge_of(one), TensorRef.of(one)) for one in computed]
        call.out = list(dict.fromkeys(unviewed(edge) for edge, _ in call.returned))
        held = tensors_in([one for one in vars(call.module).values() if isinstance(one, torch.Tensor | tuple | list)])
        for one in (*computed, *held):
            if one.grad_fn is not None:
                call.values.setdefault(unviewed(edge_of(one)), TensorRef.of(one))
        if isinstance(call.module, FUSED):
            call.layer = _layer(call, args, kwargs)
        self.calls.append(call)


def _random_state(module: Any) -> Any:
    """Give the state of the random numbers of its device, where a fused layer draws masks between its layers."""
    if not (isinstance(module, FUSED) and module.training and module.dropout and module.num_layers > 1):
        return None
    device = next(module.parameters()).device
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _layer(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Layer:
    x = args[0] if args else kwargs["input"]
    hx = args[1] if len(args) > 1 else kwargs.get("hx")
    initial = () if hx is None else tuple(hx) if isinstance(hx, tuple | list) else (hx,)
    packed = x._replace(data=None) if isinstance(x, nn.utils.rnn.PackedSequence) else None
    x = x if packed is None else x.data
    ports = {name: edge for name, (edge, _) in zip(("out", "h", "c"), call.returned, strict=False)}
    (_, output), *final = call.returned
    return Layer(
        TensorRef.of(x), _edge(x), edge_or_leaf(x), Layout(x, packed, batch_first=call.module.batch_first),
        tuple(TensorRef.of(one) for one in initial), tuple(_edge(one) for one in initial),
        output, tuple(one for _, one in final), ports, tuple(call.module._flat_weights), call.random,
        _rounded(output.tensor),
    )  # fmt: skip


def _rounded(output: Any) -> torch.dtype:
    kind = output.device.type
    casts = output.dtype != torch.float64 and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if casts else output.dtype


def _edge(tensor: Any) -> Edge | None:
    return edge_of(tensor) if tensor.grad_fn is not None else None
