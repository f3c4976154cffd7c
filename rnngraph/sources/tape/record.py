"""Record a trace of a loss on a tape: the functions that a user calls.

In: a scalar loss, the tape that a function of the functional interface returned as its cache, or a watch on a model of
another library, which knows itself how it is traced. Out: a `Trace`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rnngraph.autodiff.backward import scalar_cotangent
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.measure import record as measured
from rnngraph.measure.lag_options import LagOptions, asked
from rnngraph.measure.spectrum import SAMPLES, measure_spectra
from rnngraph.measure.trial import Trial
from rnngraph.sources.tape.recording import TapeRecording
from rnngraph.trace.model import SpectrumTrace, Trace


@runtime_checkable
class Watched(Protocol):
    """What knows itself how it is traced and run again, as an `rnngraph.torch.watch` does."""

    def trace(self, *, lags: LagOptions | bool, spectrum: int, source: str) -> Trace:
        """Measure what was watched."""

    def trial(self) -> Trial:
        """Let remedies be tried."""


def record(
    loss: Tensor | Tape | Watched, *, lags: LagOptions | bool = False, spectrum: int = 0, source: str = ""
) -> Trace:
    """Walk back from `loss` once and measure every state, parameter and input at every timestep.

    Args:
        loss: a scalar tensor; or a tape (the `cache` of the functional interface), walked from the upstream gradients
            that its last backward was given. A tape that no backward has walked gives a trace of "not observed". Or
            an `rnngraph.torch.watch` that has seen a pass.
        lags: also measure the lag matrix, with the default bounds or with the given `LagOptions`.
        spectrum: how many Lyapunov exponents to measure, 0 for none.
        source: where the model comes from, for display.

    Raises:
        InputError: the loss is not a scalar, or nothing that can be recorded; or an option of another kind.
    """
    if isinstance(loss, Watched):
        return loss.trace(lags=lags, spectrum=spectrum, source=source)
    options, spectrum = asked(lags), whole_number(spectrum, "spectrum", least=0)
    return measured.record(open_recording(loss), lags=options, spectrum=spectrum, source=source)


def trial(loss: Tensor | Tape | Watched) -> Trial:
    """Let remedies be tried on what was recorded: `rnngraph.diagnose(trace, trial=rnngraph.trial(loss))`.

    Args:
        loss: what `record` takes.

    Raises:
        InputError: the loss is not a scalar, or neither a tensor nor a tape; or the watch has seen nothing.
    """
    if isinstance(loss, Watched):
        return loss.trial()
    return Trial(open_recording(loss))


def open_recording(loss: Tensor | Tape) -> TapeRecording:
    """Look at a loss, or at a tape that was walked back, as a recording.

    Raises:
        InputError: the loss is not a scalar, or neither a tensor nor a tape.
    """
    if isinstance(loss, Tape):
        return TapeRecording(loss, loss.starts)
    cotangent = scalar_cotangent(loss)
    return TapeRecording(loss.tape, {loss.id: cotangent}, loss=float(loss.value.reshape(())))


def spectrum(
    loss: Tensor | Tape, k: int | None = None, *, stack: str | None = None, samples: int = SAMPLES
) -> SpectrumTrace:
    """Measure the spectrum of the recurrence behind a loss.

    Args:
        loss: any tensor of the tape, or the tape.
        k: how many exponents, the largest first; by default 8, or as many as there are.
        stack: which recurrence, by the `name` that the result carries, where there are several: the layers of one
            stack are one; both directions of a layer are two.
        samples: how many samples of the batch are walked; exponents are means over them.

    Raises:
        InputError: a `k` below 1 or above the size of the state, no recurrence on the tape, or several and no `stack`.
    """
    if not isinstance(loss, Tape | Tensor):
        raise InputError(f"the loss is a {type(loss).__name__}; pass the scalar Tensor that the model computed.")
    tape = loss if isinstance(loss, Tape) else loss.tape
    if not tape.recurrences:
        raise InputError("the tape holds no recurrence; declare the states of your own cell with tape.state.")
    recording = TapeRecording(tape, {})
    found = {
        one.name: one for one in measure_spectra(recording, 8 if k is None else k, samples=samples, clip=k is None)
    }
    if stack is None and len(found) == 1:
        return next(iter(found.values()))
    if stack not in found:
        given = "several recurrences are there" if stack is None else f"there is no recurrence {stack!r}"
        raise InputError(f"{given}; choose with stack=: {', '.join(found)}.")
    return found[stack]
