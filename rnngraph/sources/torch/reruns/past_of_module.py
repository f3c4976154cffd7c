"""The past that a trained PyTorch model uses: its loss where the state is reset so many steps before it.

In: a module and a batch. Out: a `ContextTrace`. A copy is run, in evaluation mode. At the steps that are measured the
recurrence hands out what it computes with resets, elsewhere what it computes without: the loss then differs by what
those steps lose, whatever stands above.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from rnngraph.errors import InputError
from rnngraph.measure.past_in_use import exact, measure_context, phases
from rnngraph.sources.torch.autograd.edges import unviewed
from rnngraph.sources.torch.capture.module_calls import TensorRef
from rnngraph.sources.torch.module_and_batch import called, reduced
from rnngraph.sources.torch.recurrences.recurrence import STEPS, Recurrence
from rnngraph.sources.torch.reruns.state_resets import Plan, ResetLayer, ResetSteps
from rnngraph.sources.torch.watch import watch
from rnngraph.trace.used_past import ContextTrace

_SAME = 1e-4  # up to which two ways to one loss may differ


def context_of_pair(
    module: Any, batch: Any, *, loss: str | None = None, only: str | None = None, most: int | None = None
) -> ContextTrace:
    """Measure the loss over kept context: 0, 1, 2, 4, ... steps of the past, and the lag in use.

    Of a loss at many steps, `kept` is what it would be if every step lost what the measured ones lose.

    Args:
        module: a trained `torch.nn.Module` that returns its loss, or losses to be reduced.
        batch: what it is called with; see `trace_pair`.
        loss: how losses that it returns are reduced.
        only: the path of the recurrent module, where there are several.
        most: the longest context that is tried.

    Raises:
        InputError: the state cannot be reset there, or the loss is not finite or reads many steps at once.
    """
    return _Measure(module, batch, loss, only).context(most)


class _Measure:
    def __init__(self, module: Any, batch: Any, loss: str | None, only: str | None) -> None:
        try:
            self.model = copy.deepcopy(module).eval()
        except (RuntimeError, TypeError) as error:
            raise InputError(f"the module cannot be copied, as its state would be reset in a copy: {error}") from None
        self.batch, self.loss, self.random = batch, loss, torch.get_rng_state()
        seen = watch(self.model, only=only)
        with seen:
            scalar = self._scalar()
            seen.passes.note(scalar, None)
        self.recording = seen.recording()
        self.time = self.recording.tracks[0].recurrence.steps
        entered = self.recording.losses().pairs
        self.steps = np.unique(entered[:, 1])
        self.full = float(scalar.detach())
        self._check(len(np.unique(entered[:, 0])))
        self.resets = [_reset(one) for one in self.recording.recurrences]
        self._check_resets()

    def _check(self, clocks: int) -> None:
        some = self.recording.recurrences
        paths = " and ".join(one.path for one in some)
        if not np.isfinite(self.full):
            raise InputError(f"the loss is {self.full}, so that nothing can be said of what it uses.")
        if self.recording.shares.joint:
            raise InputError("the loss reads many steps at once: there is no one step before which the past ends.")
        if not self.steps.size:
            raise InputError(
                "no gradient of the loss reaches the recurrence: it is not connected, masked, or solved exactly."
            )
        if len({*self.recording.clocks.values()}) > 1 or clocks > 1:
            raise InputError(f"{paths} do not take their steps together: name one of them (--layer, only=).")
        if len(some) > 1 and self.steps.size > 1:
            raise InputError(
                f"the loss is at {self.steps.size} steps of {paths}, of which one alone could be reset: make them "
                "layers of one module, or take a loss at one step."
            )

    def _scalar(self) -> Any:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(self.random)
            scalar, how = reduced(called(self.model, self.batch), self.loss or "sum")
        if how and self.loss is None:
            raise InputError(
                f"{type(self.model).__name__} returned no scalar, and of an output alone nothing gets worse: let it "
                "return its loss (where it returns several, say how they are reduced: --loss, reduce=)."
            )
        return scalar

    def value(self, chunk: int, phase: int, shown: Collection[int] | None) -> float:
        """Give the loss with resets."""
        for one in self.resets:
            one.begin(Plan(chunk, phase, shown))
        return float(self._scalar().detach())

    def _check_resets(self) -> None:
        near = _SAME * max(abs(self.full), 1e-30)
        if not abs(self.value(self.time + 1, 0, None) - self.full) <= near:
            raise InputError(
                "the state cannot be reset: between two steps something is done with it besides handing it on."
            )
        if self.steps.size > 1:
            both, one, other = (
                self.value(1, 0, set(some.tolist())) - self.full
                for some in (self.steps, self.steps[::2], self.steps[1::2])
            )
            if not abs(one + other - both) <= near + 1e-3 * (abs(one) + abs(other)):
                raise InputError("the loss reads many steps at once: there is no one step before which the past ends.")

    def context(self, most: int | None) -> ContextTrace:
        """Measure all."""
        return measure_context(self._at, self.steps, model=self.recording.model, timesteps=self.time, most=most)

    def _at(self, lag: int) -> tuple[float, float, int]:
        lost, count = 0.0, 0
        alone = self.steps.size == 1
        for phase in phases(self.steps, lag):
            chosen = exact(self.steps, lag, phase).tolist()
            lost += self.value(lag + 1, phase, None if alone else set(chosen)) - self.full
            count += len(chosen)
        return self.full + lost * self.steps.size / count, self.full, count * self.recording.batch


def _reset(one: Recurrence) -> ResetLayer | ResetSteps:
    """Put resets into a module.

    Raises:
        InputError: its state is not handed on by what it takes and returns.
    """
    if one.fused and len(one.calls) == 1:
        return ResetLayer(one.module)
    places = _places(one) if one.how == STEPS and one.stride == 1 else []
    if not places:
        raise InputError(
            f"the state of {one.path} ({one.title}) cannot be reset: it can in nn.RNN, nn.LSTM and nn.GRU that take a "
            "whole sequence, and in modules that take their state and return the next at every step."
        )
    return ResetSteps(one.module, places)


def _places(one: Recurrence) -> list[tuple[int, int]]:
    """Find which tensors that a step takes are which that the step before returned."""
    t = max(one.steps // 2, 1)
    returned = [unviewed(edge) for edge, _ in one.calls[t - 1].returned]
    edges = [None if isinstance(item, TensorRef) else unviewed(item) for item in one.calls[t].taken]
    found = [(k, returned.index(edge)) for k, edge in enumerate(edges) if edge is not None and edge in returned]
    return found if set(one.states[t - 1]) <= {returned[place] for _, place in found} else []
