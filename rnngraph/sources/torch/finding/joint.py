"""Whether the loss reads many timesteps jointly, as pooling and attention do: it is one loss then, and not one a step.

In: what enters at the ports of its steps. Out: yes or no, by asking autograd a second time: whether what enters at some
steps depends on what others, far from them, hand out. A sum of losses of single steps does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from rnngraph.errors import InputError
from rnngraph.sources.torch.autograd.arrived import drawn_at, norm, norms_at
from rnngraph.sources.torch.autograd.edges import Edge, edge_of, shape_of
from rnngraph.sources.torch.autograd.kernels import held, statistics_between
from rnngraph.sources.torch.autograd.one_pass import Pass
from rnngraph.sources.torch.autograd.question import ask, whole
from rnngraph.sources.torch.finding.clocks import Port
from rnngraph.trace.magnitudes import Floats

Reading: TypeAlias = Literal["apart", "mixed", "joint"]
# Far steps are read apart, or together: by samples of which each reads its own, or that read each other's
APART: Reading = "apart"
MIXED: Reading = "mixed"
JOINT: Reading = "joint"
_READS = 0.05  # how strongly far steps must be read together, beside how strongly each is read
_ALONE = 3.0  # how much more of it is in the sample that was moved than in others, which a mean over a batch reaches
_MOST = 0.5  # how strongly, beside that, things are read together where samples are compared with each other
_TERMS = 8  # kinds of terms of a loss that are looked at, at most
_SUMS = re.compile(r"(Add|Sub)Backward\d+")
_FACTORS = re.compile(r"(Mul|Div|Neg|Sum|Mean|View|Squeeze|Unsqueeze|ToCopy|Alias)Backward\d+")  # of one thing alone

_PRODUCTS = re.compile(r"(Addmm|Mm|Bmm|Baddbmm|Mv|Addmv|Dot|Convolution)Backward\d+")


def reads_many_steps(run: Pass, ports: Mapping[Edge, Port], grown: Mapping[Edge, Any], entered: Floats) -> Reading:
    """Tell whether the loss reads far steps together; `grown` enters at ports and can be asked about.

    Of a sum the term decides of which the most enters: a penalty on a mean activity beside words is a side term. One
    that is linear in what it reads, as half of a cross entropy is that is written out, tells nothing. `entered` are the
    norms of `grown`, (T, N), which are of one clock. Statistics that batch norm takes over steps do not count.
    """
    if still := statistics_between(ports):
        grown = ask(run, whole(run), list(grown), walls=ports, hooks=held(still), grow=True)
    found = _joins(run, ports, grown, entered)
    terms = _terms(run, ports)
    if found is not None and (found != JOINT or not 1 < len(terms) <= _TERMS):
        return found
    at = ask(run, whole(run), [edge for some in terms for edge in some])
    parts = [{edge: at[edge] for edge in some if edge in at} for some in terms]
    entering = partial(ask, run, wanted=list(grown), walls=ports)
    parts.sort(key=lambda part: -sum(norm(one) ** 2 for one in entering(part).values()))
    for part in parts if found else ():
        alone = entering(part, hooks=held(still), grow=True)
        norms = norms_at(ports, {edge: one.detach() for edge, one in alone.items()}, entered.shape)
        if reading := _joins(run, ports, alone, norms):
            return reading
    return found or (_of_one_number(run, ports, parts[0], grown, entered) if parts else APART)


def _of_one_number(
    run: Pass, ports: Mapping[Edge, Port], part: Mapping[Edge, Any], wanted: Iterable[Edge], entered: Floats
) -> Reading:
    """Tell whether the largest number that a term sums up is made of far steps; a linear loss tells by nothing else."""
    edge, gradient = max(part.items(), key=lambda one: norm(one[1]))
    below = [one for one in edge[0].next_functions if one[0] is not None and one[0].next_functions]
    if below and not _PRODUCTS.fullmatch(edge[0].name()):  # what a kernel sums up, or what a hinge lets through
        known = ask(run, {edge: gradient}, below)
        edge, gradient = max(known.items(), key=lambda one: norm(one[1]), default=(edge, gradient))
    seed = torch.zeros_like(gradient, memory_format=torch.contiguous_format)
    largest = gradient.abs().argmax()
    seed.view(-1)[largest] = gradient.reshape(-1)[largest]
    norms = norms_at(ports, ask(run, {edge: seed}, list(wanted), walls=ports), entered.shape)
    sample = int(norms.max(axis=0).argmax())
    steps, every = (np.flatnonzero(one[:, sample] > _READS * one[:, sample].max()) for one in (norms, entered))
    return JOINT if steps.size > 1 and 2 * np.ptp(steps) > np.ptp(every) > 1 else APART


def _terms(run: Pass, ports: Mapping[Edge, Port]) -> list[list[Edge]]:
    """Divide what was walked into the terms of its sum, looking through factors; terms that are made alike are one."""
    found: dict[Any, list[Edge]] = {}
    waiting, seen = list(whole(run)), set[Edge]()
    while waiting:
        edge = waiting.pop()
        if edge in seen:
            continue
        seen.add(edge)
        name, below = edge[0].name(), [one for one in edge[0].next_functions if one[0] is not None]
        if edge not in ports and (_SUMS.fullmatch(name) or (len(below) == 1 and _FACTORS.fullmatch(name))):
            waiting += below
        else:
            made = tuple((one.name(), *(each.name() for each, _ in one.next_functions if each)) for one, _ in below)
            found.setdefault((name, made), []).append(edge)
    return list(found.values())


def _joins(run: Pass, ports: Mapping[Edge, Port], grown: Mapping[Edge, Any], entered: Floats) -> Reading | None:
    """Tell whether what enters at steps of a sample changes what enters far from them; None where nothing changes it.

    The later half of the steps is moved at once, in the sample that has the most, and the first quarter looked at: a
    loss that joins neighbours alone, as a convolution or a penalty on differences does, is one loss a step all the
    same. Of several things that a step hands out only the one is asked on which most of the loss hangs: beside it, a
    penalty on attention is a side term.
    """
    if not grown:
        return APART
    sample, main = int((entered != 0).sum(axis=0).argmax()), _main(run, ports, grown)
    steps = np.unique([t for port in map(ports.__getitem__, main) for t in range(port.first, port.last + 1)])
    known = steps[entered[steps, sample] != 0]
    if known.size < 2:
        return APART
    far = known[: max(known.size // 4, 1)].tolist()
    moved = [t for t in known[known.size // 2 :].tolist() if t > far[-1] + 1]
    if not moved:  # a step and its neighbour
        return APART
    seeds: dict[Edge, Any] = {}
    for edge in main:
        gradient, port = grown[edge], ports[edge]
        here = [t for t in moved if port.first <= t <= port.last]
        if here and gradient.grad_fn is not None:
            drawn, place = drawn_at(port, gradient.detach(), here, sample, entered.shape[1]), edge_of(gradient)
            seeds[place] = seeds[place] + drawn if place in seeds else drawn
    try:
        changed = norms_at(ports, ask(run, seeds, main, walls=ports), entered.shape)
    except InputError:  # a function that is differentiated once and not twice
        return None
    own, felt = _size(changed[moved, sample]), _size(changed[far, sample])
    others = _size(np.delete(changed[far], sample, axis=1))
    if not own:
        return None
    if felt <= _READS * own:
        return APART
    return JOINT if felt > min(_ALONE * others, _MOST * own) else MIXED


def _main(run: Pass, ports: Mapping[Edge, Port], grown: Mapping[Edge, Any]) -> list[Edge]:
    """Give the ports, alike at every step, through which the states get most of what they get.

    At a step that has none of them, as the first before a mask keeps anything, that of their shape is taken.
    """
    alike: dict[Any, list[Edge]] = {}
    for edge in grown:
        alike.setdefault((edge[0].name(), shape_of(edge)[1:]), []).append(edge)
    if len(alike) == 1:
        return list(grown)
    states = {edge for one in {port.recurrence for port in ports.values()} for some in one.states for edge in some}
    states |= {edge for edge, port in ports.items() if port.kind != "step"}
    sizes = {}
    for key, some in alike.items():
        found = ask(run, {edge: grown[edge].detach() for edge in some}, list(states), walls=states)
        sizes[key] = float(np.sqrt(sum(norm(one) ** 2 for one in found.values())))
    main = alike[max(sizes, key=sizes.__getitem__)]
    shape, known = shape_of(main[0])[1:], {ports[edge].last for edge in main}
    return main + [edge for edge in grown if ports[edge].last not in known and shape_of(edge)[1:] == shape]


def _size(norms: Floats) -> float:
    return float(np.sqrt(np.square(norms).mean())) if norms.size else 0.0
