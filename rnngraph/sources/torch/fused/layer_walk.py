"""The whole loss walked back through the calls of a fused layer, the last call first.

In: a recording and a recurrence. Out: windows, lent to whoever measures; weights, first states and inputs, noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rnngraph import norms
from rnngraph.autodiff.block.backward import Inner, Lend
from rnngraph.autodiff.contribution import Array
from rnngraph.measure.recording import Take, Window
from rnngraph.sources.tape.windows import block_window
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
        from_next = {} if call is one.calls[-1] else arrived
        reached = inside.walk(arrived, lend=_lender(recording, one, inside, start, from_next, take))
        recording.weights.add_layer(one, start, inside, reached)
        to_input = reached[inside.x].gradient.swapaxes(0, 1) if inside.x in reached else np.zeros((call.steps, 1))
        by_step.insert(0, np.array([norms.norm(step) for step in to_input]))  # one at a time: in float64 it is large
    recording.certificate.weights(recording.run, one, recording.weights)
    for place, layer in enumerate(inside.recurrences):
        for kind, node in layer.initial.items():
            size = norms.norm(reached[node].gradient) if node in reached else 0.0
            recording.note_initial(recording.number(one, place), kind, size)
    recording.note_input(one, Magnitudes.of(np.concatenate(by_step)))


def _lender(
    recording: TorchRecording, one: Recurrence, inside: Inside, start: int, from_next: Mapping[str, Array], take: Take
) -> Lend:
    """Make what takes the windows of a call that begins at `start`; `from_next` came back from the call after it."""
    places = {block.id: place for place, block in enumerate(inside.blocks)}

    def lend(inner: Inner) -> None:
        block, place = inner.block, places[inner.block.id]
        number = recording.number(one, place)
        window = block_window(number, inner, norms.row_norms(inner.to_gates.reshape(len(inner.to_gates), -1)))
        if from_next and inner.steps.stop == block.steps and not block.reverse:
            _carry_on(window, from_next, place)
        steps = slice(inner.steps.start + start, inner.steps.stop + start)
        take(replace(window, steps=steps))
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
    for kind, edge in inside.call.ports.items():
        total = recording.total(edge)
        if total is not None:
            found[kind] = array(layout.spread(total) if kind == "out" else layout.states(total), inside.wide)
    return found
