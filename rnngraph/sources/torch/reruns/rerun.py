"""A watched pass run again with changed weights, on a copy of the model and on the batch that was captured.

In: a watch that has seen a pass. Out: recordings of the copy. What reached the outputs of the user's call reaches them
again; a pass that does not come out the same without a change is not run again at all.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.autodiff.contribution import Array
from rnngraph.sources.tape.recording import TapeRecording
from rnngraph.sources.torch.autograd.edges import Edge, full_at, tensors_in
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.capture.module_calls import Call, TensorRef
from rnngraph.sources.torch.gradients.state_gradients import arrived_at
from rnngraph.sources.torch.graph_recording import TorchRecording
from rnngraph.sources.torch.inputs.network_inputs import read_inside
from rnngraph.sources.torch.recurrences.recurrence import MARKED, Recurrence
from rnngraph.sources.torch.reruns.changed_weights import change_weights
from rnngraph.trace.change import TRUNCATE, Change

if TYPE_CHECKING:
    from rnngraph.sources.torch.watch import Watch

_SAME = 1e-3  # up to which two runs of one pass may differ


class Rerun:
    """Runs a pass again; it is `Changeable`."""

    def __init__(self, watch: Watch, recording: TorchRecording) -> None:
        """Look at a pass."""
        self._watch, self._recording = watch, recording
        self._outer = _outer(recording)
        self._able: bool | None = None
        self._seeds: list[Any] = []  # by output of the call

    def changed(self, changes: Sequence[Change]) -> Any:
        """Run the pass again; None where a change means nothing here, or where the module cannot be called again."""
        if [change.kind for change in changes] == [TRUNCATE]:
            inside = self._inside()
            return None if inside is None else inside.changed(changes)
        if self._able is None:
            self._able = self._run(()) is not None
        return self._run(changes) if self._able else None

    def gradients(self) -> Mapping[str, Array]:
        """Give the gradients of one fused layer's weights by name; none else, as a cut changes what reaches others."""
        inside = self._inside()
        return {} if inside is None else inside.gradients()

    def _inside(self) -> TapeRecording | None:
        """Give the inside of a fused layer that is called once, alone, as a recording."""
        one = self._recording.recurrences[0]
        if len(self._recording.recurrences) > 1 or not one.fused or len(one.calls) > 1:
            return None
        inside = self._recording.inside(one.calls[0])
        return TapeRecording(inside.tape, inside.starts(arrived_at(inside, self._recording.total)), joint=False)

    def _run(self, changes: Sequence[Change]) -> TorchRecording | None:
        try:
            model = None if self._outer is None else self._copied(changes)
            return None if model is None or self._outer is None else self._traced(model, self._outer)
        except Exception:  # of a module that cannot be copied, or be called again
            return None

    def _copied(self, changes: Sequence[Change]) -> Any:
        """Copy the model with the weights of the time, and change them; None where a change means nothing."""
        own = self._watch.model
        held = [one for module in own.modules() for one in tensors_in(vars(module)) if one.grad_fn is not None]
        model = copy.deepcopy(own, {id(one): one.detach().clone() for one in held})  # what was computed has no copy
        copies = {id(weight): copied for weight, copied in zip(own.parameters(), model.parameters(), strict=True)}
        parts = dict(zip(own.modules(), model.modules(), strict=True))
        acting = [hook for one in self._recording.run.hooked for hook in one.acting.values()]
        for module, copied in parts.items():
            for name in ("_backward_hooks", "_backward_pre_hooks"):
                kept = {key for key, hook in getattr(module, name).items() if hook in acting}
                for key in getattr(copied, name).keys() - kept:
                    del getattr(copied, name)[key]
        with torch.no_grad():
            for key, weight in copies.items():
                weight.copy_(self._recording.run.weights[key].value)
            for change in changes:
                for one in self._recording.recurrences:
                    if not change_weights(one, parts.get(one.module), copies, change):
                        return None
        return model

    def _traced(self, model: Any, outer: Call) -> TorchRecording | None:
        from rnngraph.sources.torch.watch import Watch

        modules = zip(self._watch.model.modules(), model.modules(), strict=True)
        copied = next(copied for module, copied in modules if module is outer.module)
        watch = Watch(model, self._watch.only)
        with watch:
            result = None if outer.invocation is None else outer.invocation.replay(copied)
            outputs = [one for one in tensors_in(result) if one.grad_fn is not None]
            seeds = self._arrived([edge for edge, _ in outer.returned])
            if [one.shape for one in outputs] != [one.shape for one in seeds]:
                return None
            watch.passes.note(outputs, seeds)
        again = watch.recording()
        if self._able is not None:
            return again
        states, before = ([one.states for one in some.facts] for some in (again, self._recording))
        pairs = zip(outer.returned, outputs, strict=True)
        if states != before or not all(_came_out(kept, one) for (_, kept), one in pairs):
            return None
        return again if self._is_reached(again) else None

    def _is_reached(self, again: TorchRecording) -> bool:
        """Whether as much enters every step; a penalty on a gradient, or a loss of what is kept aside, is left out."""
        run, recurrences = self._recording.run, self._recording.recurrences
        return not any(read_inside(run, one) for one in recurrences) and all(
            np.allclose(again.shares.norms[clock], norms, rtol=_SAME, atol=_SAME * norms.max(initial=0))
            for clock, norms in self._recording.shares.norms.items()
        )

    def _arrived(self, edges: list[Edge]) -> list[Any]:
        """Give what reached every output from outside the call."""
        if not self._seeds:
            run = self._recording.run
            found = vjp(run, loss_cotangents(run), edges, walls=edges)
            self._seeds = [found[edge] if edge in found else full_at(edge, 0.0) for edge in edges]
        return self._seeds


def _came_out(kept: TensorRef, output: Any) -> bool:
    """Whether an output is what it was, as far as that is still known."""
    if kept.value is None:
        return True
    size = float(kept.value.abs().max()) if kept.value.numel() else 0.0
    return bool(torch.allclose(kept.value, output, rtol=_SAME, atol=_SAME * size, equal_nan=True))


def _outer(recording: TorchRecording) -> Call | None:
    """Find the call of the user's own in which all recurrences ran; None of several, and of what was marked in them."""
    some: list[Recurrence] = recording.recurrences
    calls = [call for one in some for call in one.calls]
    outer = {call.outermost for call in calls or recording.run.calls}  # a loop without modules has none of its own
    return None if any(one.how == MARKED for one in some) or len(outer) != 1 else outer.pop()
