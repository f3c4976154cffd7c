"""Which recurrences take their steps together, and at which edges a loss of a step enters.

In: recurrences and calls. Out: a clock a recurrence, and `Port`s: what steps hand out. The share of the loss of a
step is what reaches a port of it without having passed another port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, cast_to, fixed_normal, shape_of
from rnngraph.sources.torch.autograd.gradient_norms import norms_at
from rnngraph.sources.torch.autograd.vjp import vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.capture.module_calls import Call, by_path
from rnngraph.sources.torch.inputs.entrance import Entrance
from rnngraph.sources.torch.inputs.step_inputs import WORDS, is_same
from rnngraph.sources.torch.recurrences.loop_states import changed_between
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, STEPS, Recurrence

_IN_STEP = 2.0  # what a step hands down arrives at the same step so much more than at others, which a batch's
# statistics or a convolution may reach; attention, between an encoder and a decoder as long, reaches all alike


@dataclass(frozen=True, slots=True)
class Port:
    """An edge at which steps of one recurrence hand something out; `kind` is "step", "out", "h", "c" or "sequence"."""

    edge: Edge
    recurrence: Recurrence
    kind: str
    first: int  # the timestep of its first step
    steps: int = 1
    call: Call | None = None

    @property
    def last(self) -> int:
        """The timestep of its last step."""
        return self.first + self.steps - 1

    def spread(self, field: Any, batch: int) -> Any:
        """Bring what stands at it to (steps, samples, ...)."""
        if self.kind == "out" and self.call is not None:
            return self.call.layer.layout.spread(field)
        if self.recurrence.axis is None:
            return field.reshape(1, 1, -1)
        return field.transpose(0, 1) if self.kind == "sequence" else field.movedim(self._axis(field, batch), 0)[None]

    def _axis(self, field: Any, batch: int) -> int:
        """Find the axis of the samples: the first of the size of the batch; a batch that shrinks stands first."""
        if self.kind in ("h", "c") and field.dim() > 2:
            return 1
        sizes = list(field.shape[:-1])
        return sizes.index(batch) if batch in sizes else 0


def own_ports(one: Recurrence) -> Iterator[Port]:
    """Yield where a recurrence hands out its states, or the fields of its layers, or a sequence."""
    for t, states in enumerate(one.states):
        yield from (Port(edge, one, "step", t) for edge in states)
    if one.how == SEQUENCE:
        yield Port(one.output, one, "sequence", 0, one.steps)
    for call, start in zip(one.calls, one.starts, strict=True):
        for kind, edge in call.ports.items():
            first, steps = (start, call.steps) if kind == "out" else (start + call.steps - 1, 1)
            yield Port(edge, one, kind, first, steps, call)


def ports_of(run: BackwardPass, recurrences: Sequence[Recurrence]) -> dict[Edge, Port]:
    """List those of all recurrences, what modules hand out that are called in step, and what becomes of a state.

    A decoder around a cell hands out its scores, attention, a head; and a loss may read what a mask has kept.
    """
    found = [port for one in recurrences for port in own_ports(one)]
    for one in recurrences:
        if one.fused or one.how == SEQUENCE:
            beside = []
        else:
            others = [call for other in recurrences if other is not one for call in other.calls]
            taken = [one.calls[t] for t in one.order] if one.how == STEPS else []
            changed = changed_between(taken, run.tops, others, abs(one.stride))[:: one.order.step]
            beside = [[call.out for call in one.calls], changed]
        beside += [[call.out for call in some] for some in _in_lockstep(one, recurrences, run.calls)]
        found += [Port(edge, one, "step", t) for some in beside for t, edges in enumerate(some) for edge in edges]
    return {port.edge: port for port in reversed(found)}  # the first is what an edge is


def _in_lockstep(one: Recurrence, recurrences: Sequence[Recurrence], calls: Sequence[Call]) -> list[list[Call]]:
    if one.how == SEQUENCE or len(one.calls) < one.steps:
        return []
    own = {other.path.split("#")[0] for other in recurrences}
    return [
        some[:: one.order.step]
        for path, some in by_path(calls).items()
        if path not in own and _alternates(some, one.calls)
    ]


def _alternates(some: Sequence[Call], others: Sequence[Call]) -> bool:
    if len(some) != len(others):
        return False
    order = sorted([(call.begin, -call.end, k % 2) for k, pair in enumerate((some, others)) for call in pair])
    sides = [side for _, _, side in order]
    return all(a != b for a, b in pairwise(sides))


def set_clocks(
    run: BackwardPass, recurrences: Sequence[Recurrence], entering: Mapping[Recurrence, list[Any]]
) -> list[int]:
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
    if len(one.calls) > 1 and (one.fused == other.fused or stepwise) and _alternates(one.calls, other.calls):
        return given or 1
    lower, upper = sorted((one, other), key=lambda some: some.begin)
    way = _hands_down_in_step(run, upper, lower)
    if not way and given:  # neither leads to the other, as an encoder to a decoder
        way = 0 if _leads_to(lower, [node for node, _ in upper.states[upper.order[-1]]]) else given
    return 0 if way < 0 and one.fused else way


def _asked(one: Recurrence) -> int:
    """Choose a step: not the middle, where a sequence that is turned round meets itself."""
    return one.steps // 3 if one.steps > 3 else 0


def _leads_to(one: Recurrence, nodes: list[Any]) -> bool:
    first = one.order[0]
    if one.calls:
        return one.calls[first].leads_to(nodes)
    return not {node for node, _ in one.states[first]}.isdisjoint(at_and_below(nodes, one.begin))


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
