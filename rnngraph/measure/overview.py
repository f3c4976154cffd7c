"""What a tape is as a whole: how many timesteps, which of them are data, what stands under them, and its name.

In: a tape. Out: what heads a trace.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans


def timesteps(tape: Tape) -> int:
    """Count the timesteps: the longest recurrence, else the largest `t` scope, else the time axis of the output."""
    declared = [len(ids) for recurrence in tape.recurrences for ids in recurrence.states.values()]
    if declared:
        return max(declared)
    scoped = max((node.timestep for node in tape.nodes), default=-1) + 1
    return scoped or max((output.shape[1] for output in tape.outputs if output.ndim == 3), default=0)


def labels(tape: Tape, time: int) -> tuple[str | None, ...]:
    """Give the text under each timestep."""
    given = list(tape.step_labels)[:time]
    return tuple(given + [None] * (time - len(given)))


def valid_steps(tape: Tape, batch: int, time: int) -> Booleans:
    """Tell padding from data, (N, T): a sample ends with its last loss; copied states do not count."""
    valid = np.ones((batch, time), dtype=bool)
    if tape.mask is not None and tape.mask.shape == valid.shape:
        valid &= np.logical_or.accumulate(tape.mask[:, ::-1], axis=1)[:, ::-1]
    if tape.keep is not None and tape.keep.shape == valid.shape:
        valid &= tape.keep
    return valid


def describe(tape: Tape) -> str:
    """Say what the recurrences of a tape are, such as `LSTM 2×64 bidirectional`."""
    if not tape.recurrences:
        return f"{len(tape)} nodes"
    texts: dict[str, list[Recurrence]] = {}
    for recurrence in tape.recurrences:
        texts.setdefault(recurrence.name, []).append(recurrence)
    parts = []
    for group in texts.values():
        first = group[0]
        units = tape.nodes[next(iter(first.states.values()))[0]].value.shape[-1:]
        layers = len({recurrence.layer for recurrence in group})
        cell = {"tanh": "tanh RNN", "relu": "ReLU RNN", "lstm": "LSTM", "gru": "GRU"}.get(first.cell, first.name)
        both = ", bidirectional" if any(recurrence.direction == "reverse" for recurrence in group) else ""
        size = f" {units[0]} units" if units else ""
        parts.append(f"{cell},{size}" + (f", {layers} layers" if layers > 1 else "") + both)
    return " + ".join(parts)
