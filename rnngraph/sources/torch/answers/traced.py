"""A pass measured: its numbers are those of the loss itself, whatever factor a scaler walked it back with.

In: a watch and a pass. Out: a `Trace`, with the sentences that its reader must know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure import record as measured
from rnngraph.measure.lag_options import LagOptions
from rnngraph.sources.tape.joint import NOTE as JOINT
from rnngraph.sources.torch import description
from rnngraph.sources.torch.answers.certificate import UNCERTAIN
from rnngraph.sources.torch.autograd.one_pass import Pass
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import InputLagTrace, LagTrace, Trace, UpdateTrace

if TYPE_CHECKING:
    from rnngraph.sources.torch.watch import Watch


def traced(
    watch: Watch, run: Pass, options: LagOptions | None, *, spectrum: int, labels: Sequence[str | None], source: str
) -> Trace:
    """Measure a pass; where its gradient overflows with a scaler's factor, without it."""
    with run.as_it_was():
        recording = watch.record(run, labels)
        trace = measured.record(recording, lags=options, spectrum=spectrum, source=source)
        if run.factor != 1 and _overflows(trace):
            run.give_up_factor()
            recording = watch.record(run, labels)
            trace = measured.record(recording, lags=options, spectrum=spectrum, source=source)
    checks = recording.certificate.sentences()
    failed = tuple(one for one in checks if one.startswith(UNCERTAIN))
    rest = tuple(one for one in checks if one not in failed)
    joint = (JOINT,) if options is not None and recording.shares.joint else ()
    notes = (*failed, *joint, *description.notes(watch, recording), *trace.notes, *rest)
    return replace(trace if run.factor == 1 else _divided(trace, run.factor), notes=notes)


def _overflows(trace: Trace) -> bool:
    """Whether gradients are not finite where all values are."""
    return trace.graph.first_nonfinite_forward < 0 and any(bool(one.nonfinite.any()) for one in trace.states)


def _divided(value: Any, by: float) -> Any:
    """Divide all norms in a trace, or in a part of one, by a factor."""
    if isinstance(value, Magnitudes):
        return Magnitudes(np.asarray(value.value / by), value.status)  # a number alone stays an array
    if isinstance(value, LagTrace | InputLagTrace | UpdateTrace):
        return replace(value, log=value.log - math.log(by))
    if isinstance(value, tuple):
        return tuple(_divided(one, by) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _divided(getattr(value, one.name), by) for one in fields(value)})
    return value
