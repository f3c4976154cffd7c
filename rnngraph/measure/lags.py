"""The lag matrix: how much each step's loss is felt at each earlier state, `‖∂L_s/∂h_k‖`, sample by sample.

In: a recording. Out: a `LagTrace` a state. All losses share a leading axis and one reverse walk. Each row has a power
of two of its own, which travels with the cotangent between layers. At every state the norms of the rows are noted. A
lag counts steps that were taken, from where a loss first arrives; a copied step (a declared mask) is none, and nothing
crosses a cut, or a step at which a sample starts anew. That is all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rnngraph.measure.counted import counter
from rnngraph.measure.lag_options import LagOptions, chosen_losses, chosen_samples
from rnngraph.measure.recording import FED, Facts, Losses, Recording, Weighing
from rnngraph.progress import doing
from rnngraph.trace.magnitudes import Booleans, Floats, Integers
from rnngraph.trace.model import InputLagTrace, LagTrace, UpdateTrace

Measured: TypeAlias = tuple[tuple[LagTrace, ...], tuple[InputLagTrace, ...], tuple[UpdateTrace, ...]]
_ELEMENTS = 300_000  # of a part of the matrix that is looked at in one go


def measure_lags(recording: Recording, options: LagOptions) -> Measured:
    """Measure the lag matrix of every state of every recurrence and of what the network is fed.

    Also what the weights get from losses so many steps away, where the source knows it. With `max_lag` the losses are
    then followed on, and what the weights get from behind it is counted.

    Raises:
        InputError: a loss step or a sample that does not exist.
    """
    facts = recording.facts
    if not facts:
        return (), (), ()
    recording.read_as(options.joint)
    losses = recording.losses()
    samples = {one.batch: chosen_samples(losses, one.batch, options) for one in facts}
    chosen = chosen_losses(losses, samples, options)
    rows = chosen[::-1]  # latest first, so that those under way are a run of rows
    logs = {
        (number, kind): np.full((len(samples[one.batch]), len(rows), one.timesteps + 1), np.nan)
        for number, one in enumerate(facts)
        for kind in one.states
    }
    fed: dict[int, Floats] = {}
    begun = set[tuple[int, str]]()  # states of which the initial one is in the recording
    count = counter(facts)

    def see(number: int, kind: str, t: int, low: int, norms: Floats) -> None:
        by_step = norms if norms.ndim == 3 else norms[None]
        found = np.where(np.isnan(by_step), np.inf, by_step).transpose(2, 1, 0)  # what is not finite has no norm
        one, at = facts[number], slice(low, low + by_step.shape[1])
        if kind != FED:
            if t < 0:
                begun.add((number, kind))
            logs[number, kind][:, ::-1][:, at, t + 1 : t + 1 + len(by_step)] = found
            count(number, kind, len(by_step) if t >= 0 else 0)
            return
        if number not in fed:
            fed[number] = np.full((len(samples[one.batch]), len(rows), one.timesteps), -np.inf)
        part = fed[number][:, ::-1][:, at, t : t + len(by_step)]
        again = (part > -np.inf).any()
        part[...] = np.logaddexp(2 * part, 2 * found) / 2 if again else found  # of several inputs the norm over all

    weighed = None
    pull: Callable[..., Any] = recording.pull
    if isinstance(recording, Weighing) and (recording.weighs_unasked if options.updates is None else options.updates):
        pull = recording.pull_weighed
    if rows:
        with doing(f"walking {len(rows):,} {'loss' if len(rows) == 1 else 'losses'} back"):
            weighed = pull(rows, samples, see)
    begun.update(key for key in logs if recording.initial(*key) is not None)
    states = tuple(
        _trace(one, kind, chosen, logs[number, kind], samples[one.batch], losses, options, (number, kind) in begun)
        for number, one in enumerate(facts)
        for kind in one.states
    )
    born = {one.state: one.arrivals for one in states}
    inputs = []
    for number, log in sorted(fed.items()):
        readers = [one for one in facts if one.fed == facts[number].fed]
        arrived = [(one.reverse, born[next(iter(one.states.values()))]) for one in readers]
        if options.max_lag is not None:
            _end(log, arrived, options.max_lag)
        one = facts[number]
        _leave_out_between(log, arrived[0][1], min(reader.stride for reader in readers))
        inputs.append(InputLagTrace(one.fed, tuple([reader.name for reader in readers]), log, one.fed_weight))
    updates = tuple([UpdateTrace(facts[n].name, *found) for n, found in sorted(weighed.items())]) if weighed else ()
    return states, tuple(inputs), updates


def _end(log: Floats, readers: list[tuple[bool, Integers]], max_lag: int) -> None:
    """Leave out what lies further back than a lag, for every recurrence that reads the input."""
    followed = np.zeros(log.shape, bool)
    steps = np.arange(log.shape[2])
    for reverse, born in readers:
        lag = (steps - born[:, :, None]) * (1 if reverse else -1)
        followed |= (lag >= 0) & (lag <= max_lag)
    log[~followed] = np.nan


def _trace(
    facts: Facts,
    kind: str,
    chosen: list[tuple[int, int]],
    log: Floats,
    samples: Integers,
    losses: Losses,
    options: LagOptions,
    begun: bool,
) -> LagTrace:
    clocks, steps = (np.array([one[k] for one in chosen], np.int64) for k in (0, 1))
    own = (clocks == facts.clock) & (not losses.joint)  # one that reads many steps arrives wherever it is read first
    born = np.empty(log.shape[:2], np.int64)
    size = max(_ELEMENTS // max(len(samples) * log.shape[2], 1), 1)
    for first in range(0, len(chosen), size):  # some losses at a time: what is made of them is as large as they are
        some = slice(first, first + size)
        born[:, some] = arrivals(steps[some], log[:, some], facts.reverse, own=own[some])
        _tidy(log[:, some], born[:, some], facts.reverse, options.max_lag)
        _leave_out_between(log[:, some, 1:], born[:, some], facts.stride)
    if not begun:
        log[:, :, 0] = np.nan  # an initial state that is not in the recording was not measured: it may get something
    copied, severed = _steps(facts, samples)
    return LagTrace(
        facts.states[kind], steps, clocks, samples.astype(np.int64), log, copied, severed, born, len(losses.pairs),
        facts.batch, options.max_lag, losses.joint,
    )  # fmt: skip


def _tidy(log: Floats, born: Integers, reverse: bool, max_lag: int | None) -> None:
    """Tell zero from what was not asked, by the step at which each loss arrives first; in place."""
    time = log.shape[2] - 1
    columns = np.arange(-1, time)
    if reverse:
        lag = columns - born[:, :, None]
        lag[:, :, 0] = time - born
    else:
        lag = born[:, :, None] - columns
    before = lag >= 0  # the loss has arrived, in the order in which a gradient walks back
    log[np.isnan(log) & before] = -np.inf
    zero = log == -np.inf
    log[zero & ~before] = np.nan
    if (zero & before).any():
        _leave_out_passed_by(log, reverse)
    if max_lag is not None:
        log[lag > max_lag] = np.nan


def _leave_out_passed_by(log: Floats, reverse: bool) -> None:
    """Leave out states by which a gradient passes: it is zero there, and not zero at one that was processed before.

    Such is every other step where a step reads the last but one.
    """
    states = log[:, :, :0:-1] if reverse else log[:, :, 1:]  # in the order of processing, as the initial state is first
    felt = np.concatenate([log[:, :, :1], states], axis=2) > -np.inf
    comes_again = np.logical_or.accumulate(felt, axis=2)[:, :, 1:]
    states[(states == -np.inf) & comes_again] = np.nan


def _leave_out_between(log: Floats, born: Integers, stride: int) -> None:
    """Leave out zeros between steps of which one goes on from the other: no way leads there."""
    if stride == 1:
        return
    between = (np.arange(log.shape[2]) - born[:, :, None]) % stride != 0
    log[between & (log == -np.inf)] = np.nan


def _steps(facts: Facts, samples: Integers) -> tuple[Booleans, Booleans]:
    """Tell which steps were copies and which were cut, (samples, T)."""
    shape = len(samples), facts.timesteps
    copied = np.zeros(shape, bool) if facts.mask is None else ~facts.mask[samples]
    severed = facts.severed
    severed = np.broadcast_to(severed if len(severed) == 1 else severed[samples], shape)
    return copied, severed & ~copied  # a copy passes its gradient on, through a cut too


def arrivals(losses: Integers, log: Floats, reverse: bool, *, own: Booleans) -> Integers:
    """Give the timestep at which each loss first arrives at a state, (B, S).

    A sample that is shorter than the others is entered at its own last step: nothing arrives behind that.

    Args:
        losses: (S,) timesteps.
        log: (B, S, T + 1) log norms, column 0 the initial state; NaN or -inf where nothing arrived.
        reverse: whether the recurrence runs from the last step to the first.
        own: (S,) whether a loss is on the clock of the recurrence: then it arrives at its own step or behind it.
    """
    arrived = log[:, :, 1:] > -np.inf
    time = arrived.shape[2]
    steps = np.arange(time)
    own_step = np.minimum(losses, time - 1)
    behind = steps >= own_step[:, None] if reverse else steps <= own_step[:, None]
    in_time = arrived & behind
    found = np.where((own & in_time.any(axis=2))[:, :, None], in_time, arrived)
    first = np.argmax(found, axis=2) if reverse else time - 1 - np.argmax(found[:, :, ::-1], axis=2)
    return np.asarray(np.where(found.any(axis=2), first, own_step), dtype=np.int64)
