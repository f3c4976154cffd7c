"""The whole loss walked back through the calls of a fused layer, the last call first.

In: a recording and a recurrence. Out: windows, lent to whoever measures; weights, first states and inputs, noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph import norms
from rnngraph.autodiff.block.backward import Inner
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
        last = call is one.calls[-1]
        lend = _lender(recording, one, inside, start, None if last else arrived, take)
        dx, weights, behind = inside.walk(arrived, lend=lend, to_input=True)
        recording.weights.add_layer(one, call, start, inside, weights)
        if dx is not None:
            by_step.insert(0, np.array([norms.norm(one) for one in dx]))  # a step at a time: in float64 it is large
    recording.certificate.weights(recording.run, one, recording.weights)
    for kind, states in behind.items():
        for place, state in enumerate(states):
            number = recording.number(one, place // inside.directions, place % inside.directions)
            recording.note_initial(number, kind, norms.norm(state))
    recording.note_input(one, Magnitudes.of(np.concatenate(by_step)))


def _lender(
    recording: TorchRecording,
    one: Recurrence,
    inside: Inside,
    start: int,
    from_next: Mapping[str, Array] | None,
    take: Take,
) -> Callable[[Inner], None]:
    """Make what takes the windows of a call that begins at `start`; `from_next` came back from the call after it."""

    def lend(inner: Inner) -> None:
        layer, d = next((k, row.index(inner.block)) for k, row in enumerate(inside.blocks) if inner.block in row)
        number = recording.number(one, layer, d)
        gates = norms.row_norms(inner.to_gates.reshape(len(inner.to_gates), -1))
        window = block_window(number, inner, gates)
        if from_next is not None and inner.steps.stop == inner.block.steps and not inner.block.reverse:
            _carry_on(window, from_next, layer * inside.directions + d)
        steps = slice(inner.steps.start + start, inner.steps.stop + start)
        window = replace(window, steps=steps)
        take(window)
        _look(recording, one, window, steps)
        for kind, total in window.total.items():
            recording.note_norms(number, kind, steps, norms.row_norms(total))

    return lend


def _carry_on(window: Window, from_next: Mapping[str, Array], place: int) -> None:
    """Count what comes back to the last states from the next call as carried, and not as immediate."""
    for kind, total in window.carried.items():
        if kind in from_next:
            total[-1] += from_next[kind][place]
            window.immediate[kind][-1] -= from_next[kind][place]


def _look(recording: TorchRecording, one: Recurrence, window: Any, steps: slice) -> None:
    for columns, note in ((window.values, recording.broken.forward), (window.total, recording.broken.backward)):
        for kind, column in columns.items():
            for k in np.flatnonzero(~np.isfinite(column).all(axis=(1, 2))).tolist():
                note(recording.order_of(one, steps.start + k), window.recurrence, kind, steps.start + k)


def arrived_at(recording: TorchRecording, inside: Inside) -> dict[str, Array]:
    """Give what the whole loss hands to a fused call, in our layout."""
    found, layout = {}, inside.layout
    for kind, edge in inside.layer.ports.items():
        total = recording.total(edge)
        if total is not None:
            found[kind] = array(layout.spread(total) if kind == "out" else layout.states(total), inside.wide)
    if "out" not in found:
        blocks = inside.blocks[-1]
        width = sum(block.value.shape[-1] for block in blocks)
        found["out"] = np.zeros((inside.layer.steps, layout.batch, width), blocks[0].dtype)
    return found
