"""The lag matrix: how much each step's loss is felt at each earlier state, `M[s, k] = ‖∂L_s/∂h_k‖`, sample by sample.

In: a tape and the cotangents of its loss. Out: a `LagTrace` a state. All losses are walked back together, once, through
the same vjps as the ordinary sweep, each row with a power of two of its own, so that a gain of 1e-2000 is still a
number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.tape import Tape
from rnngraph.errors import InputError
from rnngraph.nn.recurrent import suffix
from rnngraph.trace import seeds as entering
from rnngraph.trace.model import Floats, LagTrace
from rnngraph.trace.pieces import Piece, measured
from rnngraph.trace.routes import WHOLE, Routes, StateKey
from rnngraph.trace.seeds import Seeds
from rnngraph.trace.transitions import transitions
from rnngraph.trace.transport import Carrier

_BYTES = 400_000_000  # for the gradients that are under way at one time
_CACHE, _ROWS = 4_000_000, 256  # for the gradients of one node; but products of fewer rows than this are slow


@dataclass(frozen=True, slots=True)
class LagOptions:
    """Which part of the lag matrix is measured.

    `losses` and `samples` are a number (that many, spread evenly, the last loss of every sample first; samples by
    length), `"all"`, or the timesteps and sample indices themselves. A loss is no longer followed after `max_lag`
    steps.
    """

    losses: int | Literal["all"] | Sequence[int] = 32
    samples: int | Literal["all"] | Sequence[int] = 8
    max_lag: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a count below 1, an empty list, or a word other than "all".
        """
        for name, value in (("losses", self.losses), ("samples", self.samples), ("max_lag", self.max_lag)):
            if value is None or value == "all":
                continue
            if isinstance(value, str) or (isinstance(value, int) and value < 1) or not np.size(value):
                raise InputError(f'{name} is {value!r}; pass a whole number of at least 1, a list, or "all".')


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
    samples = _samples(seeds.norms, options)
    losses = _losses(seeds.norms[:, samples], options)
    logs = [np.full((len(samples), len(losses), len(key.ids) + 1), np.nan) for key in routes.states]
    run = _Run(routes, seeds, samples, losses, logs, options.max_lag)
    size = run.block()
    with np.errstate(all="ignore"):
        for first in range(0, len(losses), size):
            run.walk(range(first, min(first + size, len(losses))))
    return tuple([_trace(run, index, key) for index, key in enumerate(routes.states)])


@dataclass(frozen=True, slots=True)
class _Run:
    routes: Routes
    seeds: Seeds
    samples: Array
    losses: list[int]  # latest first, so that the seeds under way are a run of rows
    logs: list[Floats]
    max_lag: int | None

    def walk(self, block: range) -> None:
        """Walk the losses of one block back together."""
        routes, chosen = self.routes, self.losses[block.start : block.stop]
        carrier = Carrier(routes, seeds=len(chosen), samples=self.samples)
        place = {step: row for row, step in enumerate(chosen)}
        for node_id, gradient in self.seeds.entering.items():
            row = place.get(self.seeds.step[node_id])
            if row is not None:
                carrier.enter((node_id, WHOLE), Piece(row, carrier.narrowed(gradient)[None], None, 1))
        one_way = all(key.recurrence.direction == "forward" for key in routes.states)
        for slot in routes.order:
            if self.max_lag is not None and one_way:
                self._drop(carrier, slot, chosen)
            piece = carrier.collect(slot)
            if piece is None:
                continue
            for index, column in routes.measured.get(slot[0], ()):
                piece, logs = measured(piece)
                rows = slice(block.start + piece.low, block.start + piece.high)
                self.logs[index][:, rows, column] = carrier.picked(logs).T
            carrier.leave(slot, piece)

    def _drop(self, carrier: Carrier, slot: tuple[int, int], chosen: list[int]) -> None:
        step = self.routes.step_of(slot)
        if step < 0 or slot not in carrier.pending or not isinstance(self.max_lag, int):
            return
        oldest = next((row for row, loss in enumerate(chosen) if loss - step <= self.max_lag), len(chosen))
        kept = []
        for piece in carrier.pending[slot]:
            cut = max(oldest - piece.low, 0)
            if cut < piece.count:
                kept.append(piece.without(cut) if cut else piece)
        if kept:
            carrier.pending[slot] = kept
        else:
            del carrier.pending[slot]

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


def _samples(norms: Floats, options: LagOptions) -> Array:
    batch = norms.shape[1]
    if options.samples == "all":
        return np.arange(batch)
    if isinstance(options.samples, int | np.integer):
        length = (norms != 0)[::-1].argmax(axis=0)  # steps after the last loss; as long samples first
        order = np.argsort(length, kind="stable")
        count = min(int(options.samples), batch)
        return np.sort(order[np.linspace(0, batch - 1, count).round().astype(int)])
    return np.array(_checked(options.samples, batch, "sample", "the batch has"))


def _losses(norms: Floats, options: LagOptions) -> list[int]:
    steps = [int(t) for t in np.flatnonzero((norms != 0).any(axis=1))]
    if options.losses == "all":
        chosen = steps
    elif isinstance(options.losses, int | np.integer):
        last = {int(np.flatnonzero(column != 0)[-1]) for column in norms.T if (column != 0).any()}
        chosen = entering.spread(steps, int(options.losses), always=last)
    else:
        chosen = _checked(options.losses, len(norms), "loss step", "the sequence has")
    return chosen[::-1]


def _checked(wanted: Sequence[int], size: int, what: str, whole: str) -> list[int]:
    found = sorted({int(one) for one in wanted})
    outside = [one for one in found if not 0 <= one < size]
    if outside:
        raise InputError(f"{what} {outside[0]} was asked for, but {whole} {size}: choose 0 to {size - 1}.")
    return found


def state_name(key: StateKey) -> str:
    """Name a state as the trace does, such as `lstm.c_l1`."""
    name = f"{key.recurrence.name}.{key.kind}"
    if key.recurrence.cell == "custom":
        return name
    return name + suffix(key.recurrence.layer, key.recurrence.direction)


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


def _trace(run: _Run, index: int, key: StateKey) -> LagTrace:
    losses = np.array(run.losses[::-1], dtype=np.int64)
    logs = run.logs[index][:, ::-1, :].copy()
    columns = np.arange(-1, len(key.ids))
    if key.recurrence.direction == "forward":
        lag = losses[:, None] - columns
    else:
        lag = columns - losses[:, None]
        lag[:, 0] = len(key.ids) - losses
    earlier = lag < 0
    missing = np.isnan(logs)
    pruned = np.zeros_like(lag, dtype=bool) if run.max_lag is None else lag > run.max_lag
    logs[missing & ~earlier] = -np.inf
    logs[:, pruned] = np.nan
    logs[(logs == -np.inf) & earlier] = np.nan
    copied, severed = transitions(run.routes, carried_together(run.routes, key))
    return LagTrace(
        state_name(key), losses, run.samples.astype(np.int64), logs, copied[run.samples], severed[run.samples],
        len(run.seeds.steps), run.routes.batch,
    )  # fmt: skip
