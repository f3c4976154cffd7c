"""Record a trace from a recording: one walk for the norms, and where they are asked for, lags and spectrum.

In: a `Recording`. Out: a `Trace`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from rnngraph.measure.counted import counter
from rnngraph.measure.gates import GateColumns
from rnngraph.measure.lag_options import LagOptions
from rnngraph.measure.recording import Facts, Recording, Reduced, Stepwise, Window
from rnngraph.measure.states import StateColumns
from rnngraph.progress import doing
from rnngraph.trace.magnitudes import Booleans, Magnitudes, lengthened
from rnngraph.trace.model import GateTrace, RecurrenceTrace, StateTrace, Trace

Columns = TypeVar("Columns", StateTrace, GateTrace)
AUTOMATIC = 512  # rows of a weight up to which nobody waits for the eigenvalues
JOINT = (
    "the loss reads many timesteps at once (pooling or attention): it is taken as one loss at its last step, and early "
    "steps get gradient from it directly; where every step has a target of its own, say so: LagOptions(joint=False), "
    "--apart"
)
# What stands where a short recurrence has no step, by the kind of a column's numbers.
_FILLERS: dict[str, Any] = {"f": np.nan, "i": 0, "b": False}


def record(
    recording: Recording,
    *,
    lags: LagOptions | None = None,
    spectrum: int = 0,
    source: str = "",
) -> Trace:
    """Walk a recording back and measure every state, gate, parameter and input at every timestep.

    Args:
        recording: what a source offers.
        lags: also measure the lag matrix.
        spectrum: how many Lyapunov exponents to measure, 0 for none.
        source: where the model comes from, for display.
    """
    with np.errstate(all="ignore"):  # overflow is a finding, not a warning
        eigenvalues = sys.maxsize if spectrum else AUTOMATIC if lags is not None else 0
        trace = _measured(recording, source, eigenvalues)
        if lags is not None and recording.walked:
            from rnngraph.measure.lags import measure_lags

            found, inputs, updates = measure_lags(recording, lags)
            notes = (JOINT, *trace.notes) if any(one.joint for one in found) else trace.notes
            trace = replace(trace, lags=found, input_lags=inputs, updates=updates, notes=notes)
        if spectrum and isinstance(recording, Stepwise):
            from rnngraph.measure.spectrum import measure_spectra

            trace = replace(trace, spectrum=measure_spectra(recording, spectrum))
    return trace


def _measured(recording: Recording, source: str, eigenvalues: int) -> Trace:
    facts, count = recording.facts, counter(recording.facts)
    valid = [recording.valid(number) for number in range(len(facts))]
    states = [{kind: StateColumns(one, kind) for kind in one.states} for one in facts]
    gates = [GateColumns(one, valid[number]) if one.cell.gates else None for number, one in enumerate(facts)]

    def take(window: Window | Reduced) -> None:
        own = gates[window.recurrence]
        if isinstance(window, Reduced):
            states[window.recurrence][window.kind].take_reduced(window)
            if own is not None:
                own.take_reduced(window)
            count(window.recurrence, window.kind, len(window.samples))
            return
        if own is not None:
            own.take(window)
        for kind, columns in states[window.recurrence].items():
            columns.take(window)
            count(window.recurrence, kind, len(window.values[kind]))

    with doing("walking the loss back"):
        recording.walk(take)
    suspicious = recording.walked and any(one.suspicious for own in states for one in own.values())
    felt = recording.felt() if suspicious else None
    time = max((one.timesteps for one in facts), default=len(recording.labels))
    found = [
        columns.trace(
            number, walked=recording.walked, valid=valid[number], felt=felt,
            cut=np.logical_and.reduce(facts[number].severed),
            initial=recording.initial(number, kind) if recording.walked else None,
        )
        for number, own in enumerate(states)
        for kind, columns in own.items()
    ]  # fmt: skip
    graph = recording.graph({state.name: state.grad for state in found})
    return Trace(
        model=recording.model, source=source, batch=len(valid[0]) if valid else recording.batch, timesteps=time,
        dtype=recording.dtype, loss=recording.loss, loss_steps=recording.loss_steps(time),
        labels=tuple((list(recording.labels) + [None] * time)[:time]),
        valid=lengthened(valid[0], time, 0) if valid else np.ones((recording.batch, time), bool), graph=graph,
        cells=tuple({one.cell.name: one.cell for one in facts}.values()),
        recurrences=tuple(_recurrence(one, valid[number]) for number, one in enumerate(facts)),
        states=tuple(_to_length(state, time) for state in found),
        gates=tuple(_to_length(gate, time) for one in gates if one is not None for gate in one.traces()),
        parameters=recording.parameters(time, eigenvalues=eigenvalues), inputs=recording.inputs(time),
        notes=tuple(_anew(facts)),
    )  # fmt: skip


def _recurrence(facts: Facts, valid: Booleans) -> RecurrenceTrace:
    cut = np.zeros(facts.timesteps, bool) if facts.cuts is None else facts.cuts[0]
    return RecurrenceTrace(
        facts.name, facts.layer, facts.direction, facts.cell.name, facts.timesteps, facts.clock, valid, cut
    )


def _anew(facts: Sequence[Facts]) -> Iterator[str]:
    """Say where states start anew: there an episode begins, and no gradient crosses."""
    for one in facts:
        if one.anew is not None:
            counts = (one.anew.sum(), "step"), (one.anew.any(axis=1).sum(), "sample")
            steps = " in ".join(f"{int(count)} {noun}{'s' * bool(count != 1)}" for count, noun in counts)
            yield f"{one.name} starts anew at {steps}, as where an episode begins: no lag is counted across these"


def _to_length(one: Columns, time: int) -> Columns:
    """Bring the columns of a short recurrence to the length of the longest; what is added is "not observed"."""
    own = len(one.mean) if isinstance(one, GateTrace) else len(one.nodes)
    if own == time:
        return one
    columns: dict[str, Any] = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, Magnitudes) and value.value.ndim:
            columns[field.name] = value.lengthened(time)
        elif isinstance(value, np.ndarray) and field.name != "log_mean":
            filler = -1 if field.name == "nodes" else _FILLERS[value.dtype.kind]
            columns[field.name] = lengthened(value, time, filler)
    return replace(one, **columns)
