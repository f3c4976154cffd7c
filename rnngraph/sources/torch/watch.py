"""The watch on a PyTorch model: hooks go on and come off with a `with` statement, and what they saw becomes a trace.

In: a `torch.nn.Module`. Out: a `Watch`, which gives a `Trace`, a loss to check, or traces of a whole training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rnngraph.errors import InputError
from rnngraph.sources.torch.capture import Recorder
from rnngraph.sources.torch.hooks import unwrapped
from rnngraph.sources.torch.options import check_trace
from rnngraph.sources.torch.steps import StepRecorder
from rnngraph.sources.torch.trace import Choice, replayed_loss, traced

if TYPE_CHECKING:
    from rnngraph.autodiff.tensor import Tensor
    from rnngraph.sources.torch.every import Every
    from rnngraph.trace.model import Trace


def watch(model: Any, *, steps: str | None = None) -> Watch:
    """Prepare to watch the recurrent layers of a PyTorch model; use the result in a `with` statement.

    Nothing of the run is changed, not by a bit: the hooks only copy, and they are taken off at the end of the block.

    Args:
        model: a `torch.nn.Module`; `torch.compile` and `DistributedDataParallel` are looked through.
        steps: the path of a module that is called once a timestep, such as `decoder.cell`. A recurrent layer
            or cell is walked again; of any other module hooks show what they can, and the rest is not observed.

    Raises:
        InputError: no module, no recurrent layer in it, or no module at `steps`.
        MissingToolError: PyTorch is not installed.
    """
    return Watch(model, steps=steps)


class Watch:
    """What is seen between entering and leaving the `with` block; entering again starts anew."""

    def __init__(self, model: Any, *, steps: str | None = None) -> None:
        """Find what is to be watched."""
        self.model = unwrapped(model)
        self._given = model
        self._steps = steps
        self._recorder: Recorder | None = None
        self._hooks: StepRecorder | None = None
        self._active = False
        self._prepare()

    def __enter__(self) -> Watch:
        """Put the hooks on."""
        if self._active:
            raise InputError("this watch is already under way; make a second one with watch(model).")
        self._prepare()
        self._active = True
        for recorder in (self._recorder, self._hooks):
            if recorder is not None:
                recorder.attach()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the hooks off, also after an exception."""
        self._active = False
        for recorder in (self._recorder, self._hooks):
            if recorder is not None:
                recorder.detach()

    @property
    def layers(self) -> list[str]:
        """The paths of what is watched."""
        if self._recorder is None:
            return [] if self._hooks is None else [self._hooks.path]
        return [path for path, _, _ in self._recorder.modules]

    def every(self, steps: int, folder: str | Path = "traces", **options: Any) -> Every:
        """Trace every so many steps of a training loop into a folder; see `Every`."""
        from rnngraph.sources.torch.every import Every

        return Every(self, steps, folder, **options)

    def trace(
        self,
        layer: str | None = None,
        *,
        call: int | None = None,
        labels: Sequence[str | None] = (),
        tolerance: float | None = None,
        **options: Any,
    ) -> Trace:
        """Walk what was watched again and measure it.

        Args:
            layer: the path of the recurrent layer, where the model has several that do not run side by side.
            call: which of all the layer's calls, where it was called several times and the calls are not one sequence.
            labels: the text under each timestep.
            tolerance: how far the weights' gradients may be from PyTorch's, relative to the largest; by
                default what the precision of the run allows.
            options: those of `rnngraph.record`: `lags` (measured unless False, so that the trace can be diagnosed),
                `spectrum`, `source`.

        Raises:
            InputError: nothing was called, no backward ran, a choice is needed, or the replay and PyTorch disagree.
        """
        check_trace({"layer": layer, "call": call, "labels": labels, "tolerance": tolerance, **options}, self.layers)
        if self._hooks is not None:
            return self._hooks.trace(str(options.get("source", "")))
        assert self._recorder is not None
        return traced(self._recorder, Choice(layer, call, labels, tolerance, {"lags": True, **options}))

    def replayed(self, layer: str | None = None, *, call: int | None = None) -> Tensor:
        """Walk what was watched again up to a scalar, for `rnngraph.check`: its gradients are those of the run.

        Args:
            layer: as for `trace`.
            call: likewise.

        Raises:
            InputError: see `trace`; or only hooks could be put on.
        """
        if self._recorder is None:
            raise InputError(f"{self._steps} is seen through hooks only, so there is nothing to walk again.")
        return replayed_loss(self._recorder, layer, call)

    def _prepare(self) -> None:
        self._hooks = None
        self._recorder = Recorder(self._given, self._steps)
        if self._recorder.modules:  # also where `steps` names a cell: its steps can be walked again
            return
        if self._steps is None:
            raise InputError(
                f"{type(self.model).__name__} holds no nn.RNN, nn.LSTM, nn.GRU or cell of these; name the module "
                "that is called once a step: watch(model, steps='decoder.cell')."
            )
        self._recorder = None
        modules = dict(self.model.named_modules())
        if self._steps not in modules:
            known = ", ".join(path for path in modules if path) or f"only itself, a {type(self.model).__name__}"
            raise InputError(f"the model has no module {self._steps!r}; it has {known}.")
        self._hooks = StepRecorder(self._steps, modules[self._steps])
