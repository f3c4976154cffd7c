"""Whether the loss reads many timesteps jointly, as pooling and attention do: early steps then get gradient directly.

In: a tape, and what enters its recurrences. Out: yes or no, found by asking: one state that a loss reads is moved a
little, what stands above the recurrences is computed again, and the gradients that enter at other steps are compared
with those before. A loss at every step leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.autodiff.again import with_entries, with_value
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.given import Given, gather
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.ops import ADD, DIVIDE, MEAN, MULTIPLY, NEGATE, RESHAPE, SUBTRACT, SUM
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.norms import norm
from rnngraph.sources.tape.entering import Entering, find_entering
from rnngraph.sources.tape.facts import states_of

NOTE = (
    "the loss reads many timesteps at once (pooling or attention): it is taken as one loss at its last step, and early "
    "steps get gradient from it directly"
)
_MOVE = 1e-2  # relative; what changes by less than _SAME of the largest gradient is rounding
_SAME = 1e-7
_STEPS = 4096  # that are compared at a time
_TERMS = 8  # kinds of terms of a loss that are looked at, at most
_SUMS = (ADD, SUBTRACT)
_FACTORS = (MULTIPLY, DIVIDE, NEGATE, SUM, MEAN, RESHAPE)  # of one thing alone


def reads_many_steps(tape: Tape, starts: Mapping[int, Array], entering: Entering) -> bool:
    """Tell whether states of several timesteps are put together before something that is not linear in them.

    A loss that is a plain sum over timesteps is not meant: it is a loss at every step. Of a sum the term decides of
    which the most enters: a penalty on a mean activity beside words is a side term.
    """
    if not _joins(tape, starts, entering):
        return False
    terms = _terms(tape, starts)
    if not 1 < len(terms) <= _TERMS:
        return True
    alone = [(some, find_entering(tape, some, entering.clocks)) for some in terms]
    largest = max(alone, key=lambda one: max(map(norm, one[1].norms.values()), default=0.0))
    return _joins(tape, *largest)


def _terms(tape: Tape, starts: Mapping[int, Array]) -> list[dict[int, Array]]:
    """Divide the loss into the terms of its sum, looking through factors, with the cotangent of each.

    Terms that are made alike, as of the steps of a loop, are one.
    """
    found: dict[int, Any] = {}
    states, waiting, seen = states_of(tape), list(starts), set[int]()
    while waiting:
        entry = tape.entry(waiting.pop())
        if entry.id in seen:
            continue
        seen.add(entry.id)
        below = [] if isinstance(entry, Block) else [tape.entry(i) for i in entry.inputs if tape.entry(i).requires]
        within = entry.id in states or any(isinstance(one, Block) for one in below)
        if below and not within and (entry.op in _SUMS or (len(below) == 1 and entry.op in _FACTORS)):
            waiting += [one.id for one in below]
        else:
            found[entry.id] = (_made(tape, entry), *(_made(tape, one) for one in below))
    kinds: dict[Any, dict[int, Array]] = {}
    with np.errstate(all="ignore"):
        for step in sweep(tape, starts, until=found):
            if step.node.id in found:
                kinds.setdefault(found[step.node.id], {})[step.node.id] = np.array(step.gradient)
    return list(kinds.values())


def _made(tape: Tape, entry: Entry) -> tuple[str, ...]:
    """Name what makes a value, and what makes that."""
    return () if isinstance(entry, Block) else (entry.op.name, *(tape.entry(i).op.name for i in entry.inputs))


def _joins(tape: Tape, starts: Mapping[int, Array], entering: Entering) -> bool:
    given = {entry_id: [t for t in one.steps() if t >= 0] for entry_id, (_, one) in entering.blocks.items()}
    blocks = {entry_id: steps for entry_id, steps in given.items() if steps}
    nodes: dict[int, list[int]] = {}
    for node_id, (number, _, _) in entering.nodes.items():
        nodes.setdefault(number, []).append(node_id)
    read = {t for steps in blocks.values() for t in steps} | {t for _, t, _ in entering.nodes.values()}
    return len(read) > 1 and any(
        _moves_others(tape, starts, entering, *moved)
        for moved in (
            *((entry_id, steps[len(steps) // 2]) for entry_id, steps in blocks.items()),
            *((sorted(some)[len(some) // 2], -1) for some in nodes.values()),
        )
    )


def _moves_others(tape: Tape, starts: Mapping[int, Array], entering: Entering, target: int, t: int) -> bool:
    """Move one state, and tell whether the gradient that enters anywhere else changes."""
    times = {node_id: k for one in tape.recurrences for ids in one.states.values() for k, node_id in enumerate(ids)}
    states = {one.block.id for one in tape.recurrences if one.block is not None} | set(times)
    here = times.get(target, t)
    changed = _computed_again(tape, target, t, states)
    before: dict[int, Given | Array] = {entry_id: given for entry_id, (_, given) in entering.blocks.items()}
    before |= {node_id: gradient for node_id, (_, _, gradient) in entering.nodes.items()}
    after = _arrived(changed, starts, states)
    pairs = [
        pair
        for node_id, one in before.items()
        for pair in _pairs(one, after.get(node_id), here if node_id not in times else here - times[node_id])
    ]
    largest = max((float(np.abs(one).max(initial=0)) for one, _ in pairs), default=0.0)
    return any(float(np.abs(one - other).max(initial=0)) > _SAME * largest for one, other in pairs)


def _arrived(tape: Tape, starts: Mapping[int, Array], states: set[int]) -> dict[int, Given | Array]:
    found: dict[int, Given | Array] = {}
    with np.errstate(all="ignore"):
        for step in sweep(tape, starts, until=states):
            entry = step.node
            if entry.id in states:
                found[entry.id] = (
                    gather(entry, step.contributions)
                    if isinstance(entry, Block)
                    else np.array(step.gradient, np.float64)
                )
    return found


def _pairs(before: Given | Array, after: Given | Array | None, here: int) -> Iterator[tuple[Array, Array]]:
    """Give what arrives before and after, side by side, at all steps but one: both directions and all layers read it.

    A state that is a node has the one step 0.
    """
    if not isinstance(before, Given):
        if here != 0:
            yield before, np.zeros_like(before) if not isinstance(after, np.ndarray) else after
        return
    later = after if isinstance(after, Given) else Given(before.block)
    single, other = before.single.get("h", {}), later.single.get("h", {})
    alone = sorted({here} | single.keys() | other.keys())
    for t in alone:
        if t != here:
            yield _at(before, t), _at(later, t)
    if before.output is not None:
        nothing = np.zeros_like(before.output) if later.output is None else later.output
        for start, stop in pairwise([-1, *alone, before.block.steps]):
            for first in range(start + 1, stop, _STEPS):
                part = slice(first, min(first + _STEPS, stop))
                yield before.output[part], nothing[part]


def _at(given: Given, t: int) -> Array:
    single = given.single.get("h", {}).get(t, 0)
    return np.asarray((0 if given.output is None else given.output[t]) + single, np.float64)


def _computed_again(tape: Tape, target: int, t: int, states: set[int]) -> Tape:
    """Copy a tape with one state moved, and compute again what depends on it and is no state."""
    values: dict[int, Array] = {}
    entries: list[Entry] = []
    for entry in tape.entries:
        value = entry.value
        if entry.id == target:
            value = value.copy()
            part = value if t < 0 else value[:, t]
            part *= 1 + _MOVE
            part += _MOVE * (float(np.abs(part).max(initial=0)) or 1.0)
            values[entry.id] = value
        elif not isinstance(entry, Block) and entry.id not in states and any(i in values for i in entry.inputs):
            arguments = tuple(values.get(i, tape.entry(i).value) for i in entry.inputs)
            with np.errstate(all="ignore"):
                value = values[entry.id] = np.asarray(entry.op.forward(*arguments, **entry.options))
            entries.append(with_value(entry, value, arguments))
            continue
        entries.append(entry)
    return with_entries(tape, entries)
