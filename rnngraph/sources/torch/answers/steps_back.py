"""What is asked of single steps: where a gradient arrives that was rounded to zero, and the Jacobian of one step.

In: a recording. Out: `Felt`, for which autograd's gradients are brought to size one at every state on their way, so
that none falls below the smallest number; and rows of the states before, for the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.measure.recording import Felt
from rnngraph.sources.tape.clocks import Clocks
from rnngraph.sources.tape.felt import feel as tape_feel
from rnngraph.sources.tape.one_step import OneStep
from rnngraph.sources.tape.plan import Plan
from rnngraph.sources.torch.answers.walks import arrived_at
from rnngraph.sources.torch.autograd.edges import Edge, as_at, wide
from rnngraph.sources.torch.autograd.kernels import all_above, whole_at
from rnngraph.sources.torch.autograd.question import ask, whole
from rnngraph.sources.torch.finding.recurrence import SEQUENCE
from rnngraph.sources.torch.watching.calls import Call
from rnngraph.trace.magnitudes import Booleans, Integers

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording


def feel(recording: TorchRecording) -> Felt:
    """Walk the whole loss once more."""
    total: dict[tuple[int, str], Booleans] = {}
    reached = _reached(recording)
    for number, track in enumerate(recording.tracks):
        total |= {(number, kind): np.zeros(track.recurrence.steps + 1, bool) for kind in track.cell.kinds}
        for kind, t, edge in recording.state_edges(track):
            total[number, kind][t + 1] |= edge in reached
    for one in recording.recurrences:
        for call, start in zip(one.calls if one.fused else (), one.starts, strict=False):
            _feel_inside(recording, call, start, total)
    carried, immediate = {}, {}
    for key, column in total.items():
        track = recording.tracks[key[0]]
        stride = track.recurrence.stride if track.direction == "forward" else -1
        later = np.zeros(len(column) - 1, bool)
        later[max(-stride, 0) : len(later) - max(stride, 0)] = column[1 + max(stride, 0) : len(column) + min(stride, 0)]
        carried[key] = later & column[1:]
        immediate[key] = column[1:] if key[1] == "c" else np.zeros(len(later), bool)
    return Felt(total, immediate, carried)


def _reached(recording: TorchRecording) -> set[Edge]:
    """Give the states at which anything arrives that has been kept from getting small."""
    states = [edge for one in recording.recurrences for some in one.states for edge in some]
    nodes: dict[Any, None] = dict.fromkeys(edge[0] for edge in states)
    hooks = (node.register_prehook(_to_size_one) for node in nodes)
    found = ask(recording.run, whole(recording.run), [*states, *all_above(states)], hooks=hooks)
    return {edge for edge in states if (one := whole_at(edge, found)) is not None and bool((one != 0).any())}


def _to_size_one(grads: tuple[Any, ...]) -> tuple[Any, ...]:
    sizes = [one.abs().max() for one in grads if one is not None]
    largest = max(sizes, key=float, default=None)
    if largest is None or not 0 < float(largest) < float("inf"):
        return grads
    return tuple(None if one is None else one / largest for one in grads)


def _feel_inside(recording: TorchRecording, call: Call, start: int, total: dict[tuple[int, str], Booleans]) -> None:
    inside, tape = recording.inside(call), recording.inside(call).tape
    one, _ = recording.owners[call]
    starts = inside.starts(arrived_at(recording, inside))
    felt, _ = tape_feel(Plan(tape, Clocks(tape)), starts)
    for (place, kind), column in felt.total.items():
        total[recording.number(one, place), kind][start + 1 : start + len(column)] |= column[1:]
        total[recording.number(one, place), kind][0] |= column[0] and not start


def step_back(
    recording: TorchRecording, group: Sequence[int], t: int, rows: dict[tuple[int, str], Array], samples: Integers
) -> dict[tuple[int, str], Array]:
    """Walk the layers of a fused call back over one step; of others, ask autograd.

    Raises:
        InputError: the recurrence has no step of its own.
    """
    one = recording.tracks[group[0]].recurrence
    if one.how == SEQUENCE:
        raise InputError(
            f"{one.path} takes a whole sequence at once and has no step of its own, so it has no spectrum."
        )
    if not one.fused:
        return _asked_back(recording, group[0], t, rows, samples)
    place = max(k for k, start in enumerate(one.starts) if start <= t)
    inside, first = recording.inside(one.calls[place]), recording.number(one)
    step = OneStep(
        Plan(inside.tape, Clocks(inside.tape)), [number - first for number in group], t - one.starts[place], samples
    )
    found = step.back({(number - first, kind): some for (number, kind), some in rows.items()})
    return {(number + first, kind): some for (number, kind), some in found.items()}


def _asked_back(
    recording: TorchRecording, number: int, t: int, rows: dict[tuple[int, str], Array], samples: Integers
) -> dict[tuple[int, str], Array]:
    """Ask what rows of the states at t become at those before, past no others."""
    track = recording.tracks[number]
    seeds, wanted, walls = {}, {}, []
    for kind in track.cell.kinds:
        edges = track.edges(kind)
        walls += [edge for k, edge in enumerate(edges) if edge is not None and k != t]
        place = track.recurrence.before(t)
        before = None if place is None else edges[place]
        if before is not None:
            wanted[before] = kind
        edge = edges[t]
        if edge is None:
            continue
        some = rows[number, kind]
        all_ = np.zeros((len(some), track.recurrence.batch_of(edge), some.shape[-1]))
        all_[:, samples] = some
        seeds[edge] = as_at(edge, track.as_state(torch.from_numpy(all_), edge))
    found = ask(recording.run, seeds, list(wanted), walls=walls, rows=True)
    if not wanted:
        return {}
    back = {key: np.zeros(some.shape) for key, some in rows.items()}
    for edge, moved in found.items():
        back[number, wanted[edge]] = wide(track.by_sample(moved, lead=1))[:, samples].cpu().numpy()
    return back
