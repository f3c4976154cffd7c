"""Where the gradient of a loss enters a recurrence: the step from which its lags are counted.

In: routes, the losses, and their log norms. Out: a timestep for each loss. In a recurrence that runs in step with the
one that bears the losses, such as a lower layer of a stack, that is the loss's own step. A decoder's losses enter its
encoder where the decoder reads it, which is at the encoder's last step for every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import FORWARD
from rnngraph.measure.routes import WHOLE, Routes, Slot

Place = tuple[int, int]  # a recurrence, by its place on the tape, and a timestep


def in_step(routes: Routes, entering: Mapping[int, int]) -> dict[int, set[int]]:
    """Find for each loss the recurrences that run in step with it; `entering` maps node ids to the loss that enters.

    Returns:
        recurrences, by their place on the tape, for every loss: those that it enters directly, and those that these
        read step by step.
    """
    owners: dict[int, Place] = {}
    for key in routes.states:
        index = routes.tape.recurrences.index(key.recurrence)
        owners.update({node_id: (index, t) for t, node_id in enumerate(key.ids)})
    below = {index: _read_in_step(routes, index, owners) for index in range(len(routes.tape.recurrences))}
    found: dict[int, set[int]] = {}
    for node_id, loss in entering.items():
        waiting = [owners[node_id][0]] if node_id in owners else []
        reached = found.setdefault(loss, set())
        while waiting:
            index = waiting.pop()
            if index not in reached:
                reached.add(index)
                waiting.extend(below[index])
    return found


def _read_in_step(routes: Routes, index: int, owners: dict[int, Place]) -> set[int]:
    """Find the recurrences of which a step of this one reads directly that same timestep, and no other."""
    states = routes.tape.recurrences[index].states
    time = len(next(iter(states.values())))
    reads: dict[int, bool] = {}
    for t in sorted({time // 3, time // 2, time - 1}):
        waiting: list[Slot] = [(ids[t], WHOLE) for ids in states.values() if (ids[t], WHOLE) in routes.targets]
        seen = set(waiting)
        while waiting:
            for _, target in routes.targets[waiting.pop()]:
                other, step = owners.get(target[0], (index, t))
                if other != index:
                    reads[other] = reads.get(other, True) and step == t
                elif step == t and target not in seen:
                    seen.add(target)
                    waiting.append(target)
    return {other for other, same in reads.items() if same}


def births(losses: Integers, log: Floats, direction: str, *, own: Booleans) -> Integers:
    """Give the timestep at which each loss enters a state, (B, S).

    A sample that is shorter than the others is entered at its own last step: nothing arrives behind that.

    Args:
        losses: (S,) timesteps.
        log: (B, S, T + 1) log norms, column 0 the initial state; NaN or -inf where nothing arrived.
        direction: that of the recurrence.
        own: (S,) whether a loss enters at its own timestep.
    """
    arrived = log[:, :, 1:] > -np.inf
    time = arrived.shape[2]
    forward = direction == FORWARD
    steps = np.arange(time)
    own_step = np.minimum(losses, time - 1)
    before = steps <= own_step[:, None] if forward else steps >= own_step[:, None]
    in_time = arrived & before
    # At its own step or behind it, in processing order; else, of what is not in step, wherever it comes first.
    found = np.where((own & in_time.any(axis=2))[:, :, None], in_time, arrived)
    first = time - 1 - np.argmax(found[:, :, ::-1], axis=2) if forward else np.argmax(found, axis=2)
    return np.asarray(np.where(found.any(axis=2), first, own_step), dtype=np.int64)
