"""Whether the loss reads many timesteps jointly, as pooling and attention do: it is one loss then, and not one a step.

In: what enters at the ports of its steps. Out: yes or no, by asking autograd at which steps single numbers enter, of
those that the loss sums up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from rnngraph.sources.far_steps import ASKED, made_of_far_steps
from rnngraph.sources.torch.autograd.edges import Edge, shape_of
from rnngraph.sources.torch.autograd.gradient_norms import norm
from rnngraph.sources.torch.autograd.opaque_nodes import frozen_statistics, statistics_between
from rnngraph.sources.torch.autograd.vjp import loss_cotangents, vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.inputs.step_inputs import Behind
from rnngraph.sources.torch.losses.ports import Port, norms_at, own_ports
from rnngraph.trace.magnitudes import Floats

_SUMS = re.compile(r"(Add|Sub)Backward\d+")
_FACTORS = re.compile(r"(Mul|Div|Neg|Sum|Mean|View|Squeeze|Unsqueeze|ToCopy|Alias)Backward\d+")  # of one thing alone
_WEIGHED = re.compile(r"(Mm|Bmm|Mv|Dot)Backward\d+")  # sums, where the other factor is data
_OF_A_SUM = re.compile(r"(Sqrt|Exp|Log)Backward\d+")  # factors, where all is one number


def reads_many_steps(
    run: BackwardPass, ports: Mapping[Edge, Port], behind: Behind, wanted: Sequence[Edge], entered: Floats
) -> bool:
    """Tell whether the largest numbers that the loss sums up are made of far steps.

    Of a sum the term decides of which the states get most: a penalty on a mean activity beside words is a side term.
    `behind` tells whether a recurrence lies behind an edge, `wanted` are the ports of one clock at which anything
    enters, and `entered` the norms of it, (T, N). Statistics that batch norm takes over steps do not count.
    """
    still = statistics_between(run, ports, above=True)
    states = {port.edge for one in {ports[edge].recurrence for edge in wanted} for port in own_ports(one)}

    def size(part: Mapping[Edge, Any]) -> float:
        return math.hypot(*map(norm, vjp(run, part, list(states), walls=states).values()))

    def entering(seeds: Mapping[Edge, Any]) -> Floats:
        return norms_at(ports, vjp(run, seeds, wanted, walls=ports, hooks=frozen_statistics(still)), entered.shape)

    terms = _terms(run, ports, behind)
    at = vjp(run, loss_cotangents(run), [edge for some in terms for edge in some])
    parts = [part for some in terms if (part := {edge: at[edge] for edge in some if edge in at})]
    main = max(parts, key=size) if len(parts) > 1 else parts[0]
    edge = max(main, key=lambda edge: norm(main[edge]))
    below = [] if edge in ports else [tuple(one) for one in edge[0].next_functions if behind(one)]
    asked = _of_single_numbers(run, edge, main[edge], below)
    return made_of_far_steps((entering(seeds), entered) for seeds in asked)


def _of_single_numbers(
    run: BackwardPass, edge: Edge, gradient: Any, below: Sequence[Edge]
) -> Iterator[dict[Edge, Any]]:
    """Give the cotangents of single numbers of a term: of those that it lets most through, as a hinge does.

    Where one number is all that comes out, as of a loss that sums up by itself, it is one that goes in: at `below`.
    """
    known = vjp(run, {edge: gradient}, below)
    of = known if gradient.dim() == 0 and known else {edge: gradient}
    alike = [part for part in known.values() if of is known or part.shape == gradient.shape]
    largest = max(alike, key=norm, default=gradient)
    sizes = largest.abs().flatten()
    for _ in range(min(ASKED, len(sizes))):
        place = sizes.argmax()
        sizes[place] = -1
        yield {one: _only(part, place) for one, part in of.items() if part.shape == largest.shape}


def _only(gradient: Any, place: Any) -> Any:
    """Keep one number."""
    seed = torch.zeros_like(gradient, memory_format=torch.contiguous_format)
    seed.view(-1)[place] = gradient.reshape(-1)[place]
    return seed


def _terms(run: BackwardPass, ports: Mapping[Edge, Port], behind: Behind) -> list[list[Edge]]:
    """Divide what was walked into the terms of its sum, looking through factors; terms that are made alike are one."""
    found: dict[Any, list[Edge]] = {}
    waiting, seen = list(loss_cotangents(run)), set[Edge]()
    while waiting:
        edge = waiting.pop()
        if edge in seen:
            continue
        seen.add(edge)
        name, below = edge[0].name(), [one for one in edge[0].next_functions if behind(one)]
        if edge not in ports and (_SUMS.fullmatch(name) or (len(below) == 1 and _is_factor(edge))):
            waiting += below
        else:
            made = tuple((one.name(), *(each.name() for each, _ in one.next_functions if each)) for one, _ in below)
            found.setdefault((name, made), []).append(edge)
    return list(found.values())


def _is_factor(edge: Edge) -> bool:
    name, alone = edge[0].name(), sum(one is not None for one, _ in edge[0].next_functions) == 1
    whole = shape_of(edge) == ()
    return bool(
        _FACTORS.fullmatch(name) or (alone and _WEIGHED.fullmatch(name)) or (whole and _OF_A_SUM.fullmatch(name))
    )
