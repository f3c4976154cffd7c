"""Where a gradient arrives although its numbers were rounded to zero.

In: a recording. Out: `Felt`. Autograd's gradients are brought to size one at every state on their way, so that none
falls below the smallest number; inside fused layers rows are walked that cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.measure.recording import Felt
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.felt import feel as tape_feel
from rnngraph.sources.tape.plan import Plan
from rnngraph.sources.torch.answers.walks import arrived_at
from rnngraph.sources.torch.autograd.edges import Edge
from rnngraph.sources.torch.autograd.hooks import ours
from rnngraph.sources.torch.autograd.kernels import all_above, whole_at
from rnngraph.sources.torch.autograd.question import ask, whole
from rnngraph.sources.torch.watching.calls import Call
from rnngraph.trace.magnitudes import Booleans

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
    with ours(node.register_prehook(_to_size_one) for node in nodes):
        found = ask(recording.run, whole(recording.run), [*states, *all_above(states)])
    return {edge for edge in states if (one := whole_at(edge, found)) is not None and bool((one != 0).any())}


def _to_size_one(grads: tuple[Any, ...]) -> tuple[Any, ...]:
    sizes = [one.abs().max() for one in grads if one is not None]
    largest = max(sizes, key=float, default=None)
    if largest is None or not 0 < float(largest) < float("inf"):
        return grads
    return tuple(None if one is None else one / largest for one in grads)


def _feel_inside(recording: TorchRecording, call: Call, start: int, total: dict[tuple[int, str], Booleans]) -> None:
    inside, tape = recording.inside(call), recording.inside(call).tape
    one, _ = recording.owner(call)
    starts = inside.starts(arrived_at(recording, inside))
    felt, _ = tape_feel(tape, starts, Plan(tape, Clocks(tape)).whole(), ())
    for (place, kind), column in felt.total.items():
        total[recording.number(one, place), kind][start + 1 : start + len(column)] |= column[1:]
        total[recording.number(one, place), kind][0] |= column[0] and not start
