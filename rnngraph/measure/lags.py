"""The lag matrix: how much each step's loss is felt at each earlier state, `M[s, k] = ‖∂L_s/∂h_k‖`, sample by sample.

In: a tape and the cotangents of its loss. Out: a `LagTrace` a state. All losses are walked back together, once, through
the same vjps as the ordinary sweep, each row with a power of two of its own, so that a gain of 1e-2000 is still a
number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.tape import Tape
from rnngraph.measure import seeds as entering
from rnngraph.measure.births import births, in_step
from rnngraph.measure.lag_options import LagOptions, chosen_losses, chosen_samples
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import FORWARD, LagTrace
from rnngraph.measure.names import state_name
from rnngraph.measure.pieces import Piece, measured
from rnngraph.measure.pruning import Pruning
from rnngraph.measure.routes import WHOLE, Routes, StateKey
from rnngraph.measure.shim import clocks_of
from rnngraph.measure.seeds import Seeds
from rnngraph.measure.transitions import Transitions, transitions
from rnngraph.measure.transport import Carrier

_BYTES = 400_000_000  # for the gradients that are under way at one time
_CACHE, _ROWS = 4_000_000, 256  # for the gradients of one node; but products of fewer rows than this are slow


def measure(tape: Tape, starts: Mapping[int, Contribution], options: LagOptions | None = None) -> tuple[LagTrace, ...]:
    """Measure the lag matrix of every state of every recurrence on the tape.

    Args:
        tape: a recorded forward pass.
        starts: cotangents of the loss by node id, as for `sweep`.
        options: what is measured; 32 losses of 8 samples by default.

    Returns:
        one trace a state, in the order of `tape.recurrences`.

    Raises:
        InputError: a loss step or a sample that does not exist.
    """
    options = options or LagOptions()
    routes = Routes(tape)
    if not routes.states:
        return ()
    seeds = entering.find(routes, starts)
    samples = chosen_samples(seeds.norms, options)
    losses = chosen_losses(seeds.norms[:, samples], options)
    logs = [np.empty((len(samples), len(losses), len(key.ids) + 1)) for key in routes.states]
    followed = np.full(len(losses), -1)
    floor = options.log_floor(str(tape.nodes[routes.states[0].ids[0]].value.dtype))
    run = _Run(routes, seeds, samples, losses, logs, followed, floor, options.max_lag)
    size = run.block()
    with np.errstate(all="ignore"):
        for first in range(0, len(losses), size):
            block = range(first, min(first + size, len(losses)))
            if not run.walk(block, floor):
                run.walk(block, -np.inf)
    aligned = in_step(routes, seeds.step)
    known: dict[int, Transitions] = {}  # by the first of the states that are carried together
    return tuple([_trace(run, index, key, aligned, known) for index, key in enumerate(routes.states)])


@dataclass(frozen=True, slots=True)
class _Run:
    routes: Routes
    seeds: Seeds
    samples: Array
    losses: list[int]  # latest first, so that the seeds under way are a run of rows
    logs: list[Floats]
    followed: Integers  # the earliest timestep to which each loss was followed
    floor: float  # ln of a gain
    max_lag: int | None

    def walk(self, block: range, floor: float) -> bool:
        """Walk the losses of one block back together; False if some were dropped that may have grown again."""
        routes, chosen = self.routes, self.losses[block.start : block.stop]
        carrier = Carrier(routes, seeds=len(chosen), samples=self.samples)
        place = {step: row for row, step in enumerate(chosen)}
        for node_id, gradient in self.seeds.entering.items():
            row = place.get(self.seeds.step[node_id])
            if row is not None:
                carrier.enter((node_id, WHOLE), Piece(row, carrier.narrowed(gradient)[None], None, 1))
        logs = [log[:, block.start : block.stop] for log in self.logs]
        for log in logs:
            log[...] = np.nan
        pruning = Pruning(routes, chosen, logs, floor=floor, max_lag=self.max_lag)
        for slot in routes.order:
            carrier.drop(slot, pruning.dropped(routes.step_of(slot)))
            piece = carrier.collect(slot)
            if piece is None:
                continue
            for index, column in routes.measured.get(slot[0], ()):
                piece, norms = measured(piece)
                logs[index][:, piece.low : piece.high, column] = carrier.picked(norms).T
            carrier.leave(slot, piece)
            if pruning.regrown:
                return False
        self.followed[block.start : block.stop] = pruning.followed
        return True

    def block(self) -> int:
        """Choose how many losses are walked together: memory stays bounded, and a step's arrays stay in the cache."""
        routes, nodes = self.routes, self.routes.tape.nodes
        sizes: dict[int, int] = {}
        widest, split = 1, 0
        for slot in routes.order:
            value = nodes[slot[0]].value
            size = value.size // (value.shape[1] if slot[1] >= 0 else 1)
            sizes[routes.step_of(slot)] = sizes.get(routes.step_of(slot), 0) + size
            widest, split = max(widest, size), split + size * (slot[1] >= 0)
        # Both directions of a stack meet between the layers, where every step waits for the other direction.
        waiting = any(key.recurrence.direction == "reverse" for key in routes.states) and any(routes.split)
        width = max(split // 2, 1) if waiting else 2 * max(sizes.values())
        share = max(len(self.samples) / routes.batch, 1e-9)
        fitting = max(_CACHE / (8 * widest * share), _ROWS / len(self.samples))
        return int(np.clip(min(_BYTES / (8 * width * share), fitting), 1, max(len(self.losses), 1)))


def carried_together(routes: Routes, key: StateKey) -> list[StateKey]:
    """Give the states that one step of a recurrence carries together, such as an LSTM's h and c."""
    if key.recurrence.cell != "custom":
        return [other for other in routes.states if other.recurrence is key.recurrence]
    return [
        other
        for other in routes.states
        if other.recurrence.cell == "custom"
        and other.recurrence.name == key.recurrence.name
        and len(other.ids) == len(key.ids)
    ]


def _trace(
    run: _Run, index: int, key: StateKey, aligned: dict[int, set[int]], known: dict[int, Transitions]
) -> LagTrace:
    losses = np.array(run.losses[::-1], dtype=np.int64)
    together = carried_together(run.routes, key)
    logs = run.logs[index][:, ::-1, :].copy()
    place = run.routes.tape.recurrences.index(key.recurrence)
    own = np.array([place in aligned.get(int(loss), ()) for loss in losses], dtype=bool)
    born = births(losses, logs, key.recurrence.direction, own=own)
    columns = np.arange(-1, len(key.ids))
    if key.recurrence.direction == FORWARD:
        lag = born[:, :, None] - columns
    else:
        lag = columns - born[:, :, None]
        lag[:, :, 0] = len(key.ids) - born
    later = lag < 0  # in processing order, than where the loss enters
    missing = np.isnan(logs)
    logs[missing & ~later] = -np.inf
    logs[(logs == -np.inf) & later] = np.nan
    followed = run.followed[::-1].copy()
    logs[:, columns < followed[:, None]] = np.nan
    if run.max_lag is not None:
        logs[lag > run.max_lag] = np.nan
    steps = known.get(together[0].ids[0]) or known.setdefault(together[0].ids[0], transitions(run.routes, together))
    if steps.connected is not None:
        _leave_out(logs, born, steps.connected, reverse=key.recurrence.direction != FORWARD)
    return LagTrace(
        state_name(key.recurrence, key.kind), losses, clocks_of(run.routes.tape, losses), run.samples.astype(np.int64),
        logs, steps.copied[run.samples], steps.severed[run.samples], born, len(run.seeds.steps), run.routes.batch,
        run.max_lag,
    )  # fmt: skip


def _leave_out(logs: Floats, born: Integers, connected: Booleans, *, reverse: bool) -> None:
    """Leave out the pairs between which no way leads: such as every other step, where a step reads the last but one."""
    if reverse:
        connected = connected[::-1, ::-1]
    states = logs[:, :, 1:]
    states[(states == -np.inf) & ~connected[born]] = np.nan
