"""The windows of states: of those in PyTorch's graph from what autograd gave, of others from inside fused layers.

In: a recording that has asked, and a recurrence. Out: columns that are lent to `measure`; where numbers are not finite;
weights, first states and inputs of fused layers, noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph import norms
from rnngraph.autodiff.contribution import Array
from rnngraph.measure.recording import Reduced, Take, Window
from rnngraph.sources.tape.facts import blocks_of
from rnngraph.sources.tape.total_walk import WholeLoss
from rnngraph.sources.torch.autograd.edges import Edge
from rnngraph.sources.torch.autograd.gradient_norms import alike, norms_by_step
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.fused_layers.layout import array
from rnngraph.sources.torch.fused_layers.unrolled_call import UnrolledCall
from rnngraph.sources.torch.gradients.tracks import Track
from rnngraph.sources.torch.recurrences.recurrence import Recurrence
from rnngraph.sources.torch.recurrences.step_operations import gate_statistics
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import REVERSE

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def walk_states(
    recording: TorchRecording,
    number: int,
    track: Track,
    parts: tuple[Mapping[Edge, Any], Mapping[Edge, Any]],
    take: Take,
) -> None:
    """Lend the states of a recurrence that is no fused layer; `parts` are the carried and immediate gradients.

    The positions of a module that takes its sequence at once have no such parts.
    """
    one, shape = track.recurrence, (track.recurrence.steps, track.batch)
    gates = gate_statistics(one, track.cell)
    for kind in track.cell.kinds:
        edges = list(enumerate(track.edges(kind)))
        given = [edge and track.part(recording.total(edge), t) for t, edge in edges]
        columns = (
            given,
            *([edge and _or_zeros(part.get(edge), given[t]) for t, edge in edges] for part in parts),
            [edge and one.value(edge, t) for t, edge in edges],
        )
        total, carried, immediate, value = (
            [*alike([None if each is None else track.by_sample(each) for each in some])] for some in columns
        )
        samples, zeros, nonfinite = norms_by_step(total, shape), np.zeros(shape[0], int), np.zeros(shape[0], int)
        values, sizes = norms_by_step(value, shape), np.full(shape[0], np.nan)
        for first, some in value:
            sizes[first : first + len(some)] = some[0].numel()
        recording.note(number, kind, slice(None), np.asarray(np.isnan(values).any(axis=1)), samples)
        for first, some in total:
            run = slice(first, first + len(some))
            zeros[run] = (some == 0).flatten(1).sum(dim=1).cpu().numpy()
            if np.isnan(samples[run]).any():
                nonfinite[run] = (~some.isfinite()).flatten(1).sum(dim=1).cpu().numpy()
        activation = norms.row_norms(values) / np.sqrt(sizes)
        halves = (np.full(shape[0], np.nan),) * 2
        if one.states:
            recording.certificate.sums(total, carried, immediate)
            halves = norms.row_norms(norms_by_step(immediate, shape)), norms.row_norms(norms_by_step(carried, shape))
        more = (gates.state, gates.mean, gates.share, gates.kept) if gates is not None and kind == "h" else ()
        take(Reduced(number, kind, samples, *halves, zeros, nonfinite, activation, *more))


def _or_zeros(part: Any, whole: Any) -> Any:
    """Give zeros where a part of a gradient is nothing."""
    return torch.zeros_like(whole) if part is None and whole is not None else part


def walk_layer(recording: TorchRecording, one: Recurrence, take: Take) -> None:
    """Walk all calls of a fused layer back."""
    first, by_step = recording.number(one), list[Magnitudes]()
    for call, start in zip(reversed(one.calls), reversed(one.starts), strict=True):
        inside = recording.inside(call)
        arrived = arrived_at(inside, recording.total)
        from_next: dict[str, Array] = {}
        if call is not one.calls[-1]:
            own = arrived_at(inside, recording.shares.at.get)  # what a loss reads of the last states is not the next's
            from_next = {kind: some - own.get(kind, 0) for kind, some in arrived.items()}
        whole = WholeLoss(inside.tape, inside.starts(arrived), blocks_of(inside.tape), {inside.x})
        with np.errstate(all="ignore"):
            whole.walk(partial(_lend, recording, call, start, from_next, take))
        recording.weights.add_layer(one, start, inside, whole.parameters)
        by_step.insert(0, whole.inputs.get(inside.x, Magnitudes.of(np.zeros(call.steps))))
    recording.certificate.weights(recording.run, one, recording.weights)
    recording.initials |= {
        (first + place, kind): whole.initial.get(node, 0.0)
        for place, layer in enumerate(inside.recurrences)
        for kind, node in layer.initial.items()
    }
    recording.entered[first] = Magnitudes.of(np.concatenate([steps.value for steps in by_step]))


def _lend(
    recording: TorchRecording, call: Call, start: int, from_next: Mapping[str, Array], take: Take, window: Any
) -> None:
    """Lend a window of a call that begins at `start`; `from_next` came back from the call after it."""
    place, number = window.recurrence, recording.number(recording.owners[call][0], window.recurrence)
    if from_next and window.steps.stop == call.steps and recording.tracks[number].direction != REVERSE:
        _carry_on(window, from_next, place)
    steps = slice(window.steps.start + start, window.steps.stop + start)
    take(replace(window, recurrence=number, steps=steps))
    for kind, total in window.total.items():
        broken = ~np.isfinite(window.values[kind]).all(axis=(1, 2))
        recording.note(number, kind, steps, broken, norms.row_norms(total))


def _carry_on(window: Window, from_next: Mapping[str, Array], place: int) -> None:
    """Count what comes back to the last states from the next call as carried, and not as immediate."""
    for kind, total in window.carried.items():
        if kind in from_next:
            total[-1] += from_next[kind][place]
            window.immediate[kind][-1] -= from_next[kind][place]


def arrived_at(inside: UnrolledCall, known: Callable[[Edge], Any]) -> dict[str, Array]:
    """Give what is known at the ports of a fused call, in our layout."""
    found, layout = {}, inside.layout
    for kind, edge in inside.call.ports.items():
        if (one := known(edge)) is not None:
            found[kind] = array(layout.spread(one) if kind == "out" else layout.states(one), inside.wide)
    return found
