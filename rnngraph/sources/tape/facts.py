"""What is known of a tape before anything is measured: its timesteps, its recurrences, and a name for it.

In: a tape. Out: `Facts` of every recurrence.
"""

from __future__ import annotations

from math import gcd

from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.measure.recording import Facts
from rnngraph.sources.tape.cuts import breaks_of
from rnngraph.sources.tape.inputs import batch_of


def timesteps_of(tape: Tape) -> int:
    """Count the timesteps: the longest recurrence, else the largest `t` scope, else the time axis of the output."""
    declared = [one.timesteps for one in tape.recurrences]
    if declared:
        return max(declared)
    scoped = max((entry.timestep for entry in tape.entries), default=-1) + 1
    return scoped or max((output.shape[1] for output in tape.outputs if output.ndim == 3), default=0)


def blocks_of(tape: Tape) -> dict[int, int]:
    """Give the number of the recurrence of every block by its entry id."""
    return {one.block.id: number for number, one in enumerate(tape.recurrences) if one.block is not None}


def states_of(tape: Tape) -> dict[int, tuple[int, str, int]]:
    """Give (recurrence, kind, timestep) of every state that is a node, by its id."""
    return {
        node_id: (number, kind, t)
        for number, one in enumerate(tape.recurrences)
        for kind, ids in one.states.items()
        for t, node_id in enumerate(ids)
    }


def facts_of(tape: Tape, one: Recurrence, clock: int, fed: tuple[str, float]) -> Facts:
    """Give what is known of a recurrence; `fed` names what the network is fed there, with the norm of its weight."""
    splits = one.block is not None and one.block.cell.splits_gain
    nodes = {kind: one.node_ids(kind) for kind in one.kinds}
    return Facts(
        one.name, one.stem, one.layer, one.direction, one.facts, {kind: one.state_name(kind) for kind in one.kinds},
        one.timesteps, batch_of(tape, one), clock, nodes, *breaks_of(tape, one), splits, *fed, _stride(tape, one),
    )  # fmt: skip


def _stride(tape: Tape, one: Recurrence) -> int:
    """Count the steps from a state to what it is made of: more than one where all that a step reads is further back."""
    if one.block is not None:
        return 1
    steps = {i: k for ids in one.states.values() for k, i in enumerate(reversed(ids) if one.reverse else ids)}
    walls, first, found = states_of(tape), min(steps), 0
    for state, t in steps.items():
        waiting = list(tape.entry(state).inputs)
        seen = set(waiting)
        while waiting and found != 1:
            i = waiting.pop()
            found = gcd(found, t - steps.get(i, t))
            below = {j for j in tape.entry(i).inputs if j >= first} - seen if i not in walls else set()
            seen |= below
            waiting += below
    return found or 1


def describe(tape: Tape) -> str:
    """Say what the recurrences of a tape are, such as `LSTM, 64 units, 2 layers, bidirectional`."""
    if not tape.recurrences:
        return f"{len(tape)} nodes"
    groups: dict[str, list[Recurrence]] = {}
    for recurrence in tape.recurrences:
        groups.setdefault(recurrence.stem, []).append(recurrence)
    parts = []
    for group in groups.values():
        first = group[0]
        value = first.block.value if first.block is not None else tape.entry(next(iter(first.states.values()))[0]).value
        layers = len({recurrence.layer for recurrence in group})
        title = first.facts.title if first.cell is not None else first.stem
        both = ", bidirectional" if any(recurrence.reverse for recurrence in group) else ""
        size = f" {value.shape[-1]} units" if value.ndim else ""
        parts.append(f"{title},{size}" + (f", {layers} layers" if layers > 1 else "") + both)
    return " + ".join(parts)
