"""The hooks on a running PyTorch model: what every layer was given and returned, and its gates.

In: layers that were read, and the model's modules. Out: `Seen`, filled while the model runs. The hooks only look, and
come off again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from rnngraph.sources.decay.family import Gate
from rnngraph.sources.decay.gates import Running
from rnngraph.sources.decay.read import ReadLayer

_GATE_MODULES = ("forget_gate",)  # hold a layer's decays; the layer is the module around them


@dataclass(slots=True)
class Seen:
    """What the hooks of one layer kept: its calls, and its gates."""

    layer: ReadLayer
    module: Any  # the layer itself
    holder: Any  # the module that holds its decays, mostly the same
    gate: Gate | None
    calls: list[tuple[Any, Any]] = field(default_factory=list)  # input, output
    gates: list[Any] = field(default_factory=list)

    def keep(self, module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        """Keep a call of the layer, as a forward hook."""
        given, returned = _sequence((*arguments, *keywords.values())), _sequence((output,))
        if given is not None and returned is not None and returned.requires_grad:
            self.calls.append((given, returned))

    def keep_gate(self, module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        """Keep what the gate's module gave."""
        running = Running(self.holder, arguments, keywords, output, self.layer.found.tag)
        taken = None if self.gate is None else self.gate.take(running)
        if taken is not None:
            self.gates.append(taken.detach().to("cpu").double().numpy())


def watched(layer: ReadLayer, modules: Mapping[str, Any]) -> Seen:
    """Find the modules to look at."""
    path = layer.found.path
    outer, _, last = path.rpartition(".")
    around = outer if last in _GATE_MODULES else path
    gates = layer.reading.family.gates
    there = (one for one in gates if ".".join(filter(None, (path, one.module))) in modules)
    roles = layer.reading.names
    gate = next((one for one in there if one.role in roles), None)
    return Seen(layer, modules[around], modules[path], gate)


@contextmanager
def hooked(seen: Sequence[Seen]) -> Iterator[None]:
    """Put the hooks on, and take them off at the end of the block, also after an exception."""
    with ExitStack() as hooks:
        for one in seen:
            handles = [
                one.module.register_forward_pre_hook(_with_gradient, with_kwargs=True),
                one.module.register_forward_hook(one.keep, with_kwargs=True),
            ]
            if one.gate is not None:
                target = one.holder.get_submodule(one.gate.module)
                handles.append(target.register_forward_hook(one.keep_gate, with_kwargs=True))
            for handle in handles:
                hooks.callback(handle.remove)
        yield


def _with_gradient(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Let the input take part in autograd where nothing before it does, as under frozen embeddings."""
    given = _sequence((*arguments, *keywords.values()))
    if given is None or given.requires_grad:
        return None
    fresh = given.detach().requires_grad_()
    return (
        tuple(fresh if one is given else one for one in arguments),
        {key: fresh if one is given else one for key, one in keywords.items()},
    )


def _sequence(values: tuple[Any, ...]) -> Any:
    """Find the first floating point tensor of three axes, (batch, time, features)."""
    pending = list(values)
    while pending:
        one = pending.pop(0)
        if hasattr(one, "is_floating_point"):
            if one.is_floating_point() and one.ndim == 3:
                return one
        elif isinstance(one, tuple | list):
            pending = [*one, *pending]
    return None
