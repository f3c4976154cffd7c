"""Measure the gates of an LSTM or a GRU: openness, saturation, the geometric mean of the gate that keeps the state."""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans
from rnngraph.trace.model import GateTrace

# A derivative below 5 % of the gate's own largest: s(1 - s) < 0.05/4 for a sigmoid, 1 - u² < 0.05 for tanh.
_SIGMOID, _TANH = 0.0125, 0.05
_KEEPING = {"lstm": "f", "gru": "z"}
_CHUNK_BYTES = 4_000_000


def measure_gates(tape: Tape, recurrence: Recurrence, prefix: str, valid: Booleans) -> tuple[GateTrace, ...]:
    """Measure every gate over all timesteps; nothing where the gates were not recorded as one node a step."""
    names, ids = recurrence.gate_names, recurrence.gates
    if not ids:
        return ()
    time, count = len(ids), len(names)
    first = tape.nodes[ids[0]].value
    hidden = first.shape[-1] // count
    mean, saturated = np.empty((count, time)), np.empty((count, time))
    kept, weight = np.zeros(hidden), 0
    keeping = names.index(_KEEPING[recurrence.cell])
    chunk = max(1, _CHUNK_BYTES // first.nbytes)
    for start in range(0, time, chunk):
        steps = slice(start, min(start + chunk, time))
        values = np.concatenate([tape.nodes[node_id].value for node_id in ids[steps]])
        values = values.reshape(-1, *first.shape)
        mean[:, steps] = values.mean(axis=1).reshape(-1, count, hidden).mean(axis=2).T
        saturated[:, steps] = _saturated(values, names, hidden)
        usable = valid[:, steps].T if valid.shape == (len(first), time) else np.ones(values.shape[:2], bool)
        block = values[..., keeping * hidden : (keeping + 1) * hidden][usable]
        with np.errstate(all="ignore"):
            kept += np.log(block.astype(np.float64)).sum(axis=0)
        weight += len(block)
    nothing = np.full(hidden, np.nan)
    log_mean = kept / weight if weight else nothing
    return tuple(
        GateTrace(
            f"{prefix}.{gate}", prefix, recurrence.layer, recurrence.direction, gate, mean[k], saturated[k],
            log_mean if k == keeping else nothing,
        )
        for k, gate in enumerate(names)
    )  # fmt: skip


def _saturated(values: Array, names: str, hidden: int) -> Array:
    steps = len(values)
    shares = np.empty((len(names), steps))
    for k, gate in enumerate(names):
        block = values[..., k * hidden : (k + 1) * hidden]
        flat = 1 - block * block < _TANH if gate in "gn" else block * (1 - block) < _SIGMOID
        shares[k] = flat.reshape(steps, -1).mean(axis=1)
    return shares
