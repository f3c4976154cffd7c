"""At which edges steps hand something out, where a loss of a step enters.

In: recurrences and calls. Out: `Port`s: the share of the loss of a step is what reaches a port of it without having
passed another. Where a step hands out nothing by itself, its ports are a sum of steps under way, or what two clocks
make: a learned optimizer's loss reads the weights, to which every step has added; a pointer's reads what a step makes
of all that an encoder has handed out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rnngraph.sources.torch.autograd.edges import Edge, number_of, shape_of, unviewed
from rnngraph.sources.torch.autograd.gradient_norms import row_norms
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.capture.module_calls import Call, by_path
from rnngraph.sources.torch.recurrences.loop_states import changed_between, descending
from rnngraph.sources.torch.recurrences.recurrence import LOOP, SEQUENCE, STEPS, Recurrence
from rnngraph.trace.magnitudes import Floats


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
        if self.recurrence.axis is None or field.dim() < 2:
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
        if path not in own and alternates(some, one.calls)
    ]


def alternates(some: Sequence[Call], others: Sequence[Call]) -> bool:
    """Tell whether two modules are called in turns."""
    if len(some) != len(others):
        return False
    order = sorted([(call.begin, -call.end, k % 2) for k, pair in enumerate((some, others)) for call in pair])
    sides = [side for _, _, side in order]
    return all(a != b for a, b in pairwise(sides))


def norms_at(ports: Mapping[Edge, Port], at: Mapping[Edge, Any], shape: tuple[int, ...]) -> Floats:
    """Give the norms of what stands at ports by step and sample, (T, N) in `shape`."""
    norms = np.zeros(shape)
    for edge, one in at.items():
        port = ports[edge]
        wide = port.spread(one, shape[1])
        found = row_norms(wide.reshape(*wide.shape[:2], -1))
        here = norms[port.first : port.last + 1]
        if found.shape[1] > shape[1]:  # no axis of samples that is ours: all of it is every sample's
            found = np.broadcast_to(np.sqrt((found**2).sum(axis=1, keepdims=True)), here.shape)
        here = here[:, : found.shape[1]]
        np.hypot(here, found, out=here)
    return norms


def join_ports(run: BackwardPass, recurrences: Sequence[Recurrence], clocks: Sequence[int]) -> dict[Edge, Port]:
    """List where steps go into a sum under way that none reads, or meet what those of another clock hand out."""
    found: dict[Edge, Port] = {}
    ports = [(clock, port.edge) for one, clock in zip(recurrences, clocks, strict=True) for port in own_ports(one)]
    for one, own in zip(recurrences, clocks, strict=True):
        if one.how in (STEPS, LOOP):
            others = {edge for clock, edge in ports if clock != own}
            joins = _joined_after([one.calls[t] for t in one.order], run, others)
            found |= {
                edge: Port(edge, one, "step", t) for t, some in zip(one.order, joins, strict=True) for edge in some
            }
    return found


def _joined_after(calls: list[Call], run: BackwardPass, others: Container[Edge]) -> list[list[Edge]]:
    """Give, call by call, where what it made joins what stood after the call before, as a sum under way, or `others`.

    Behind the last call much is joined that is no such thing: there only what is made as after the one before.
    """
    begins = [call.begin for call in calls]
    links: list[list[tuple[Any, Any, int]]] = [[] for _ in calls]
    for consumer in run.nodes(begins[0]):
        below = [(node, place) for node, place in consumer.next_functions if node is not None and node.next_functions]
        links[bisect_right(begins, number_of(consumer)) - 1] += [(consumer, *edge) for edge in below]
    found: list[list[Edge]] = []
    for k, (call, some) in enumerate(zip(calls, links, strict=True)):
        between = range(calls[k - 1].end if k else call.begin, call.begin)
        reach, stood, joins = descending(some, call), set[Any](), dict[Edge, None]()
        for consumer, node, place in some:
            edge = node, place
            old = node in stood or edge in others or unviewed(edge) in others
            if call.made(consumer) or not (old or (number_of(node) in between and shape_of(edge))):
                continue
            if consumer in reach:
                joins[consumer, 0] = None
            else:
                stood.add(consumer)
        found.append(list(joins))
    kinds = {(node.name(), shape_of((node, 0))) for node, _ in found[-2:][0]}
    found[-1] = [edge for edge in found[-1] if (edge[0].name(), shape_of(edge)) in kinds]
    return found
