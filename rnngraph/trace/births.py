"""Where the gradient of a loss enters a recurrence: the step from which its lags are counted.

In: routes, the losses, and their log norms. Out: a timestep for each loss. In a recurrence that runs in step with the
one that bears the losses, such as a lower layer of a stack, that is the loss's own step. A decoder's losses enter its
encoder where the decoder reads it, which is at the encoder's last step for every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rnngraph.trace.magnitudes import Floats, Integers
from rnngraph.trace.model import FORWARD
from rnngraph.trace.routes import WHOLE, Routes, Slot

Place = tuple[int, int]  # a recurrence, by its place on the tape, and a timestep


def in_step(routes: Routes, entering: Iterable[int]) -> set[int]:
    """Find the recurrences that run in step with the losses, which enter at the nodes `entering`."""
    owners: dict[int, Place] = {}
    for key in routes.states:
        index = routes.tape.recurrences.index(key.recurrence)
        owners.update({node_id: (index, t) for t, node_id in enumerate(key.ids)})
    found = {owners[node_id][0] for node_id in entering if node_id in owners}
    waiting = sorted(found)
    while waiting:
        index = waiting.pop()
        for other, steps in _read_by(routes, index, owners).items():
            if other not in found and steps:
                found.add(other)
                waiting.append(other)
    return found


def _read_by(routes: Routes, index: int, owners: dict[int, Place]) -> dict[int, bool]:
    """Tell for each recurrence that one step of another reads directly whether it reads that same timestep alone."""
    states = routes.tape.recurrences[index].states
    middle = len(next(iter(states.values()))) // 2
    waiting: list[Slot] = [(ids[middle], WHOLE) for ids in states.values() if (ids[middle], WHOLE) in routes.targets]
    seen = set(waiting)
    reads: dict[int, bool] = {}
    while waiting:
        for _, target in routes.targets[waiting.pop()]:
            other, t = owners.get(target[0], (index, middle))
            if other != index:
                reads[other] = reads.get(other, True) and t == middle
            elif t == middle and target not in seen:
                seen.add(target)
                waiting.append(target)
    return reads


def births(losses: Integers, logs: Sequence[Floats], direction: str, *, in_step: bool) -> Integers:
    """Give the timestep at which each loss enters, (B, S), of states that are carried together.

    Args:
        losses: (S,) timesteps.
        logs: (B, S, T + 1) log norms a state, column 0 the initial state; NaN or -inf where nothing arrived.
        direction: that of the recurrence.
        in_step: whether a loss enters at its own timestep.
    """
    batch, count, columns = logs[0].shape
    own = np.broadcast_to(np.minimum(losses, columns - 2), (batch, count))
    if in_step:
        return own.copy()
    arrived = np.any([log > -np.inf for log in logs], axis=0)[:, :, 1:]
    forward = direction == FORWARD
    place = np.argmax(arrived[:, :, ::-1] if forward else arrived, axis=2)
    return np.where(arrived.any(axis=2), columns - 2 - place if forward else place, own).astype(np.int64)
