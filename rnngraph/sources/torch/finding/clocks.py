"""Which recurrences take their steps together, and at which edges a loss of a step enters.

In: recurrences and calls. Out: a clock a recurrence, and `Port`s: what steps hand out. The share of the loss of a
step is what reaches a port of it without having passed another port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from rnngraph.sources.torch.autograd.edges import Edge, as_at, drawn_once, shape_of, wide
from rnngraph.sources.torch.autograd.passes import Pass
from rnngraph.sources.torch.autograd.question import ask, blocked
from rnngraph.sources.torch.finding.chains import changed_between
from rnngraph.sources.torch.finding.recurrence import SEQUENCE, STEPS, Recurrence
from rnngraph.sources.torch.fused.layout import Layout
from rnngraph.sources.torch.watching.calls import Call

_IN_STEP = 2.0  # what a step hands down arrives at the same step so much more than at others, which a batch's
# statistics or a convolution may reach; attention, between an encoder and a decoder as long, reaches all alike


@dataclass(frozen=True, slots=True)
class Port:
    """An edge at which something of one recurrence is handed out; `kind` is "step", "out", "h", "c" or "sequence"."""

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


def ports_of(run: Pass, recurrences: Sequence[Recurrence]) -> dict[Edge, Port]:
    """List states, outputs and the fields of fused layers; and what modules hand out that are called in step.

    So is what becomes of a state before the next step: a loss may read what a mask has kept.
    """
    found: dict[Edge, Port] = {}  # what is known of an edge already stays
    for one in recurrences:
        for t, states in enumerate(one.states):
            for edge in states:
                found.setdefault(edge, Port(edge, one, "step", t))
    for one in recurrences:
        for call, start in zip(one.calls, one.starts, strict=True):
            if one.how == SEQUENCE:
                found.setdefault(one.output, Port(one.output, one, "sequence", 0, one.steps, call))
            elif one.fused and call.layer is not None:
                for kind, edge in call.layer.ports.items():
                    found.setdefault(edge, Port(edge, one, kind, start, call.steps, call))
            else:
                for edge in call.out:
                    found.setdefault(edge, Port(edge, one, "step", start))
        others = [call for other in recurrences if other is not one for call in other.calls]
        changed = changed_between(one.calls, [node for node, _ in run.roots], others) if one.how == STEPS else []
        for t, edges in enumerate(changed):
            for edge in edges:
                found.setdefault(edge, Port(edge, one, "step", t))
        for some in _in_lockstep(
            one, recurrences, run.calls
        ):  # a decoder around the cell: its scores; attention, a head
            for t, beside in enumerate(some):
                for edge in beside.out:
                    found.setdefault(edge, Port(edge, one, "step", t))
    return found


def _in_lockstep(one: Recurrence, recurrences: Sequence[Recurrence], calls: Sequence[Call]) -> list[list[Call]]:
    if one.how == SEQUENCE or len(one.calls) < one.steps:
        return []
    own = {other.path.split("#")[0] for other in recurrences}
    by_path: dict[str, list[Call]] = {}
    for call in calls:
        if call.path not in own:
            by_path.setdefault(call.path, []).append(call)
    return [some for some in by_path.values() if _alternates(some, one.calls)]


def _alternates(some: Sequence[Call], others: Sequence[Call]) -> bool:
    if len(some) != len(others):
        return False
    order = sorted([(call.begin, -call.end, k % 2) for k, pair in enumerate((some, others)) for call in pair])
    sides = [side for _, _, side in order]
    return all(a != b for a, b in pairwise(sides))


def set_clocks(run: Pass, recurrences: Sequence[Recurrence]) -> list[int]:
    """Give every recurrence the number of its clock."""
    clocks: list[int] = []
    leaders: list[Recurrence] = []
    for one in recurrences:
        same = next((k for k, leader in enumerate(leaders) if _same(run, one, leader)), None)
        if same is None:
            same = len(leaders)
            leaders.append(one)
        clocks.append(same)
    return clocks


def _same(run: Pass, one: Recurrence, other: Recurrence) -> bool:
    if one.steps != other.steps or SEQUENCE in (one.how, other.how):
        return False
    alike = one.fused == other.fused or (len(one.calls) == one.steps and len(other.calls) == other.steps)
    if len(one.calls) > 1 and alike and _alternates(one.calls, other.calls):
        return True
    lower, upper = sorted((one, other), key=lambda some: some.begin)
    return _hands_down_in_step(run, upper, lower)


def _hands_down_in_step(run: Pass, upper: Recurrence, lower: Recurrence) -> bool:
    """Ask what one step of a recurrence above hands down to the steps of one below, past no other step."""
    asked = upper.steps // 3  # not the middle, where a sequence that is turned round meets itself
    seeds = _of_input(upper, asked) if upper.fused else {edge: _random(edge) for edge in upper.states[asked]}
    above = [edge for t, some in enumerate(upper.states) for edge in some if t != asked]
    sizes = torch.zeros(lower.steps, dtype=torch.float64, device="cpu")
    if lower.fused:
        wanted = {call.layer.ports["out"]: call for call in lower.calls if call.layer and "out" in call.layer.ports}
        with blocked([*above, *wanted]):
            found = ask(run, seeds, list(wanted))
        for start, call in zip(lower.starts, lower.calls, strict=True):
            edge = call.layer.ports.get("out") if call.layer else None
            if edge in found and call.layer:
                handed = Layout(call.module, call.layer).spread(found[edge])
                sizes[start : start + call.steps] = wide(handed).flatten(1).norm(dim=1).cpu()
    else:
        places = {edge: t for t, some in enumerate(lower.states) for edge in some}
        with blocked([*above, *places]):
            for edge, gradient in ask(run, seeds, list(places)).items():
                sizes[places[edge]] += float(wide(gradient).norm())
    here, others = float(sizes[asked]), (float(sizes.sum()) - float(sizes[asked])) / max(len(sizes) - 1, 1)
    return here > _IN_STEP * others and 2 * here >= float(sizes.max())


def _of_input(upper: Recurrence, t: int) -> dict[Edge, Any]:
    for start, call in zip(upper.starts, upper.calls, strict=True):
        layer = call.layer
        if layer is not None and layer.x_edge is not None and start <= t < start + call.steps:
            layout = Layout(call.module, layer)
            wide = layout.spread(_random(layer.x_edge))
            only = torch.zeros_like(wide)
            only[t - start] = wide[t - start]
            return {layer.x_edge: layout.gathered(only)}
    return {}


def _random(edge: Edge) -> Any:
    return as_at(edge, drawn_once(shape_of(edge)))
