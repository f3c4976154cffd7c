"""The watch on a PyTorch model: what runs inside a `with` block is seen, and becomes a trace afterwards.

In: a `torch.nn.Module`. Out: a `Watch`, which gives a `Trace`, says what was found, and gives single tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rnngraph.checks import listed, whole_number
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions, asked
from rnngraph.sources.torch import description
from rnngraph.sources.torch.autograd.edges import Edge, edge_of, unviewed
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.capture.backward_passes import BackwardPasses
from rnngraph.sources.torch.capture.module_calls import CallLog, TensorRef
from rnngraph.sources.torch.capture.patches import put_all
from rnngraph.sources.torch.capture.unwrap import paths_of, sharded, unwrapped
from rnngraph.sources.torch.gradients.weight_gradients import weights_by_recurrence
from rnngraph.sources.torch.graph_recording import TorchRecording
from rnngraph.sources.torch.measured_pass import Backward, checked_backward, chosen, settle_factor, traced
from rnngraph.sources.torch.recurrences.find import Found, find
from rnngraph.trace.model import Trace

if TYPE_CHECKING:
    from rnngraph.measure.trial import Trial


def watch(model: Any, only: str | Sequence[str] | None = None, backward: Backward = "last") -> Watch:
    """Prepare to watch a PyTorch model; use the result in a `with` statement around forward and backward.

    Any recurrence is found: fused layers, cells, modules and loops that are called step by step, with states that are
    returned, kept in attributes or changed on their way. Nothing of the run is changed, not by a bit.

    Args:
        model: a `torch.nn.Module`; `torch.compile` and `DistributedDataParallel` are looked through.
        only: the path of a module, or several, where not all is wanted: `"decoder.cell"`. A module that is called once
            with time as its second axis is asked for the credit of every position.
        backward: which backward pass of the block is kept: the last, the first, or -2 for the last but one.

    Raises:
        InputError: no module, a scripted one, a path that the model has not, or another `backward`.
    """
    return Watch(model, only, backward)


class Watch:
    """What is seen between entering and leaving the `with` block; entering again starts anew."""

    def __init__(self, model: Any, only: str | Sequence[str] | None = None, backward: Backward = "last") -> None:
        """Look at the model."""
        self.model = unwrapped(model)
        self.only = listed(only)
        self.wanted = checked_backward(backward)
        self._names = paths_of(self.model)
        for path in self.only:
            if path not in self._names.values():
                raise InputError(description.no_such_path(self.model, self._names, path))
        self._patches: contextlib.ExitStack | None = None
        self._sharded = sharded(self.model)
        self.lags = LagOptions()  # of sharded weights, which are asked about while the backward pass ends
        self._start()

    def _start(self) -> None:
        self.log = CallLog(self._names)
        self.passes = BackwardPasses(self.model, self.wanted, self.log)
        self.marks: dict[str, list[tuple[Edge, TensorRef]]] = {}
        self._found: dict[BackwardPass, Found] = {}
        self._recordings: dict[BackwardPass, TorchRecording] = {}
        self._asked: Trace | None = None  # of sharded weights, which are whole only until the end of the backward pass

    def __enter__(self) -> Watch:
        """Begin to see."""
        if self._patches is not None:
            raise InputError("this watch is already under way; make a second one with watch(model).")
        self._start()
        self._patches = contextlib.ExitStack()
        try:
            put_all(self._patches, self.model, self.passes)
            if self._sharded:
                self._divide(later=False)
                self.passes.after = self._ask_now
        except Exception as error:  # the run goes on as if it were not watched
            self.log.failure = f"{type(error).__name__}: {error}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take everything off, also after an exception."""
        if self._patches is not None:
            self._patches.close()
            self._patches = None
            self.passes.after = None
            self._divide(later=True)

    def _divide(self, *, later: bool) -> None:
        """Let backward passes divide sharded weights again, or keep them whole, as the kept graph needs them."""
        for one in self._sharded:
            one.set_reshard_after_backward(later)

    def _ask_now(self) -> None:
        """Ask before sharded weights are divided again; afterwards the graph has no weights to walk with."""
        self._asked = None
        try:
            if self.passes.found:
                self._asked = self.trace(lags=self.lags)
        finally:
            self.passes.found.clear()
            self.log.calls.clear()
            for one in self._sharded:
                one.reshard()

    def mark(self, tensor: Any, name: str = "state") -> None:
        """Say, once a step, which tensor is a state: for a loop that no module shows.

        Nothing happens outside the block, so that the line may stay in the code.
        """
        if self._patches is not None and getattr(tensor, "grad_fn", None) is not None:
            self.marks.setdefault(name, []).append((unviewed(edge_of(tensor)), TensorRef.of(tensor)))

    def trace(
        self,
        *,
        backward: Backward | None = None,
        lags: LagOptions | bool = True,
        spectrum: int = 0,
        labels: Sequence[str | None] = (),
        source: str = "",
    ) -> Trace:
        """Measure what was watched.

        Args:
            backward: which backward pass, where not the one that the watch was made for.
            lags: also measure the lag matrix, with the default bounds or with the given `LagOptions`.
            spectrum: how many Lyapunov exponents to measure, of fused layers; 0 for none.
            labels: the text under each timestep.
            source: where the model comes from, for display.

        Raises:
            InputError: nothing was called, nothing recurrent was found, no backward ran inside the block, or the watch
                itself failed.
        """
        options = asked(lags)
        if self._asked is not None:
            return self._asked
        exponents, run = whole_number(spectrum, "spectrum", least=0), chosen(self, backward)
        return traced(self, run, options, spectrum=exponents, labels=labels, source=source)

    def state(self, name: str, t: int, *, backward: Backward | None = None) -> tuple[Any, Any]:
        """Give value and gradient of a state, such as "decoder.cell.h", at a step, as tensors.

        Raises:
            InputError: there is no such state or step, or it stands inside a fused layer.
        """
        from rnngraph.sources.torch.tensors import state

        return state(self.recording(backward), name, t)

    def row(self, step: int, *, clock: int | None = None, backward: Backward | None = None) -> dict[str, list[Any]]:
        """Give the gradients of the loss of one step, by state and by input: a tensor a step; None is nothing.

        Args:
            step: the timestep of the loss.
            clock: which recurrences' steps are meant, where there are several; by default those that a loss enters.
            backward: see `trace`.

        Raises:
            InputError: no loss enters at that step.
        """
        from rnngraph.sources.torch.tensors import row

        return row(self.recording(backward), step, clock)

    def trial(self, *, backward: Backward | None = None) -> Trial:
        """Let remedies be tried on the batch that was seen: `rnngraph.diagnose(trace, trial=watch.trial())`.

        The model is copied, and its module is called again as the block called it; where all recurrences do not lie in
        one call, or the copy does not do the same, nothing can be tried and advice has no number.

        Raises:
            InputError: see `trace`.
        """
        from rnngraph.measure.trial import Trial
        from rnngraph.sources.torch.reruns.rerun import Rerun

        return Trial(Rerun(self, self.recording(backward)))

    def recording(self, backward: Backward | None = None) -> TorchRecording:
        """Give a pass as what `measure` asks."""
        return self.record(chosen(self, backward))

    def weights(self) -> dict[str, list[Any]]:
        """Give the parameters that each recurrence trains, by its name in the trace.

        Raises:
            InputError: see `trace`.
        """
        return weights_by_recurrence(self.recording())

    def __repr__(self) -> str:
        """Say what is watched, and how much ran; `print` says what was found."""
        passes = f"{self.passes.count} backward pass{'' if self.passes.count == 1 else 'es'}"
        return f"<Watch of {type(self.model).__name__}: {passes}; print it for what was found>"

    def __str__(self) -> str:
        """Say what was found, and what was not and why."""
        return description.text(self)

    def find(self, run: BackwardPass | None = None) -> Found:
        """Give what was found in a pass, by default in the one that is traced."""
        run = chosen(self, None) if run is None else run
        if run not in self._found:
            names = {id(weight): name for name, weight in self.model.named_parameters()}
            with run.as_it_was():
                self._found[run] = find(run.calls, run.roots, self.marks, self.only, names)
        return self._found[run]

    def record(self, run: BackwardPass) -> TorchRecording:
        """Give a pass as what `measure` asks."""
        found = self.find(run)
        if not found.recurrences:
            raise InputError(description.nothing_found(self, found))
        if empty := next((one.path for one in found.recurrences if not one.batch()), ""):
            raise InputError(f"{empty} ran on a batch of no samples, of which nothing can be told.")
        if apart := description.taken_apart(run, found.recurrences):
            raise InputError(apart)
        if run not in self._recordings:
            settle_factor(run)
            weights = {id(weight): name for name, weight in self.model.named_parameters()}
            with run.as_it_was():
                self._recordings[run] = TorchRecording(
                    run, found.recurrences, weights, model=description.model_title(self.model, found)
                )
        return self._recordings[run]
