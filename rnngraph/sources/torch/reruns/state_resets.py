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

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.edges import mapped, tensors_in


@dataclass(frozen=True, slots=True)
class Plan:
    """Chunks of so many steps, counted from `phase`; `shown` are the steps that forget, None is all."""

    chunk: int
    phase: int
    shown: Collection[int] | None


class ResetLayer:
    """A fused layer, run layer by layer and direction by direction."""

    def __init__(self, module: Any) -> None:
        """Take its place; `begin` comes before every run."""
        self._own, self._module = module.forward, module
        self._kernel = getattr(torch._VF, module.mode.lower())
        module.forward = self._forward

    def begin(self, plan: Plan) -> None:
        """Start a sequence."""
        self.plan = plan

    def _forward(self, input: Any, hx: Any = None) -> Any:  # noqa: A002  (PyTorch's own name, which may be a keyword)
        whole, final = self._own(input, hx)
        if not isinstance(input, torch.Tensor) or input.dim() != 3:
            raise InputError("the state can be reset in batches of one length; this layer takes packed or single ones.")
        ends, turn = final if isinstance(final, tuple) else (final,), self._module.batch_first
        first = [torch.zeros_like(one) for one in ends] if hx is None else hx if isinstance(hx, tuple) else (hx,)
        x, side, finals = input.transpose(0, 1) if turn else input, list[Any](), list[Any]()
        for place, names in enumerate(self._module._all_weights):
            weights = [getattr(self._module, name) for name in names]
            reverse = names[0].endswith("_reverse")
            output, last = self._in_chunks(weights, x, [one[place : place + 1] for one in first], reverse=reverse)
            side.append(output)
            finals.append(last)
            if reverse or not self._module.bidirectional:
                x, side = torch.cat(side, dim=-1), []
        shown = [*range(len(x))] if self.plan.shown is None else sorted(self.plan.shown)
        mixed = (whole.transpose(0, 1) if turn else whole).clone()
        mixed[shown] = x[shown]
        if len(x) - 1 in shown:
            ends = tuple(map(torch.cat, zip(*finals, strict=True)))
            final = ends if isinstance(final, tuple) else ends[0]
        return mixed.transpose(0, 1) if turn else mixed, final

    def _in_chunks(self, weights: list[Any], x: Any, first: list[Any], *, reverse: bool) -> tuple[Any, list[Any]]:
        """Run one layer and direction from the given state, and from none after every end of a chunk."""
        phase, chunk = self.plan.phase, self.plan.chunk
        cuts = [] if reverse else range(phase or chunk, len(x), chunk)
        outputs, last = [], first
        for begin, end in itertools.pairwise((0, *cuts, len(x))):
            start = tuple(torch.zeros_like(one) for one in first) if begin else tuple(first)
            part, hx = x.flip(0) if reverse else x[begin:end], start if len(start) > 1 else start[0]
            output, *last = self._kernel(part, hx, weights, self._module.bias, 1, 0.0, False, False, False)
            outputs.append(output.flip(0) if reverse else output)
        return torch.cat(outputs), last


class ResetSteps:
    """A module that is called step by step; `places` say which of the tensors that it takes and returns are states."""

    def __init__(self, module: Any, places: Sequence[tuple[int, int]]) -> None:
        """Take its place; `begin` comes before every run."""
        self._own, self._places = module.forward, places
        self._states: tuple[list[Any], list[Any]] = ([], [])
        module.forward = self._forward

    def begin(self, plan: Plan) -> None:
        """Start a sequence."""
        self.plan, self._t = plan, 0

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        plan, t = self.plan, self._t
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
            returned = [one for one in tensors_in(result) if one.grad_fn is not None]
            states[:] = [returned[place] for _, place in self._places]
            results.append(result)
        return results[plan.shown is None or t in plan.shown]


def _replaced(given: Any, by: Mapping[int, Any]) -> Any:
    """Put other tensors into a nest, by their number in the order of `tensors_in`."""
    count = itertools.count()
    return mapped(given, lambda one: by.get(next(count), one) if [*tensors_in(one)] else one)
