"""The whole loss walked back through the calls of a fused layer, the last call first.

In: a recording and a recurrence. Out: windows, lent to whoever measures; weights, first states and inputs, noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnngraph import norms
from rnngraph.autodiff.contribution import Array
from rnngraph.measure.recording import Reduced, Take, Window
from rnngraph.sources.tape.whole_loss import WholeLoss
from rnngraph.sources.torch.finding.recurrence import Recurrence
from rnngraph.sources.torch.fused.inside import Inside
from rnngraph.sources.torch.fused.layout import array
from rnngraph.trace.magnitudes import Floats, Magnitudes

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def walk_layer(recording: TorchRecording, one: Recurrence, take: Take) -> None:
    """Walk all calls of a fused layer back."""
    by_step: list[Floats] = []
    for call, start in zip(reversed(one.calls), reversed(one.starts), strict=True):
        inside = recording.inside(call)
        arrived = arrived_at(recording, inside)
        numbers = {block.id: place for place, block in enumerate(inside.blocks)}
        whole = WholeLoss(inside.tape, inside.starts(arrived), numbers, {inside.x})
        from_next = {} if call is one.calls[-1] else arrived
        with np.errstate(all="ignore"):
            whole.walk(_lender(recording, one, inside, start, from_next, take))
        recording.weights.add_layer(one, start, inside, whole.parameters)
        steps = whole.inputs.get(inside.x)
        by_step.insert(0, np.zeros(call.steps) if steps is None else steps.value)
    recording.certificate.weights(recording.run, one, recording.weights)
    for place, layer in enumerate(inside.recurrences):
        for kind, node in layer.initial.items():
            recording.note_initial(recording.number(one, place), kind, whole.initial.get(node, 0.0))
    recording.note_input(one, Magnitudes.of(np.concatenate(by_step)))


def _lender(
    recording: TorchRecording, one: Recurrence, inside: Inside, start: int, from_next: Mapping[str, Array], take: Take
) -> Take:
    """Make what takes the windows of a call that begins at `start`; `from_next` came back from the call after it."""

    def lend(window: Window | Reduced) -> None:
        assert isinstance(window, Window)
        assert isinstance(window.steps, slice)  # as every block's are
        place, number = window.recurrence, recording.number(one, window.recurrence)
        if from_next and window.steps.stop == inside.layer.steps and not inside.blocks[place].reverse:
            _carry_on(window, from_next, place)
        steps = slice(window.steps.start + start, window.steps.stop + start)
        take(replace(window, recurrence=number, steps=steps))
        for columns, note in (
            (window.values, recording.broken.forward), (window.total, recording.broken.backward)
        ):  # fmt: skip
            for kind, column in columns.items():
                for t in (np.flatnonzero(~np.isfinite(column).all(axis=(1, 2))) + steps.start).tolist():
                    note(recording.order_of(one, t), number, kind, t)
        for kind, total in window.total.items():
            recording.note_norms(number, kind, steps, norms.row_norms(total))

    return lend


def _carry_on(window: Window, from_next: Mapping[str, Array], place: int) -> None:
    """Count what comes back to the last states from the next call as carried, and not as immediate."""
    for kind, total in window.carried.items():
        if kind in from_next:
            total[-1] += from_next[kind][place]
            window.immediate[kind][-1] -= from_next[kind][place]


def arrived_at(recording: TorchRecording, inside: Inside) -> dict[str, Array]:
    """Give what the whole loss hands to a fused call, in our layout."""
    found, layout = {}, inside.layout
    for kind, edge in inside.layer.ports.items():
        total = recording.total(edge)
        if total is not None:
            found[kind] = array(layout.spread(total) if kind == "out" else layout.states(total), inside.wide)
    return found
