"""The past that a trained network uses: its loss where the state is reset so many steps before it.

In: the loss of a recorded pass. Out: a `ContextTrace`. A loss at every step is taken step by step, at a few steps
spread over the sequence, each with exactly so much of the past; a loss at one step as it is.
"""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MEAN, SUM
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.measure.past_in_use import exact, measure_context, phases
from rnngraph.sources.tape.record import open_recording
from rnngraph.sources.tape.recording import TapeRecording
from rnngraph.sources.tape.reset import Resets
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.used_past import ContextTrace


def context(loss: Tensor, *, most: int | None = None) -> ContextTrace:
    """Measure the loss over kept context; see `rnngraph.context`."""
    recording = open_recording(loss)
    _check(recording)
    steps = np.unique(recording.losses().pairs[:, 1])
    if not steps.size:
        raise InputError(
            "no gradient of the loss reaches the recurrence: it is not connected, masked, or solved exactly."
        )
    parts = _loss_by_step(loss) if steps.size > 1 else None
    if steps.size > 1 and parts is None:
        raise InputError(
            "the loss is at many steps, but is not a sum or mean of what was computed step by step, (N, T, ...): "
            "use temporal_softmax_loss, or a loss at one step."
        )

    def at(lag: int) -> tuple[float, float, int]:
        """Give the loss with so much of the past, with all of it, and of how many losses."""
        found = []
        for phase in phases(steps, lag):
            again = Resets(recording.tape, lag + 1, phase)
            if parts is None:
                found.append((float(again.value(loss.id)), recording.loss, 1.0))
            else:
                found.append(_of_steps(parts.value, again.value(parts.id), exact(steps, lag, phase)))
        kept, full, counts = (sum(one[k] for one in found) for k in range(3))
        return kept / counts, full / counts, int(counts)

    time = max(one.timesteps for one in recording.facts)
    return measure_context(at, steps, model=recording.model, timesteps=time, most=most)


def _check(recording: TapeRecording) -> None:
    blocks = [one.block for one in recording.tape.recurrences]
    if not blocks or any(block is None for block in blocks):
        raise InputError(
            "the state can be reset only in layers of this package (nn.RNN, nn.LSTM, nn.GRU) with detail='step'."
        )
    if all(block.reverse for block in blocks if block is not None):
        raise InputError("every recurrence runs in reverse, so that there is no past to leave out.")
    if not np.isfinite(recording.loss):
        raise InputError(f"the loss is {recording.loss}, so that nothing can be said of what it uses.")
    if recording.joint:
        raise InputError("the loss reads many steps at once: there is no one step before which the past ends.")


def _of_steps(full: Floats, kept: Floats, steps: Integers) -> tuple[float, float, float]:
    """Sum the losses of some steps, with so much of the past and with all of it, and count them."""
    before, after = _by_step(full), _by_step(kept)
    chosen = np.isin(np.arange(before.shape[1]), steps)
    there: Booleans = chosen & ((before != 0) | (after != 0))
    return float(after[there].sum()), float(before[there].sum()), float(there.sum())


def _loss_by_step(loss: Tensor) -> Node | None:
    """Find what the loss is a sum or mean of, computed step by step, (N, T, ...)."""
    tape = loss.tape
    entry = loss.node
    sizes = {(one.block.sample_count, one.block.steps) for one in tape.recurrences if one.block is not None}
    while isinstance(entry, Node):
        if entry.value.shape[:2] in sizes:
            return entry
        moving = [i for i in entry.inputs if tape.entry(i).requires and tape.entry(i).op.vjp is not None]
        linear = entry.op in (SUM, MEAN) or entry.value.ndim == 0
        if len(moving) != 1 or not linear:
            return None
        found = tape.entry(moving[0])
        if not isinstance(found, Node):
            return None
        entry = found
    return None


def _by_step(value: Floats) -> Floats:
    return np.asarray(value.reshape(*value.shape[:2], -1).sum(axis=2), np.float64)
