"""The Jacobian of every step as explicit matrices: of the recording, and of the ordinary sweep."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.spectrum import Group, groups, step_back
from rnngraph.sources.tape.recording import TapeRecording

Array = Any


def matrices(tape: Tape, samples: int = 8) -> list[tuple[Group, list[Array]]]:
    """(samples, size, size) by timestep, of every group of the tape."""
    recording = TapeRecording(tape, {})
    found = []
    for group in groups(recording, samples):
        eye = np.broadcast_to(np.eye(group.size), (len(group.samples), group.size, group.size))
        steps = [step_back(recording, group, t, eye) for t in sorted(group.steps)]
        found.append((group, [one.swapaxes(1, 2) for one in steps if one is not None]))
    return found


def matrix_by_sweep(tape: Tape, group: Group, t: int, sample: int) -> Array:
    """Row by row with the ordinary sweep, up to the states before; of a tape whose states are nodes."""
    rows = []
    recurrences = [tape.recurrences[number] for number in group.members]
    keys = [(one, kind) for one in recurrences for kind in one.kinds]
    after = [one.states[kind][t] for one, kind in keys]
    before = [_before(one, kind, t) for one, kind in keys]
    for node_id in after:
        value = tape.entry(node_id).value
        for unit in range(value.shape[1]):
            cotangent = np.zeros_like(value)
            cotangent[sample, unit] = 1
            found = {i: np.zeros(tape.entry(i).value.shape[1]) for i in before}
            for step in sweep(tape, {node_id: cotangent}, until=before):
                if step.node.id in found:
                    found[step.node.id] = step.gradient[sample].copy()
            rows.append(np.concatenate([found[i] for i in before]))
    return np.array(rows)


def _before(recurrence: Any, kind: str, t: int) -> int:
    earlier = t + 1 if recurrence.reverse else t - 1
    ids = recurrence.states[kind]
    return int(ids[earlier]) if 0 <= earlier < len(ids) else int(recurrence.initial[kind])
