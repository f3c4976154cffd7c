"""Run a PyTorch model on a real batch and see its decays at work: the gates, and the credit that is carried.

In: a module, what it is called with, and the layers that were read. Out: a `LiveDecay` a layer. No `.grad` is touched;
hooks only look, and come off again. This is the only place where `decay` meets a running model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions, chosen_losses, chosen_samples
from rnngraph.measure.recording import Losses
from rnngraph.norms import row_norms
from rnngraph.sources.checkpoint.files import plain_name
from rnngraph.sources.decay.families import Gate
from rnngraph.sources.decay.gates import Running
from rnngraph.sources.decay.read import ReadLayer, half_lives, squeezed
from rnngraph.sources.torch.module_and_batch import REDUCTIONS, called, reduced
from rnngraph.trace.decay import LiveDecay
from rnngraph.trace.magnitudes import Floats
from rnngraph.trace.model import LagTrace

_UNSEEN = "the kernel passes its module by, the sequence is packed, or units are dropped between layers"
BLOCK = 64  # steps whose rates are computed together
_GATE_MODULES = ("forget_gate",)  # hold a layer's decays; the layer is the module around them


@dataclass(slots=True)
class _Seen:
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


def observe(module: Any, batch: Any, layers: Sequence[ReadLayer], loss: str) -> list[LiveDecay]:
    """Run the module forward on the batch and look at every layer.

    Raises:
        InputError: an unknown reduction, or the module returned nothing that can be differentiated.
    """
    import torch

    if loss not in REDUCTIONS:
        raise InputError(f"the loss is {loss!r}; choose among {', '.join(REDUCTIONS)}, or return the loss you mean.")
    modules = {plain_name(name): one for name, one in module.named_modules(remove_duplicate=False)}
    seen = [_watched(layer, modules) for layer in layers]
    with torch.enable_grad(), _hooked(seen):
        scalar = reduced(called(module, batch), loss)[0]
    outputs = [one.calls[0][1] for one in seen if one.calls]
    gradients = iter(torch.autograd.grad(scalar, outputs, retain_graph=True, allow_unused=True) if outputs else ())
    return [_live(one, next(gradients) if one.calls else None) for one in seen]


def _live(one: _Seen, gradient: Any) -> LiveDecay:
    notes = []
    half = _gate_half_lives(one)
    if half is None:
        said = "no hook for the gate of this family is known" if one.gate is None else _UNSEEN
        notes.append(f"the gate was not seen: {said}")
    if len(one.calls) > 1:
        notes.append(f"the layer was called {len(one.calls)} times; the credit is that of the first call")
    if gradient is None:
        why = "no gradient of the loss reaches it" if one.calls else "no call had a sequence with a gradient"
        return LiveDecay(half, None, (*notes, f"the credit was not measured: {why}"))
    given, output = one.calls[0]
    time_axis = 0 if getattr(one.module, "batch_first", True) is False else 1
    return LiveDecay(half, _credit(one.layer.decay.name, given, output, gradient, time_axis=time_axis), tuple(notes))


def _gate_half_lives(one: _Seen) -> Floats | None:
    """Take ln 2 over the mean rate of each decay: what is left after many steps is the product of the gates."""
    family = one.layer.reading.family
    if family.steady:
        return one.layer.decay.half_lives
    if one.gate is None or not one.gates:
        return None
    total: Any = 0.0
    places = [place for gates in one.gates for place in np.array_split(*_blocks(gates))]
    for block in places:
        with np.errstate(all="ignore"):
            rates = family.rate({**one.layer.values, one.gate.role: block}, one.layer.numbers)
        total = total + rates.sum(axis=0)
    return half_lives(squeezed(np.asarray(total / sum(len(block) for block in places))))


def _blocks(gates: Floats) -> tuple[Floats, int]:
    """Lay a gate out as (batch and time, features), and say into how many blocks it goes, so that each stays small."""
    flat = gates.reshape(-1, gates.shape[-1])
    return flat, max(len(flat) // BLOCK, 1)


def _credit(name: str, given: Any, output: Any, gradient: Any, *, time_axis: int) -> LagTrace:
    """Pull the gradients of loss steps, as many as of any trace, back to the layer's input, through whatever it runs.

    `L_s` is the loss as far as it reaches the layer at step s: the gradient at the output, masked to that step. Pulled
    back through this layer alone, it says nothing of the layers around it.

    Args:
        name: what the layer is called.
        given: the input tensor, part of the autograd graph, (batch, time, features) or (time, batch, features).
        output: the output tensor, whose first two axes are the same.
        gradient: of the whole loss at the output.
        time_axis: 1, or 0 where time is first.
    """
    import torch

    arriving = _norms(gradient, time_axis)  # (batch, time)
    batch, steps = arriving.shape
    options = LagOptions()
    every = Losses({0: arriving.T})
    samples = chosen_samples(every, batch, options)
    losses = [step for _, step in chosen_losses(every, {batch: samples}, options)]
    log = np.full((len(samples), len(losses), steps + 1), np.nan)
    for row, step in enumerate(losses):
        masked = torch.zeros_like(gradient)
        masked.select(time_axis, step).copy_(gradient.select(time_axis, step))
        (pulled,) = torch.autograd.grad(output, given, masked, retain_graph=True)
        with np.errstate(divide="ignore"):
            norms = np.log(_norms(pulled, time_axis)[samples])
        norms[np.isnan(norms)] = np.inf  # how a trace marks what is not finite
        log[:, row, 1 : step + 2] = norms[:, : step + 1]
    taken = np.array(losses, dtype=np.int64)
    nothing = np.zeros((len(samples), steps), dtype=np.bool_)
    return LagTrace(
        state=name, losses=taken, clocks=np.zeros_like(taken), samples=samples, log=log, copied=nothing,
        severed=nothing, arrivals=np.tile(taken, (len(samples), 1)), available=len(every.pairs), batch=batch,
        max_lag=None,
    )  # fmt: skip


def _norms(tensor: Any, time_axis: int) -> Floats:
    """Take the norm over features, (batch, time)."""
    array = tensor.detach().to("cpu").double().numpy()
    array = array if time_axis == 1 else array.swapaxes(0, 1)
    return row_norms(array.reshape(*array.shape[:2], -1))


# ---- the hooks
def _watched(layer: ReadLayer, modules: Mapping[str, Any]) -> _Seen:
    """Find the modules to look at."""
    path = layer.found.path
    outer, _, last = path.rpartition(".")
    around = outer if last in _GATE_MODULES else path
    gates = layer.reading.family.gates
    there = (one for one in gates if ".".join(filter(None, (path, one.module))) in modules)
    roles = layer.reading.names
    gate = next((one for one in there if one.role in roles), None)
    return _Seen(layer, modules[around], modules[path], gate)


@contextmanager
def _hooked(seen: Sequence[_Seen]) -> Iterator[None]:
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
