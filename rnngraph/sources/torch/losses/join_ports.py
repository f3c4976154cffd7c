"""Where a loss enters a step that hands out nothing by itself: a sum of steps under way, or what two clocks make.

In: recurrences and their clocks. Out: `Port`s. A learned optimizer's loss reads the weights, to which every step has
added; a pointer's reads what a step makes of all that an encoder has handed out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Sequence
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, age, number_of, shape_of, unviewed, walk_down
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.capture.module_calls import Call
from rnngraph.sources.torch.losses.clocks_and_ports import Port, own_ports
from rnngraph.sources.torch.recurrences.loop_states import descending
from rnngraph.sources.torch.recurrences.recurrence import LOOP, STEPS, Recurrence


def join_ports(run: BackwardPass, recurrences: Sequence[Recurrence], clocks: Sequence[int]) -> dict[Edge, Port]:
    """List where steps go into a sum under way that none reads, or meet what those of another clock hand out."""
    found: dict[Edge, Port] = {}
    ports = [(clock, port.edge) for one, clock in zip(recurrences, clocks, strict=True) for port in own_ports(one)]
    for one, own in zip(recurrences, clocks, strict=True):
        if one.how in (STEPS, LOOP):
            others = {edge for clock, edge in ports if clock != own}
            joins = _joined_after([one.calls[t] for t in one.order], run.tops, others)
            found |= {
                edge: Port(edge, one, "step", t) for t, some in zip(one.order, joins, strict=True) for edge in some
            }
    return found


def _joined_after(calls: list[Call], roots: list[Any], others: Container[Edge]) -> list[list[Edge]]:
    """Give, call by call, where what it made joins what stood after the call before, as a sum under way, or `others`.

    Behind the last call much is joined that is no such thing: there only what is made as after the one before.
    """
    begins = [call.begin for call in calls]
    links: list[list[tuple[Any, Any, int]]] = [[] for _ in calls]
    for link in sorted(walk_down(roots, 0), key=age):
        if number_of(link[0]) >= begins[0]:
            links[bisect_right(begins, number_of(link[0])) - 1].append(link)
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
