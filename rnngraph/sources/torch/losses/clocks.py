"""Which recurrences take their steps together: their losses are those of one clock.

In: recurrences, and what enters their steps. Out: the number of a clock a recurrence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, cast_to, fixed_normal, shape_of
from rnngraph.sources.torch.autograd.vjp import vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.inputs.entrance import Entrance
from rnngraph.sources.torch.inputs.step_inputs import WORDS, is_same
from rnngraph.sources.torch.losses.ports import alternates, norms_at, own_ports
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, Recurrence

_IN_STEP = 2.0  # what a step hands down arrives at the same step so much more than at others, which a batch's
# statistics or a convolution may reach; attention, between an encoder and a decoder as long, reaches all alike


def set_clocks(run: BackwardPass, recurrences: list[Recurrence], entering: Mapping[Recurrence, list[Any]]) -> list[int]:
    """Give every recurrence the number of its clock; `entering` is what enters, step by step, of each tensor a list."""
    clocks: list[int] = []
    for place, one in enumerate(recurrences):
        ways = ((k, way) for k in reversed(range(place)) if (way := _way(run, one, recurrences[k], entering)))
        near, way = next(ways, (-1, 0))
        if way < 0:
            one.turn()
            entering[one].reverse()
        clocks.append(clocks[near] if way else max(clocks, default=-1) + 1)
    return clocks


def _way(run: BackwardPass, one: Recurrence, other: Recurrence, entering: Mapping[Recurrence, list[Any]]) -> int:
    """Say whether steps are taken together: 1, or -1 where time runs the other way in one of them; 0 where not."""
    if one.steps != other.steps or SEQUENCE in (one.how, other.how):
        return 0
    stepwise = len(one.calls) == one.steps and len(other.calls) == other.steps
    given = _alike(_asked(one), entering[one], entering[other]) if one in entering and other in entering else 0
    if len(one.calls) > 1 and (one.fused == other.fused or stepwise) and alternates(one.calls, other.calls):
        return given or 1
    lower, upper = sorted((one, other), key=lambda some: some.begin)
    way = _hands_down_in_step(run, upper, lower)
    if not way and given:  # neither leads to the other, as an encoder to a decoder
        below = {*at_and_below((node for node, _ in upper.states[upper.order[-1]]), lower.begin)}
        way = 0 if any(node in below for node, _ in lower.states[lower.order[0]]) else given
    return 0 if way < 0 and one.fused else way


def _asked(one: Recurrence) -> int:
    """Choose a step: not the middle, where a sequence that is turned round meets itself."""
    return one.steps // 3 if one.steps > 3 else 0


def _alike(t: int, mine: list[Any], others: list[Any]) -> int:
    """Say whether two read one sequence: 1 from the same end, -1 from the other; what stays tells nothing."""

    def pairs(here: int, there: int) -> set[tuple[int, int]]:
        return {(j, k) for j, a in enumerate(mine[here]) for k, b in enumerate(others[there]) if _is_same(a[0], b[0])}

    if not mine or not others:
        return 0
    level, turned = pairs(t, t) & pairs(-1 - t, -1 - t), pairs(t, -1 - t) & pairs(-1 - t, t)
    return 1 if level - turned else -1 if turned - level else 0


def _is_same(one: Entrance, other: Entrance) -> bool:
    """Whether two take the same, or look up the same words, each in a table of its own."""
    a, b = one.edge[0], other.edge[0]
    words = a.name() == b.name() == WORDS and torch.equal(a._saved_indices, b._saved_indices)
    return words or is_same(one, other)


def _hands_down_in_step(run: BackwardPass, upper: Recurrence, lower: Recurrence) -> int:
    """Ask what one step of a recurrence above hands down to the steps of one below, past no other step."""
    asked = _asked(upper)
    seeds = _of_input(upper, asked) if upper.fused else {edge: _random(edge) for edge in upper.states[asked]}
    above = [edge for t, some in enumerate(upper.states) for edge in some if t != asked]
    at = {port.edge: port for port in own_ports(lower) if port.kind in ("step", "out")}
    sizes = norms_at(at, vjp(run, seeds, list(at), walls=[*above, *at]), (lower.steps, 1))[:, 0]
    here, others = float(sizes[asked]), (float(sizes.sum()) - float(sizes[asked])) / max(len(sizes) - 1, 1)
    if here > _IN_STEP * others and 2 * here >= float(sizes.max()):
        return 1
    return -1 if sizes[-1 - asked] > 0 and sizes[-1 - asked] == sizes.sum() else 0


def _of_input(upper: Recurrence, t: int) -> dict[Edge, Any]:
    for start, call in zip(upper.starts, upper.calls, strict=True):
        layout, edge = call.layer.layout, call.layer.x_edge
        if edge is not None and start <= t < start + call.steps:
            wide = layout.spread(_random(edge))
            only = torch.zeros_like(wide)
            only[t - start] = wide[t - start]
            return {edge: layout.gathered(only)}
    return {}


def _random(edge: Edge) -> Any:
    return cast_to(edge, fixed_normal(shape_of(edge)))
