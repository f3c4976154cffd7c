"""The parts of the whole loss: of every step, and of a state's gradient.

In: a pass, its ports and its states. Out: `Shares`, what enters at the ports of a step without having passed another:
those of all steps add up to the whole loss, whatever lies between. And what comes back to a state through later steps,
and what reaches it at its own, each walked by itself, so that a small one is not lost in the rounding of a large one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, number_of, oldest
from rnngraph.sources.torch.autograd.opaque_nodes import above, through
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.inputs.step_inputs import Behind
from rnngraph.sources.torch.losses.joint_loss import reads_many_steps
from rnngraph.sources.torch.losses.ports import Port, join_ports, norms_at, ports_of
from rnngraph.sources.torch.recurrences.recurrence import Recurrence
from rnngraph.trace.magnitudes import Floats


@dataclass(slots=True)
class Shares:
    """What enters at every port."""

    ports: Mapping[Edge, Port]
    at: dict[Edge, Any]
    clocks: Mapping[Recurrence, int]
    norms: dict[int, Floats]  # by clock, (T, N)
    read: bool  # whether one loss reads many steps at once, as was asked
    declared: bool | None = None  # by the user, who knows

    @property
    def joint(self) -> bool:
        """Whether one loss reads many steps at once."""
        return self.read if self.declared is None else self.declared

    def clock(self, port: Port) -> int:
        """The clock of a port."""
        return self.clocks[port.recurrence]

    def entered(self) -> list[tuple[int, int]]:
        """Give the clocks and steps at which anything enters."""
        return [(clock, t) for clock, norm in self.norms.items() for t in np.flatnonzero(norm.any(axis=1)).tolist()]


def find_shares(
    run: BackwardPass, clocks: dict[Recurrence, int], batches: Mapping[Recurrence, int], behind: Behind
) -> Shares:
    """Ask for the shares of all steps; where steps go into a sum or meet others, a loss enters what they make.

    Each step's loss must, or the next step reads the sum: one that is read at the end alone, as of what samples lose,
    hands out nothing on its way.
    """
    shapes = {clocks[one]: (one.steps, batches[one]) for one in reversed(clocks)}
    ports = ports_of(run, list(clocks))
    found = _asked(run, ports, clocks, shapes, behind)
    several = len({clock for clock, _ in found.entered()}) > 1
    further = join_ports(run, list(clocks), list(clocks.values()))
    if further.keys() <= ports.keys():
        return found
    joins = _asked(run, {**further, **ports}, clocks, shapes, behind)
    left, under_way = joins.entered(), {port.first for port in further.values()}
    read = {port.first for edge, port in further.items() if _is_read(edge, port, joins)}
    of_steps = len(left) == len(found.entered()) and all(t in read for _, t in left if t in under_way)
    clear = len({clock for clock, _ in left}) == 1 if several else of_steps
    return joins if clear and not joins.joint else found


def _is_read(edge: Edge, port: Port, joins: Shares) -> bool:
    """Whether a loss enters a sum, or the step after is made of it beside the states, as of what was drawn so far."""
    if edge in joins.at and joins.at[edge].any():
        return True
    one, least = port.recurrence, number_of(edge[0])
    own = {node for node, _ in one.states[port.first]}
    after = [node for some in one.states[port.first + one.stride :][:1] for node, _ in some]
    return edge[0] in at_and_below(after, least, own.__contains__)


def _asked(
    run: BackwardPass,
    ports: Mapping[Edge, Port],
    clocks: Mapping[Recurrence, int],
    shapes: Mapping[int, tuple[int, int]],
    behind: Behind,
) -> Shares:
    at = vjp(run, loss_cotangents(run), list(ports), walls=ports)
    norms: dict[int, Floats] = {}
    joint = set[bool]()
    for clock, shape in sorted(shapes.items()):
        own = {edge: one for edge, one in at.items() if clocks[ports[edge].recurrence] == clock}
        norms[clock] = norms_at(ports, own, shape)
        if norms[clock].any():
            joint.add(reads_many_steps(run, ports, behind, list(own), norms[clock]))
    return Shares(ports, at, clocks, norms, joint == {True})  # as two towers that are both pooled are one loss


def carried_and_immediate(
    run: BackwardPass, total: Mapping[Edge, Any], shares: Shares
) -> tuple[dict[Edge, Any], dict[Edge, Any]]:
    """Divide the gradients of states.

    Returns:
        what is carried from later steps of the clock, and what is immediate.
    """
    place = {
        edge: (clock, t, one.stride)
        for one, clock in shares.clocks.items()
        for t, some in enumerate(one.states)
        for edge in some
    }
    if not place:
        return {}, {}
    if place.keys() == shares.ports.keys():  # nothing but states is handed out: this was asked already
        immediate = dict(shares.at)
    else:
        immediate = vjp(run, loss_cotangents(run), list(place), walls=place)
    nothing = {edge: seed * 0 for edge, seed in loss_cotangents(run).items()}
    own: dict[Edge, Any] = {}  # what a state gets from its own step: as c from h, or one layer from the next
    asides = (node.register_hook(_taker(edges, own)) for node, edges in _consumers_at_own_step(run, place).items())
    known = {edge: total[edge] for edge in place if edge in total}
    carried = vjp(run, nothing, list(place), replaced=known, hooks=asides)
    uppers = {edge: upper for edge in place if (upper := above(edge)) is not None}
    own |= {edge: through(edge, total[upper]) for edge, upper in uppers.items() if upper in total}
    for edge, part in own.items():
        immediate[edge] = immediate[edge] + part if edge in immediate else part
    return carried, immediate


def _taker(edges: Mapping[int, Edge], own: dict[Edge, Any]) -> Any:
    def take(grad_inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        for k, edge in edges.items():
            if grad_inputs[k] is not None:
                own[edge] = own[edge] + grad_inputs[k] if edge in own else grad_inputs[k].clone()
        return tuple(
            torch.zeros_like(one) if k in edges and one is not None else one for k, one in enumerate(grad_inputs)
        )

    return take


def _consumers_at_own_step(run: BackwardPass, place: Mapping[Edge, tuple[int, int, int]]) -> dict[Any, dict[int, Edge]]:
    """Find the nodes that use a state and lead to states of its own step, or of other clocks, only."""
    at: dict[Any, dict[int, tuple[int, int]]] = {}
    for edge, (clock, t, _) in place.items():
        at.setdefault(edge[0], {})[clock] = t, t
    reach: dict[Any, dict[int, tuple[int, int]]] = {}  # by clock, the first and the last step that a node leads to
    found: dict[Any, dict[int, Edge]] = {}
    for consumer in reversed(run.nodes(oldest(node for node, _ in place))):
        leads = at.get(consumer) or reach.pop(consumer, {})
        for slot, edge in enumerate(consumer.next_functions if leads else ()):
            known = reach.setdefault(edge[0], {})
            for clock, (first, last) in leads.items():
                own = known.get(clock, (first, last))
                known[clock] = min(first, own[0]), max(last, own[1])
            if edge in place:
                clock, t, stride = place[edge]
                first, last = leads.get(clock, (t, t))
                if last <= t if stride > 0 else first >= t:
                    found.setdefault(consumer, {})[slot] = edge
    return found
