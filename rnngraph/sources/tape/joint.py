"""Whether the loss reads many timesteps jointly, as pooling and attention do: early steps then get gradient directly.

In: a tape, and what enters its recurrences. Out: yes or no, found by asking: one state that a loss reads is moved a
little, what stands above the recurrences is computed again, and the norms of what enters at other steps are compared
with those before. A loss at every step leaves them as they are. A loss that is linear in the states changes nothing at
all: of it one number is asked at which steps it enters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnngraph.autodiff.again import again, depending
from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import ADD, DIVIDE, MATMUL, MEAN, MULTIPLY, NEGATE, RESHAPE, STATE, SUBTRACT, SUM
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.norms import norm
from rnngraph.sources.tape.entering import Entering, find_entering
from rnngraph.sources.tape.facts import blocks_of, states_of

_MOVE = 1e-2  # relative; what changes by less than _SAME of the largest gradient is rounding
_SAME = 1e-7
_TERMS = 8  # kinds of terms of a loss that are looked at, at most
_SIDE = 0.1  # a term that is smaller, beside the largest, is a side term
_ASKED = 2  # inputs of a term that are asked, at most: what it reads, and a weight
_READS = 0.05  # how much enters at a step that a number reads, beside the most
_SUMS = (ADD, SUBTRACT)
_SUMMING = (SUM, MEAN)
_FACTORS = (MULTIPLY, DIVIDE, NEGATE, *_SUMMING, RESHAPE)  # of one thing alone


def reads_many_steps(tape: Tape, starts: Mapping[int, Array], entering: Entering) -> bool:
    """Tell whether states of several timesteps are put together before something that is not linear in them.

    A loss that is a plain sum over timesteps is not meant: it is a loss at every step. Of a sum the term decides of
    which the most enters: a penalty on a mean activity beside words is a side term. One that is linear in what it
    reads, as half of a cross entropy is that is written out, tells nothing.
    """
    found = _joins(tape, starts, entering)
    if found is False:
        return False
    terms = _terms(tape, starts)
    if found and not 1 < len(terms) <= _TERMS:
        return True
    alone = [(some, find_entering(tape, some, entering.clocks)) for some in terms]
    sizes = [max(map(norm, one.norms.values()), default=0.0) for _, one in alone]
    order = sorted(range(len(terms)), key=sizes.__getitem__, reverse=True)
    for k in order if found else ():
        told = _joins(tape, *alone[k]) if sizes[k] >= _SIDE * sizes[order[0]] else None
        if told is not None:
            return told
    return bool(order) and _of_one_number(tape, terms[order[0]], entering)


def _of_one_number(tape: Tape, term: Mapping[int, Array], entering: Entering) -> bool:
    """Tell whether the largest number that a term sums up is made of far steps.

    Of what sums up by itself, and of what may pass nothing of a number, as a hinge does, an input is asked.
    """
    at, gradient = max(term.items(), key=lambda one: norm(one[1]))
    entry, known = tape.entry(at), {at: gradient}
    with np.errstate(all="ignore"):
        if not isinstance(entry, Block) and at not in states_of(tape) and _has_small_numbers(entry):
            steps_back = sweep(tape, known, until=set(entry.inputs))
            known = {step.node.id: np.array(step.gradient) for step in steps_back if step.node.id != at} or known
        some = sorted((i for i, one in known.items() if one.size), key=lambda i: norm(known[i]))[-_ASKED:]
        asked = [find_entering(tape, {i: _largest(known[i])}, entering.clocks).norms for i in some]
    size, clock, found = max(
        ((norm(one), clock, one) for norms in asked for clock, one in norms.items()),
        key=lambda one: one[0],
        default=(0.0, -1, np.zeros((0, 1))),
    )
    if not size:
        return False
    sample = int(found.max(axis=0).argmax())
    reads = (one[:, sample] for one in (found, entering.norms[clock]))
    steps, every = (np.flatnonzero(one > _READS * one.max()) for one in reads)
    return min(steps.size, every.size) > 1 and bool(2 * np.ptp(steps) > np.ptp(every) > 1)


def _has_small_numbers(entry: Node) -> bool:
    """Tell whether what is read by one number of a value is told by one of an input."""
    sums = entry.op in _SUMMING or (entry.value.size == 1 and entry.op is not MATMUL)  # all into one number
    return sums or bool(entry.op.stepwise)


def _largest(gradient: Array) -> Array:
    """Keep the largest entry alone."""
    place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    seed = np.zeros_like(gradient)
    seed[place] = gradient[place]
    return seed


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


def _joins(tape: Tape, starts: Mapping[int, Array], entering: Entering) -> bool | None:
    """Tell whether what enters at other steps changes when a state is moved; None where nothing at all changes."""
    read: dict[int, dict[int, int]] = {}  # recurrence -> timestep -> the entry that is read there
    for entry_id, (number, given) in entering.blocks.items():
        read[number] = {t: entry_id for t in given.steps() if t >= 0}
    for node_id, (number, t, _) in entering.nodes.items():
        read.setdefault(number, {})[t] = node_id
    middle = [(steps[t], t) for steps in read.values() if steps for t in [sorted(steps)[len(steps) // 2]]]
    if len({t for steps in read.values() for t in steps}) < 2:
        return False
    told = [_moves_others(tape, starts, entering, *one) for one in middle]
    return True if True in told else False if False in told else None


def _moves_others(tape: Tape, starts: Mapping[int, Array], entering: Entering, target: int, t: int) -> bool | None:
    """Move one state, and tell whether what enters at any other step changes; None where nothing changes there either.

    The step itself is left out in every recurrence, as both directions and all layers are read there.
    """
    with np.errstate(all="ignore"):
        after = find_entering(_moved(tape, target, t), starts, entering.clocks).norms
    own = others = largest = 0.0
    for clock, before in entering.norms.items():
        apart = np.abs(after.get(clock, np.zeros_like(before)) - before)
        own = max(own, float(apart[t : t + 1].max(initial=0)))
        apart[t : t + 1] = 0
        others, largest = max(others, float(apart.max(initial=0))), max(largest, float(before.max(initial=0)))
    return True if others > _SAME * largest else False if own > _SAME * largest else None


def _moved(tape: Tape, target: int, t: int) -> Tape:
    """Copy a tape with one state moved, and compute again what depends on it and is no state."""
    entry = tape.entry(target)
    value = entry.value.copy()
    part = value[:, t] if isinstance(entry, Block) else value
    part *= 1 + _MOVE
    part += _MOVE * (float(np.abs(part).max(initial=0)) or 1.0)
    given, held = {target: value}, {*blocks_of(tape), *states_of(tape)}
    for one in tape.entries:
        if one.op is STATE and one.inputs[0] == target:
            held.add(one.id)
            if one.options == {"kind": "h", "t": t}:
                given[one.id] = part
    places = [place for place in depending(tape, given, held) if tape.entries[place].id not in given]
    return again(tape, given, places)
