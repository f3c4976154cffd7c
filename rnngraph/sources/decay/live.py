"""Run a PyTorch model on a real batch and see its decays at work: the gates, and the credit that is carried.

In: a module, what it is called with, and the layers that were read. Out: a `LiveDecay` a layer. No `.grad` is touched.
This is the only place where `decay` meets a running model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.decay.carried_credit import credit
from rnngraph.sources.decay.hooks import Seen, hooked, watched
from rnngraph.sources.decay.read import ReadLayer, half_lives, squeezed
from rnngraph.sources.decay.tensors import plain_name
from rnngraph.sources.torch.module_and_batch import called, reduced
from rnngraph.trace.decay import LiveDecay
from rnngraph.trace.magnitudes import Floats

_UNSEEN = "the kernel passes its module by, the sequence is packed, or units are dropped between layers"
BLOCK = 64  # steps whose rates are computed together
REDUCTIONS = ("sum", "mean", "every")


def observe(module: Any, batch: Any, layers: Sequence[ReadLayer], loss: str) -> list[LiveDecay]:
    """Run the module forward on the batch and look at every layer.

    Raises:
        InputError: an unknown reduction, or the module returned nothing that can be differentiated.
    """
    import torch

    if loss not in REDUCTIONS:
        raise InputError(f"the loss is {loss!r}; choose among {', '.join(REDUCTIONS)}, or return the loss you mean.")
    modules = {plain_name(name): one for name, one in module.named_modules(remove_duplicate=False)}
    seen = [watched(layer, modules) for layer in layers]
    with torch.enable_grad(), hooked(seen):
        scalar = reduced(called(module, batch), loss)[0]
    outputs = [one.calls[0][1] for one in seen if one.calls]
    gradients = iter(torch.autograd.grad(scalar, outputs, retain_graph=True, allow_unused=True) if outputs else ())
    return [_live(one, next(gradients) if one.calls else None) for one in seen]


def _live(one: Seen, gradient: Any) -> LiveDecay:
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
    return LiveDecay(half, credit(one.layer.decay.name, given, output, gradient, time_axis=time_axis), tuple(notes))


def _gate_half_lives(one: Seen) -> Floats | None:
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
