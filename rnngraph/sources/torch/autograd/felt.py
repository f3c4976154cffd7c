"""Where a gradient arrives although its numbers were rounded to zero.

In: a recording. Out: `Felt`. Autograd's gradients are brought to size one at every state on their way, so that none
falls below the smallest number; inside fused layers rows are walked that cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import Felt
from rnngraph.sources.torch.autograd.edges import Edge
from rnngraph.sources.torch.autograd.question import ask, whole
from rnngraph.sources.torch.fused.inside_rows import Arriving, rows_inside
from rnngraph.sources.torch.fused.layer_walk import arrived_at
from rnngraph.sources.torch.watching.calls import Call
from rnngraph.trace.magnitudes import Booleans, Floats

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def feel(recording: TorchRecording) -> Felt:
    """Walk the whole loss once more."""
    total: dict[tuple[int, str], Booleans] = {}
    for number, track in enumerate(recording.tracks):
        for kind in track.cell.kinds:
            total[number, kind] = np.zeros(track.recurrence.steps + 1, bool)
    reached = _reached(recording)
    for number, track in enumerate(recording.tracks):
        for kind, t, edge in recording.state_edges(track):
            total[number, kind][t + 1] |= edge in reached
    for one in recording.recurrences:
        for call, start in zip(one.calls if one.fused else (), one.starts, strict=False):
            _feel_inside(recording, call, start, total)
    carried, immediate = {}, {}
    for key, column in total.items():
        track = recording.tracks[key[0]]
        later = np.append(column[2:], False) if track.direction == "forward" else np.append(False, column[1:-1])
        carried[key] = later & column[1:]
        immediate[key] = column[1:] if key[1] == "c" else np.zeros(len(later), bool)
    return Felt(total, immediate, carried)


def _reached(recording: TorchRecording) -> set[Edge]:
    """Give the states at which anything arrives that has been kept from getting small."""
    states = [edge for one in recording.recurrences for some in one.states for edge in some]
    nodes: dict[Any, None] = dict.fromkeys(edge[0] for edge in states)
    hooks = [node.register_prehook(_to_size_one) for node in nodes]
    try:
        found = ask(recording.run, whole(recording.run), states)
    finally:
        for hook in hooks:
            hook.remove()
    return {edge for edge, one in found.items() if bool((one != 0).any())}


def _to_size_one(grads: tuple[Any, ...]) -> tuple[Any, ...]:
    sizes = [one.abs().max() for one in grads if one is not None]
    largest = max(sizes, key=float, default=None)
    if largest is None or not 0 < float(largest) < float("inf"):
        return grads
    return tuple(None if one is None else one / largest for one in grads)


def _feel_inside(recording: TorchRecording, call: Call, start: int, total: dict[tuple[int, str], Booleans]) -> None:
    inside = recording.inside(call)
    one, _ = recording.owner(call)
    arrived = arrived_at(recording, inside)
    nothing = np.zeros(1, np.int64)
    arriving = Arriving(fields=[(arrived["out"].swapaxes(0, 1)[None].astype(np.float64), nothing)])
    arriving.ends = [
        (kind, 0, arrived[kind][None].astype(np.float64), nothing) for kind in ("h", "c") if kind in arrived
    ]

    def see(layer: int, direction: int, t: int, low: int, logs: list[Floats]) -> None:
        number = recording.number(one, layer, direction)
        for kind, log in zip(recording.tracks[number].cell.kinds, logs, strict=True):
            place = t + start + 1 if t >= 0 else 0
            if t >= 0 or not start:
                total[number, kind][place] |= bool((log > -np.inf).any() or np.isnan(log).any())

    rows_inside(inside, arriving, 1, np.arange(inside.layout.batch), see, to_input=False)
