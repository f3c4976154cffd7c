"""A backward pass of a watched block, chosen and measured.

In: a watch, and which pass is meant. Out: a `Trace`, with the sentences that its reader must know. Its numbers are
those of the loss itself, whatever factor a scaler walked it back with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rnngraph.checks import is_whole
from rnngraph.errors import InputError
from rnngraph.measure import record as measured
from rnngraph.measure.lag_options import LagOptions
from rnngraph.sources.torch import description
from rnngraph.sources.torch.autograd.edges import Edge
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import InputLagTrace, LagTrace, Trace, UpdateTrace

if TYPE_CHECKING:
    from rnngraph.sources.torch.watch import Watch


def traced(
    watch: Watch,
    run: BackwardPass,
    options: LagOptions | None,
    *,
    spectrum: int,
    labels: Sequence[str | None],
    source: str,
) -> Trace:
    """Measure a pass."""
    with run.as_it_was():
        recording = watch.record(run)
        recording.labels = labels
        trace = measured.record(recording, lags=options, spectrum=spectrum, source=source)
    failed, agree = recording.certificate.sentences()
    notes = (*failed, *trace.notes, *description.notes(watch, recording))
    return replace(trace if run.factor == 1 else _divided(trace, run.factor), notes=notes, checks=agree)


def settle_factor(run: BackwardPass) -> None:
    """Give up a scaler's factor with which weights get gradients that are not finite, and without which they do."""
    ends = [edge for some in run.ends.values() for edge in some if not hasattr(edge[0].variable, "_local_tensor")]
    times, once = loss_cotangents(run), {edge: seed / run.factor for edge, seed in loss_cotangents(run).items()}
    if run.factor != 1 and not _finite(vjp(run, times, ends)) and _finite(vjp(run, once, ends)):
        run.give_up_factor()


def _finite(found: Mapping[Edge, Any]) -> bool:
    return all(bool(one.isfinite().all()) for one in found.values())


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


Backward = int | Literal["last", "first"]


def chosen(watch: Watch, backward: Backward | None) -> BackwardPass:
    """Choose a pass; None is the one that the watch was made for.

    Raises:
        InputError: the watch failed, no backward ran inside the block, or the pass is not kept.
    """
    wanted = watch.wanted if backward is None else checked_backward(backward)
    if watch.log.failure:
        raise InputError(f"the run went on, but it could not be watched: {watch.log.failure.rstrip('.')}.")
    if not watch.passes.found:
        raise InputError(description.nothing_walked(watch))
    place, kept = wanted if isinstance(wanted, int) else {"first": 0, "last": -1}[wanted], len(watch.passes.found)
    if -place > kept or (wanted == "first" != watch.wanted):
        raise InputError(
            f"backward is {wanted!r}, and {kept} are kept of {watch.passes.count}: say so before, with "
            f"watch(model, backward={wanted!r})."
        )
    return watch.passes.found[place]


def checked_backward(backward: object) -> Backward:
    """Check which pass is meant.

    Raises:
        InputError: it is none of the words, and no number below 0.
    """
    if backward in ("last", "first"):
        return backward
    if is_whole(backward) and backward < 0:
        return int(backward)
    raise InputError(f'backward is {backward!r}; pass "last", "first", or -2 for the last but one.')
