"""Modules of a copy that forget: their state is reset every so many steps, and only chosen steps show it.

In: a recurrent module of a copy. Out: nothing; its `forward` runs twice, as it is and with resets, and the chosen steps
return what the second computed. Steps of a reverse direction are left as they are: what comes later is no past.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import edge_of, mapped, plain, tensors_in
from rnngraph.sources.torch.watching.calls import FUSED


@dataclass(frozen=True, slots=True)
class Plan:
    """Chunks of so many steps, counted from `phase`; `shown` are the steps that forget, None is all."""

    chunk: int
    phase: int
    shown: Collection[int] | None


class ResetLayer:
    """A fused layer, run layer by layer and direction by direction."""

    def __init__(self, module: Any) -> None:
        """Take its place."""
        self.plan: Plan | None = None
        self._own, self._module = module.forward, module
        self._parts = [[_part(module, k, d) for d in range(1 + module.bidirectional)] for k in range(module.num_layers)]
        module.forward = self._forward

    def begin(self) -> None:
        """Start a sequence."""

    def _forward(self, input: Any, hx: Any = None) -> Any:  # noqa: A002  (PyTorch's own name, which may be a keyword)
        whole, final = self._own(input, hx)
        if self.plan is None:
            return whole, final
        if not isinstance(input, torch.Tensor) or input.dim() != 3:
            raise InputError("the state can be reset in batches of one length; this layer takes packed or single ones.")
        turn = self._module.batch_first
        x, finals = input.transpose(0, 1) if turn else input, []
        for number, row in enumerate(self._parts):
            found = []
            for d, part in enumerate(row):
                start = _start(hx, number * len(row) + d)
                output, last = part(x.flip(0), start) if d else _in_chunks(part, x, start, self.plan)
                found.append(output.flip(0) if d else output)
                finals.append(last)
            x = torch.cat(found, dim=-1)
        shown = self.plan.shown
        if shown is not None:
            mixed, steps = (whole.transpose(0, 1) if turn else whole).clone(), sorted(shown)
            mixed[steps] = x[steps]
            x = mixed
        if shown is None or len(x) - 1 in shown:
            pairs = isinstance(final, tuple)
            final = tuple(map(torch.cat, zip(*finals, strict=True))) if pairs else torch.cat(finals)
        return x.transpose(0, 1) if turn else x, final


def _part(module: Any, number: int, direction: int) -> Any:
    """Make a module of one layer and direction with the same weights."""
    kind = next(one for one in type(module).__mro__ if one in FUSED)
    ending = f"_l{number}{'_reverse' if direction else ''}"
    weights = {key: getattr(module, key + ending) for key in ("weight_ih", "weight_hh")}
    if module.bias:
        weights |= {key: getattr(module, key + ending) for key in ("bias_ih", "bias_hh")}
    more: dict[str, Any] = {"nonlinearity": module.nonlinearity} if kind is nn.RNN else {}
    if module.proj_size:
        more, weights["weight_hr"] = {"proj_size": module.proj_size}, getattr(module, f"weight_hr{ending}")
    width = weights["weight_ih"].shape[1]
    with torch.random.fork_rng(devices=[]):  # a new module draws its weights
        part = kind(width, module.hidden_size, bias=module.bias, **more).to(weights["weight_ih"])
    part.load_state_dict({f"{key}_l0": value.detach() for key, value in weights.items()})
    return part.eval()


def _start(hx: Any, place: int) -> Any:
    if hx is None:
        return None
    return tuple(one[place : place + 1] for one in hx) if isinstance(hx, tuple) else hx[place : place + 1]


def _in_chunks(part: Any, x: Any, start: Any, plan: Plan) -> Any:
    """Run the steps before `phase` from the given state, and then chunk by chunk from none."""
    outputs, first, final = [], 0, None
    for end in (*range(plan.phase or plan.chunk, len(x), plan.chunk), len(x)):
        output, final = part(x[first:end], None if first else start)
        outputs.append(output)
        first = end
    return torch.cat(outputs), final


class ResetSteps:
    """A module that is called step by step; `places` say which of the tensors that it takes and returns are states."""

    def __init__(self, module: Any, places: Sequence[tuple[int, int]]) -> None:
        """Take its place."""
        self.plan: Plan | None = None
        self._own, self._places = module.forward, places
        self._t = 0
        self._states: tuple[list[Any], list[Any]] = ([], [])
        module.forward = self._forward

    def begin(self) -> None:
        """Start a sequence."""
        self._t = 0

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        plan, t = self.plan, self._t
        if plan is None:
            return self._own(*args, **kwargs)
        self._t += 1
        results = []
        for forgets, states in enumerate(self._states):
            given = (args, kwargs)
            if t:
                ends = forgets and (t - plan.phase) % plan.chunk == 0
                new = [torch.zeros_like(one) for one in states] if ends else states
                by = {place: one for (place, _), one in zip(self._places, new, strict=True)}
                given = _replaced(given, by)
            result = self._own(*given[0], **given[1])
            returned = _apart(result)
            states[:] = [returned[place] for _, place in self._places]
            results.append(result)
        return results[plan.shown is None or t in plan.shown]


def _apart(result: Any) -> list[Any]:
    """Give the tensors that were returned, one of those that are views of the same numbers."""
    found: dict[Any, Any] = {}
    for one in tensors_in(result):
        if one.grad_fn is not None:
            found.setdefault(plain(edge_of(one)), one)
    return list(found.values())


def _replaced(given: Any, by: Mapping[int, Any]) -> Any:
    """Put other tensors into a nest, by their number in the order of `tensors_in`."""
    count = itertools.count()
    return mapped(given, lambda one: by.get(next(count), one) if one.is_floating_point() else one)
