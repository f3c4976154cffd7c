"""Single tensors of a watched run, on request: value and gradient of a state, and the gradients of one loss.

In: a recording. Out: PyTorch tensors; none of them is kept in a trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rnngraph.errors import InputError
from rnngraph.measure.recording import Window
from rnngraph.sources.torch.autograd.opaque_nodes import all_above, whole_at
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.graph_recording import TorchRecording
from rnngraph.sources.torch.inputs.network_inputs import edges_in
from rnngraph.sources.torch.losses.edge_rows import summed
from rnngraph.sources.torch.losses.loss_rows import LossRows
from rnngraph.sources.torch.losses.row_norms import RowNorms


def state(recording: TorchRecording, name: str, t: int) -> tuple[Any, Any]:
    """Give value and gradient of a state at a step; see `Watch.state`."""
    number, kind = _named(recording, name)
    track = recording.tracks[number]
    if not -track.recurrence.steps <= t < track.recurrence.steps:
        raise InputError(f"step {t} of {name} was asked for, but it has {track.recurrence.steps}.")
    if track.recurrence.fused:
        return _inside(recording, number, kind, t % track.recurrence.steps)
    edge = track.edges(kind)[t]
    if edge is None:
        raise InputError(f"{name} has no state at step {t}.")
    value = track.recurrence.value(edge, t % track.recurrence.steps)
    gradient = whole_at(edge, vjp(recording.run, loss_cotangents(recording.run), [edge, *all_above([edge])]))
    return value, None if gradient is None else track.part(gradient, t) / recording.run.factor


def _named(recording: TorchRecording, name: str) -> tuple[int, str]:
    known = {text: (k, kind) for k, facts in enumerate(recording.facts) for kind, text in facts.states.items()}
    known |= {facts.name: (k, "h") for k, facts in enumerate(recording.facts)}
    if name not in known:
        raise InputError(f"there is no state {name!r}; there are {', '.join(known)}.")
    return known[name]


def _inside(recording: TorchRecording, number: int, kind: str, t: int) -> tuple[Any, Any]:
    found: list[Any] = []

    def take(window: Any) -> None:
        if isinstance(window, Window) and isinstance(window.steps, slice) and window.recurrence == number:
            k = t - window.steps.start
            if 0 <= k < len(window.values[kind]):
                found[:] = window.values[kind][k].copy(), window.total[kind][k] / recording.run.factor

    recording.walk(take)
    value, gradient = map(torch.from_numpy, found)
    return value, gradient


def row(recording: TorchRecording, step: int, clock: int | None) -> dict[str, list[Any]]:
    """Give the gradients of the loss of one step; see `Watch.row`."""
    pairs = recording.losses().pairs.tolist()
    chosen = next(((own, t) for own, t in pairs if t == step and clock in (None, own)), None)
    if chosen is None:
        known = [str(t) for _, t in pairs]
        listed = ", ".join(known if len(known) <= 12 else [*known[:12], "..."]) or "none"
        raise InputError(f"no loss enters at step {step}; losses enter at {listed}.")
    rows = LossRows(recording, edges_in(recording.entering.values()))
    arrived = rows.walk([chosen], RowNorms(recording, 0, {}, lambda *told: None))
    found: dict[str, list[Any]] = {}

    def put(name: str, time: int, t: int, total: Any) -> None:
        factor = recording.run.factor
        part = None if total is None else total[0][0] * 2.0 ** int(np.asarray(total[1])[0]) / factor
        found.setdefault(name, [None] * time)[t] = part

    for number, track in enumerate(recording.tracks):
        for kind in track.cell.kinds if track.recurrence.states else ():
            for t, edge in enumerate(track.edges(kind)):
                if edge is not None:
                    put(recording.facts[number].states[kind], track.recurrence.steps, t, arrived.whole(edge))
    with recording.run.as_it_was():
        for one, steps in recording.entering.items():
            for t, some in enumerate(steps):
                parts = [(p.back(rows), e) for p in next(iter(some), ()) for rows, e in arrived.at.get(p.edge, ())]
                put(f"input of {one.path}", len(steps), t, summed(parts))
    return found
