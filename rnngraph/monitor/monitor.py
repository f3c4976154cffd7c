"""The monitor of a training: looks at every n-th step before the weights change, and is not there in between.

In: steps of optimizers. Out: traces in a folder, and scalars to a logger. Nothing of the run changes, and nothing that
goes wrong here ends it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import torch

from rnngraph.errors import InputError, said
from rnngraph.measure.lag_options import LagOptions
from rnngraph.monitor.cost import Cost
from rnngraph.monitor.folder import Folder
from rnngraph.monitor.scalars import Updates, name_of, scalars
from rnngraph.monitor.steps import Steps
from rnngraph.sources.torch.autograd.edges import in_backward
from rnngraph.sources.torch.capture.unwrap import process_rank, sharded
from rnngraph.sources.torch.watch import Watch
from rnngraph.trace.model import Trace

Log: TypeAlias = Callable[[dict[str, float], int], object]


class Monitor:
    """Made by `monitor`. Close it at the end, or use it in a `with` statement around the training."""

    def __init__(
        self,
        model: Any,
        *,
        every: int,
        start: int,
        only: str | Sequence[str] | None,
        lags: LagOptions,
        horizon: int | None,
        folder: Folder | None,
        log: Log | None,
    ) -> None:
        """Be on before the first step; `model` is what nothing is wrapped around. For the others see `monitor`."""
        self.values: dict[str, float] = {}  # of the last measurement
        self.notes: list[str] = []  # what went wrong
        self.closed = False
        self._model, self._every, self._start = model, every, start
        self._only, self._lags, self._horizon = only, lags, horizon
        self._folder, self._log = folder, log
        self._watch: Watch | None = None  # on from before a forward pass until the weights are about to change
        self._failure = ""  # why the step under way was not measured so far
        self._unlogged: Updates | None = None
        self._cost = Cost()
        self._unsaid: list[str] = []  # notes for the next trace
        self._trained = False  # whether the model was in training mode at its last step
        self._steps = Steps(model, start, self._before, self._after)
        self._look_on()

    def __repr__(self) -> str:
        """Say of which model, how far it is, and where the traces are."""
        where = f", {len(self.files)} traces in {self._folder.path}" if self._folder else ""
        return f"<Monitor of {type(self._model).__name__} at step {self.step}{where}>"

    @property
    def step(self) -> int:
        """The steps that were taken before the one under way; before the last one, once that is over."""
        return self._steps.taken

    @property
    def files(self) -> list[Path]:
        """The traces in the folder, in the order of their steps."""
        return list(self._folder.files) if self._folder else []

    def __enter__(self) -> Monitor:
        """Run along to the end of the block."""
        if self.closed:
            raise InputError("this monitor is closed; make a new one with rnngraph.torch.monitor(model, ...).")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take everything off, also after an exception."""
        self.close()

    def close(self) -> None:
        """Take everything off; a second call does nothing."""
        if self.closed:
            return
        self.closed = True
        self._steps.stop()
        self._look_off()
        self._give_up(self.step)
        self._tell(None)
        if not self._steps.begun:
            self._note(
                "nothing was measured: no optimizer of torch.optim that holds a weight of "
                f"{type(self._model).__name__} took a step"
            )

    # ---- what the steps call
    def _before(self, begins: bool) -> None:
        try:
            if begins:
                self._give_up(self.step - 1)
                if not self._due(self.step):
                    self._look_off()
            if in_backward():
                self._failure = "its optimizer steps inside the backward pass, before that can be asked"
            elif self._watch is not None and (begins or self._failure):
                with self._cost.counted(self.step):
                    self._measure(self._watch)
                if much := self._cost.sentence(self.step):
                    self._note(much)
        except Exception as error:  # a long training never ends because it is watched
            self._note(f"step {self.step} was not measured: {said(error)}")

    def _after(self, optimizer: Any) -> None:
        try:
            self._trained = self._model.training
            self._tell(optimizer)
            if not self._failure and self._due(self.step + 1):
                self._look_off()  # what another optimizer of the same step was about is not of the next
                self._look_on()
        except Exception as error:  # likewise
            self._note(f"step {self.step + 1} is not measured: {said(error)}")

    def _due(self, step: int) -> bool:
        return step == self._start or step % self._every == 0

    # ---- one measurement
    def _look_on(self) -> None:
        # Where weights are divided among processes all must ask alike, or they would wait for each other.
        if _speaks() or sharded(self._model):
            watch = Watch(self._model, self._only)
            watch.lags = self._lags
            watch.__enter__()
            # An evaluation is no training, and its graph need not be kept.
            watch.log.asleep = lambda: self._trained and not self._model.training
            self._watch = watch

    def _look_off(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.__exit__(None, None, None)

    def _measure(self, watch: Watch) -> None:
        """Measure the last backward pass, and keep the weights of every recurrence, where they are whole."""
        try:
            self._look_off()
            with torch.enable_grad():
                trace = watch.trace(lags=self._lags)
                weights = watch.weights() if watch.passes.found else {}
        except Exception as error:
            # Another optimizer of the same step may be the one that trains the recurrence.
            self._failure = said(error, longest=None)
            self._look_on()
            return
        self._failure = ""
        self.values, self._unlogged = {}, Updates(weights)
        if _speaks():
            self._deliver(replace(trace, training_step=self.step, training_loss=watch.passes.loss))

    def _deliver(self, trace: Trace) -> None:
        with self._noting(f"the trace of step {self.step} was not saved"):
            if self._folder:
                self._folder.add(replace(trace, notes=(*trace.notes, *self._unsaid)))
                self._unsaid = []
        with self._noting(f"step {self.step} has no scalars"):
            self.values = scalars(trace, self._horizon)

    def _tell(self, optimizer: Any) -> None:
        """Log once the weights have changed, so that it is known how far."""
        updates, self._unlogged = self._unlogged, None
        if updates is None:
            return
        if optimizer is not None:
            self.values |= {name_of(name, "update_share"): share for name, share in updates.shares(optimizer)}
        if self._log and _speaks() and self.values:
            with self._noting(f"the scalars of step {self.step} were not logged"):
                self._log(dict(self.values), self.step)

    # ---- what goes wrong
    def _give_up(self, step: int) -> None:
        failure, self._failure = self._failure, ""
        if failure:
            self._note(f"step {step} was not measured: {failure}")

    @contextlib.contextmanager
    def _noting(self, what: str) -> Any:
        try:
            yield
        except Exception as error:
            self._note(f"{what}: {said(error, longest=None)}")

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._unsaid.append(text)
        with contextlib.suppress(RuntimeWarning):  # where warnings are errors
            warnings.warn(text, RuntimeWarning, stacklevel=2)


def _speaks() -> bool:
    """Whether this process is the one that writes and logs."""
    return process_rank() in (None, 0)
