"""Whether the loss reads many timesteps jointly, as pooling and attention do: early steps then get gradient directly.

In: a tape, and what enters its recurrences. Out: yes or no, by asking at which steps single numbers enter, of those
that the loss sums up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import ADD, DIVIDE, MATMUL, MEAN, MULTIPLY, NEGATE, RESHAPE, SUBTRACT, SUM
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.norms import norm
from rnngraph.sources.far_steps import ASKED, made_of_far_steps
from rnngraph.sources.tape.entering import Entering, find_entering
from rnngraph.sources.tape.facts import states_of
from rnngraph.trace.magnitudes import Floats

_INPUTS = 2  # inputs of a term that are asked, at most: what it reads, and a weight
_NOTHING = (np.zeros((1, 1)), np.zeros((1, 1)))
_SUMS = (ADD, SUBTRACT)
_SUMMING = (SUM, MEAN)
_FACTORS = (MULTIPLY, DIVIDE, NEGATE, *_SUMMING, RESHAPE)  # of one thing alone


def reads_many_steps(tape: Tape, starts: Mapping[int, Array], entering: Entering) -> bool:
    """Tell whether the largest numbers that the loss sums up are made of far steps.

    A loss that is a plain sum over timesteps is not meant: it is a loss at every step. Of a sum the term decides of
    which the most enters: a penalty on a mean activity beside words is a side term.
    """

    def entered(some: Mapping[int, Array]) -> dict[int, Floats]:
        return find_entering(tape, some, entering.clocks).norms

    def largest(norms: Mapping[int, Floats]) -> float:
        return max(map(norm, norms.values()), default=0.0)

    terms = _terms(tape, starts)
    if not terms:
        return False
    with np.errstate(all="ignore"):
        term = max(terms, key=lambda some: largest(entered(some))) if len(terms) > 1 else terms[0]
        asked = {at: _singles(one) for at, one in _numbers(tape, term)}

        def enters(k: int) -> tuple[Floats, Floats]:
            seeds = [{at: some[min(k, len(some) - 1)]} for at, some in asked.items()]
            found = max(map(entered, seeds), key=largest)
            clock = max(found, key=lambda clock: norm(found[clock]), default=None)
            return _NOTHING if clock is None else (found[clock], entering.norms[clock])

        return made_of_far_steps(map(enters, range(max(map(len, asked.values()), default=0))))


def _numbers(tape: Tape, term: Mapping[int, Array]) -> list[tuple[int, Array]]:
    """Give the entries of a term of which a number is asked, with what reaches them.

    Of what sums up by itself, and of what may pass nothing of a number, as a hinge does, the inputs are asked.
    """
    at, gradient = max(term.items(), key=lambda one: norm(one[1]))
    entry, known = tape.entry(at), {at: gradient}
    if not isinstance(entry, Block) and at not in states_of(tape) and _has_small_numbers(entry):
        steps_back = sweep(tape, known, until=set(entry.inputs))
        known = {step.node.id: np.array(step.gradient) for step in steps_back if step.node.id != at} or known
    return sorted((one for one in known.items() if one[1].size), key=lambda one: norm(one[1]))[-_INPUTS:]


def _has_small_numbers(entry: Node) -> bool:
    """Tell whether what is read by one number of a value is told by one of an input."""
    sums = entry.op in _SUMMING or (entry.value.size == 1 and entry.op is not MATMUL)  # all into one number
    return sums or bool(entry.op.stepwise)


def _singles(gradient: Array) -> list[Array]:
    """Keep one entry alone, for each of the largest; of equal ones those that come first."""
    sizes, found = np.abs(gradient).ravel(), list[Array]()
    for _ in range(min(ASKED, sizes.size)):
        place = int(sizes.argmax())
        sizes[place] = -1
        found.append(np.zeros_like(gradient))
        found[-1].flat[place] = gradient.flat[place]
    return found


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
