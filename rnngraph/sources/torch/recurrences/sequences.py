"""Sequences that one module ran through, one after the other: each is a recurrence of its own.

In: the calls of a module. Out: `Recurrence`s. A call that goes on from an earlier one belongs to its sequence, by the
graph or, over a cut, by the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch

from rnngraph.sources.torch.autograd.edges import Edge, number_of, unviewed
from rnngraph.sources.torch.capture.module_calls import Call, TensorRef
from rnngraph.sources.torch.recurrences.raw_loops import numbered
from rnngraph.sources.torch.recurrences.recurrence import LAYER, LOOP, STEPS, Recurrence


def fused_sequences(path: str, calls: list[Call]) -> list[Recurrence]:
    """Divide the calls of a fused layer into sequences: a call that goes on from an earlier one belongs to it."""
    runs: list[tuple[list[Call], list[bool]]] = []
    for call in calls:
        before = next(((run, how) for run in reversed(runs) if (how := _goes_on(call, run[0][-1]))), None)
        if before is None:
            runs.append(([call], [False]))
        else:
            before[0][0].append(call)
            before[0][1].append(before[1] == "graph")
    found = [Recurrence(path, LAYER, run, [], linked) for run, linked in runs]
    return numbered([one for one in found if one.steps > 1])


def _goes_on(call: Call, before: Call) -> str:
    """Say how a call goes on from another: by the graph, by the same numbers (a cut between them), or not at all.

    Of a fused layer the states tell, of others all that is handed out and taken.
    """
    layer, last = call.layer, before.layer
    given = call.given if layer is None else [edge for edge in layer.initial_edges if edge is not None]
    roots = [node for node, _ in given]
    if any(map(before.made, roots)) or before.leads_to(roots):
        return "graph"
    taken = layer.initial if layer else [one for one in call.taken if isinstance(one, TensorRef)]
    handed = last.final if last else before.values.values()
    return "numbers" if any(_equal(a, b) for a in handed for b in taken) else ""


def _equal(one: TensorRef, other: TensorRef) -> bool:
    a, b = one.value, other.value
    return a is not None and b is not None and a.shape == b.shape and bool(a.any()) and torch.equal(a, b)


def step_sequences(one: Recurrence, others: Sequence[Recurrence] = ()) -> list[Recurrence]:
    """Divide calls, each a step, where a sequence begins: neither the graph nor a number goes on from the call before.

    A call that is given a state in the graph and makes nothing of it has detached it.

    Where a call goes on from one further back, it is dilated if the calls take what follows in one sequence; else there
    are so many sequences in turn.
    A state that is no argument, as an attribute, may have been detached where it was: it is taken for cut. Where one of
    `others` goes on meanwhile, as from sentence to sentence of words, the sequences are one.
    """
    if one.stride > 1:
        if one.how == LOOP or _follow(one.calls):
            return [one]
        turns = [slice(k, None, one.stride) for k in range(one.stride)]
        runs = [Recurrence(one.path, one.how, one.calls[k], one.states[k], one.linked[k]) for k in turns]
        return numbered([run for run in runs if run.steps > 1])
    if one.how == STEPS and not any(_goes_on(b, a) == "graph" for a, b, _ in _pairs(one)):
        return [one]
    begins = [k for k, (a, b, linked) in enumerate(_pairs(one), 1) if not linked and not _goes_on(b, a)]
    if any(_goes_over(other, one.calls[k].begin) for other in others if other is not one for k in begins):
        one.anew = begins
        return [one]
    spans = zip([0, *begins], [*begins, len(one.calls)], strict=True)
    found = [Recurrence(one.path, one.how, one.calls[a:b], one.states[a:b], one.linked[a:b]) for a, b in spans]
    return numbered([run for run in found if run.steps > 1])


def _goes_over(one: Recurrence, begin: int) -> bool:
    """Whether a state is handed on from a call that ended before a moment to one that began after it.

    Where the earlier begins a sequence too, as in the layer below, nothing is handed on from before.
    """
    anew = {call for _, call, linked in _pairs(one) if not linked}
    return any(linked and a not in anew and a.end <= begin < b.begin for a, b, linked in _pairs(one))


def iterations(calls: list[Call], by_path: Mapping[str, list[Call]]) -> list[Call]:
    """Let calls that are steps begin where the first module is called that takes turns with their own.

    What a step makes before the call of a layer, as a state that the layer takes to renew another, is its own then.
    """
    found = calls
    for some in by_path.values():
        pairs = list(zip(some, found, strict=False))
        if (
            len(some) == len(calls)
            and all(a.end <= b.begin for a, b in pairs)
            and all(b.end <= a.begin for (_, b), (a, _) in pairwise(pairs))
        ):
            found = [replace(b, begin=a.begin) for a, b in pairs]
    return found


def _follow(calls: Sequence[Call]) -> bool:
    """Whether calls take, first of all, what stands one behind the other: in a tensor, or in the order of making."""
    places = [place_of(call.taken[0]) for call in calls if call.taken]
    along = [b >= a for (_, a), (_, b) in pairwise(places)]
    bases = len({base for base, _ in places})
    return bases == len(calls) or (bases == 1 and len(set(along)) == 1)


def place_of(taken: Edge | TensorRef) -> tuple[Any, int]:
    """Give what something is a part of, None where it is none, and its place there or when it was made."""
    if isinstance(taken, TensorRef):
        return taken.tensor.untyped_storage().data_ptr(), taken.tensor.storage_offset()
    node, place = taken
    if node.name() == "UnbindBackward0":
        return node, place
    if node.name() == "SelectBackward0":
        return unviewed(node.next_functions[0])[0], node._saved_index
    return None, number_of(node)


def _pairs(one: Recurrence) -> Iterator[tuple[Call, Call, bool]]:
    return zip(one.calls, one.calls[1:], one.linked[1:], strict=False)
