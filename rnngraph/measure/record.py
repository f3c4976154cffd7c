"""Record a trace: walk the tape in reverse once and measure what passes.

In: a scalar loss, or the tape that a function of the functional interface returned as its cache. Out: a `Trace`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnngraph.autodiff.backward import scalar_cotangent, sweep
from rnngraph.autodiff.tape import Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.trace.model import Trace
from rnngraph.measure.observer import Observer

if TYPE_CHECKING:
    from rnngraph.measure.lag_options import LagOptions


def record(loss: Tensor | Tape, *, lags: LagOptions | bool = False, spectrum: int = 0, source: str = "") -> Trace:
    """Walk back from `loss` once and measure every state, parameter and input at every timestep.

    Args:
        loss: a scalar tensor; or a tape (the `cache` of the functional interface), walked from the upstream gradients
            that its last backward was given. A tape that no backward has walked gives a trace of "not observed".
        lags: also measure the lag matrix, with the default bounds or with the given `LagOptions`.
        spectrum: how many Lyapunov exponents to measure, 0 for none.
        source: where the model comes from, for display.

    Raises:
        InputError: the loss is not a scalar, or neither a tensor nor a tape; or an option of another kind.
    """
    options = _lag_options(lags)
    spectrum = whole_number(spectrum, "spectrum", least=0)
    cotangent = None if isinstance(loss, Tape) else scalar_cotangent(loss)
    tape = loss if isinstance(loss, Tape) else loss.tape
    starts = dict(tape.starts) if isinstance(loss, Tape) else {loss.id: np.asarray(cotangent)}
    with np.errstate(all="ignore"):  # overflow is a finding, not a warning
        observer = Observer(tape, starts)
        for step in sweep(tape, starts):
            observer.see(step)
        trace = observer.trace(None if isinstance(loss, Tape) else float(loss.value.reshape(())), source)
        if options is not None:
            from rnngraph.measure.lags import measure
            from rnngraph.measure.pooling import NOTE, reads_many_steps

            notes = (*trace.notes, NOTE) if reads_many_steps(tape) else trace.notes
            trace = replace(trace, lags=measure(tape, starts, options), notes=notes)
        if spectrum:
            from rnngraph.measure.spectrum import measure as measure_spectrum

            trace = replace(trace, spectrum=measure_spectrum(tape, spectrum))
        if options is not None or spectrum:
            from rnngraph.measure.weights import AUTOMATIC, weigh

            trace = replace(trace, parameters=weigh(tape, trace.parameters, largest=None if spectrum else AUTOMATIC))
    return trace


def _lag_options(lags: LagOptions | bool) -> LagOptions | None:
    if lags is False:
        return None
    from rnngraph.measure.lag_options import LagOptions

    if lags is True:
        return LagOptions()
    if not isinstance(lags, LagOptions):
        raise InputError(f"lags is {lags!r}; pass True, or rnngraph.LagOptions(losses=..., samples=...).")
    return lags
