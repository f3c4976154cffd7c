"""Modules that a solver of differential equations calls: several times a step, or between the steps of another.

In: calls of a module. Out: those that begin a step; and whether the steps are another's, which alone is fed with data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import torch

from rnngraph.sources.torch.autograd.edges import Edge, number_of, walk_down
from rnngraph.sources.torch.capture.module_calls import Call, TensorRef
from rnngraph.sources.torch.recurrences.recurrence import Recurrence, is_cell

_PAIRS = 8  # calls of another between which a part of its steps is looked for


def in_stages(one: Recurrence) -> bool:
    """Whether a solver calls a module several times a step."""
    if is_cell(one.module) or one.stride > 1 or any(_is_fed(call, one.calls[0], one.calls) for call in one.calls[1:3]):
        return False
    return len(first_stages(one.calls)) < len(one.calls)


def first_stages(calls: list[Call]) -> list[Call]:
    """Give the calls that begin a step of a solver, which calls several times a step: less crosses into those.

    In the first step and the last not all that crosses is seen; there it is taken to be as in the others.
    """
    begins, ends, widths = [call.begin for call in calls], dict[Edge, int](), [0] * len(calls)
    for consumer, node, place in walk_down([node for node, _ in calls[-1].out], begins[0]):
        ends[node, place] = max(number_of(consumer), ends.get((node, place), 0))
    for (node, _), end in ends.items():
        for k in range(bisect_right(begins, number_of(node)), bisect_right(begins, end)):
            widths[k] += 1
    least = min(widths[1:], default=0)  # nothing crosses a cut, and a solver cuts nothing
    stages = (p for p in range(1, len(calls)) if least and not len(calls) % p and {*widths[p::p]} == {least})
    return calls[:: next(stages, 1)]


def is_between(one: Recurrence, others: Sequence[Recurrence]) -> bool:
    """Tell a part of the steps of another: fed with its state alone, between what that is fed, as a solver's module."""
    if is_cell(one.module) or _holds_state(*one.calls[:2]):
        return False
    found = False
    for a, b in (two for other in others if other is not one for two in pairwise(other.calls[:_PAIRS])):
        within = [call for call in one.calls if a.end <= call.begin and call.end <= b.begin]
        fed = within and _is_fed(b, a, [*within, a])  # of two that take turns on one state neither is the other's
        if fed and within[-1].leads_to(node for node, _ in b.given):
            found = a.leads_to(node for node, _ in within[0].given)
            if not found or any(_is_fed(call, one.calls[0], [*one.calls, a]) for call in within):
                return False
    return found


def _holds_state(before: Call, call: Call) -> bool:
    """Whether a call takes more of the one before than it is given, as an attribute."""
    given = {node for node, _ in call.given}
    links = walk_down([node for node, _ in call.out], before.begin, lambda node: not call.made(node))
    return any(call.made(consumer) and before.made(node) and node not in given for consumer, node, _ in links)


def _is_fed(call: Call, first: Call, calls: Sequence[Call]) -> bool:
    """Whether a call takes anything but numbers, as the time, what stays, and one tensor that others made."""
    if len(set(call.given)) != 1:
        return True
    if not any(some.leads_to([call.given[0][0]]) for some in calls):
        return True
    known = [one.tensor for one in first.taken if isinstance(one, TensorRef)]
    data = [one.tensor for one in call.taken if isinstance(one, TensorRef) and one.tensor.dim() > 1]
    return any(not any(torch.equal(one, other) for other in known) for one in data)
