"""Find the scans of a loss that are recurrences over time, and say of all others why they are not measured.

In: a jaxpr, and which of its arguments are weights. Out: a `Plan`. Nothing is computed. The time of a step is the
position of the input that it reads; where that is not known before it runs, it is its place among the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rnngraph.checks import listed
from rnngraph.sources.jax.finding.chunks import in_chunks
from rnngraph.sources.jax.finding.flow import INPUT, NOTHING, STATE, Flow, through, whole
from rnngraph.sources.jax.finding.form import Carries, Form, inexact
from rnngraph.sources.jax.finding.masks import spots
from rnngraph.sources.jax.finding.names import is_library, joined, kinds_of, owner, place_of, step_name
from rnngraph.sources.jax.finding.sites import Plan, Site
from rnngraph.sources.jax.finding.step_cell import follow, gate_of, weights_on
from rnngraph.sources.jax.walk import Path, body, called, counts, inner, walk

_LOOPS = {
    "while": "a while_loop{}, whose number of steps is not known before it runs: JAX cannot walk it back; lax.scan, or "
    "fori_loop with fixed bounds, can be seen",
    "cond": "a loop inside lax.cond or lax.switch{}: which branch runs is not known; move the loop out of it",
    "custom_vjp_call": "a loop inside a function with a backward of its own (custom_vjp){}, as equinox's checkpointed "
    "loops are: what is walked back is not the loop; lax.scan with jax.checkpoint around its step can be seen",
    "custom_jvp_call": "a loop inside a function with a derivative of its own (custom_jvp){}",
    "shard_map": "a loop inside shard_map{}: trace the function on one device, without it",
    "pmap": "a loop inside pmap{}: trace the function on one device, without it",
}
_RUNNING = ("cumsum", "cumprod", "cumlogsumexp", "cummax", "cummin")
_LOOPS |= {"xla_pmap": _LOOPS["pmap"], "custom_vjp_call_jaxpr": _LOOPS["custom_vjp_call"]}


def find(jaxpr: Any, constants: int, weights: Sequence[bool], names: Sequence[str], only: Sequence[str] = ()) -> Plan:
    """Look through a jaxpr.

    Args:
        jaxpr: the loss.
        constants: how many values it closes over.
        weights: by argument, whether it is a weight.
        names: of the arguments.
        only: the scans that are wanted, by name; all where none is named.

    Raises:
        InputError: a name that no scan has.
    """
    finder = _Finder(names, [tuple(one.aval.shape) for one in jaxpr.invars], only)
    flows = [
        Flow(weights=True, parts=whole(place, finder.shapes[place])) if weight else Flow(data=True)
        for place, weight in enumerate(weights)
    ]
    finder.walk((jaxpr, [None] * constants), flows)
    listed(only, finder.named)
    return finder.plan


class _Finder:
    def __init__(self, names: Sequence[str], shapes: Sequence[tuple[int, ...]], only: Sequence[str]) -> None:
        self.plan, self.names, self.shapes, self.only = Plan(), names, shapes, only
        self.scopes: list[str] = []
        self.named: list[str] = []

    def walk(self, inside: tuple[Any, Sequence[Any]], flows: Sequence[Flow], path: Path = ()) -> list[Flow]:
        """Look through a jaxpr, whose constants are data."""
        constants = [Flow(data=True)] * len(inside[1])
        return walk((inside[0], constants), flows, self.visit, literal=lambda _: Flow(), path=path)

    def visit(self, equation: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        """Say what is known of the results of an equation, and note scans."""
        self.scopes.append(str(equation.source_info.name_stack))
        try:
            name, nested = equation.primitive.name, called(equation)
            if name == "scan":
                return self._scan(equation, flows, path)
            if nested is not None:
                return self.walk(nested, flows, path)
            loops = [one for one in inner(equation) if one.primitive.name in ("scan", "while")]
            if name in _LOOPS and (loops or name == "while") and any(inexact(one) for one in equation.outvars):
                places = [place_of(one) for one in loops if one.primitive.name == "scan"]
                self._not(_LOOPS[name].format(f" ({places[0]})" if places else ""))
            elif name in _RUNNING and any(one.weights for one in flows):
                self._not(
                    f"a {name} over what weights reach: where it goes along time, what it hands on is counted at the "
                    "step that it reads"
                )
            return through(equation, flows)
        finally:
            self.scopes.pop()

    def _not(self, reason: str) -> None:
        self.plan.reasons[reason] = None

    def _scan(self, equation: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        form = Form(equation, [k for k, one in enumerate(flows) if not one.weights])
        carries, place = form.carries(), place_of(equation)
        place = (joined(self.scopes) or place) if is_library(place) else place
        nested = [one for one in inner(equation) if one.primitive.name == "scan" and Form(one, ()).carries().states]
        last = form.first + form.count
        read = [one for one, variable in zip(flows[last:], equation.invars[last:], strict=True) if inexact(variable)]
        layers = bool(nested) and any(one.weights for one in read) and not any(one.data for one in read)
        reason = self._no_recurrence(form, carries, flows, layers=layers) if carries.states or nested else None
        if reason:
            self._not(reason.format(place))
        if reason != "":
            return through(equation, flows)
        if layers:
            return self._layers(equation, flows, path)
        if nested:
            self.plan.notes[f"the scan inside a step of {place} is a part of that step"] = None
        return self._site(form, carries, flows, path)

    def _no_recurrence(self, form: Form, carries: Carries, flows: Sequence[Flow], *, layers: bool) -> str:
        """Say why a scan is none over time; nothing where it is one."""
        equation, read = form.equation, flows[form.first + form.count :]
        if any("transpose(" in one for one in self.scopes):
            return "the backward pass of a gradient that the function takes itself ({}): not of this loss"
        if not all(_numbers(equation, one) for one in carries.states):
            return "the scan of {}, which has no steps, or whose states hold no numbers"
        if not any(flow.weights for flow in flows):
            return "the scan of {}, which no weight reaches"
        if layers:
            return ""
        if not carries.states:
            return "a loop inside lax.map or a scan that hands on nothing ({}): its steps are no times; use vmap"
        if any(in_chunks(form, one) for one in carries.states):
            return (
                "a scan over chunks of steps ({}), whose step is a scan from the same state: a chunk is no time; scan "
                "over single steps, with jax.checkpoint where memory is short, or watch the loss of one chunk"
            )
        if not any(flow.data for flow in read) and _takes_a_gradient(equation):
            return (
                "a scan that reads no input and takes a gradient in its step ({}): its steps are updates of weights, "
                "and no times; watch the inner loss"
            )
        return ""

    def _site(self, form: Form, carries: Carries, flows: list[Flow], path: Path) -> Sequence[Flow]:
        equation, number, last = form.equation, len(self.plan.sites), form.first + form.count
        before = NOTHING.union(*(one.sites for one in flows))
        moving = NOTHING.union(*(form.moved_by[one] for one in form.results))
        floating = [k for k, one in enumerate(equation.invars[last:]) if inexact(one) and last + k in moving]
        weighed = form.weighed(carries.states)  # a mask beside them says what becomes of a state, and is no input
        floating = [k for k in floating if last + k in weighed or flows[last + k].weights] or floating
        floating = [k for k in floating if flows[last + k].data] or floating  # a decay that stays the same is none
        fed = bool(floating) and not any(flows[last + k].sites for k in floating)
        given = [one if k < form.first or k - form.first in carries.fixed else Flow() for k, one in enumerate(flows)]
        shapes = [tuple(one.aval.shape) for one in equation.invars]
        leaves = {k: leaf for k, one in enumerate(given) if (leaf := self._leaf(one, shapes[k])) is not None}
        for k in floating if fed else ():
            given[last + k] = Flow(parts=whole(INPUT, shapes[last + k][1:]))
        known = follow(form, given, carries.states)
        recurrent = weights_on(STATE, form, known)
        kinds = kinds_of(equation, carries.states, [self.names[weight.leaf] for weight in recurrent])
        order = sorted(range(len(kinds)), key=lambda k: kinds[k] != "h")  # a trace names a recurrence by its h
        states = tuple(carries.states[k] for k in order)
        turned = _turned(equation, flows[last:])
        name = self._name(equation, [self.names[one] for one in leaves.values()])
        if self.only and name not in self.only:
            self._not(f"the scan of {name}, which is not named by only=")
            return through(equation, flows)
        handed = (k for k, one in enumerate(flows) if inexact(equation.invars[k]) and any(n >= 0 for n in one.sites))
        self.plan.sites[path] = Site(
            number, equation, form, name, replace(carries, states=states), tuple(kinds[k] for k in order),
            bool(turned), turned is not None, tuple(floating) if fed else (),
            frozenset(one for one in before if one >= 0), frozenset(handed), leaves, recurrent,
            weights_on(INPUT, form, known), spots(form, states), gate_of(form, known, states),
        )  # fmt: skip
        self.plan.entered |= {path[:depth] for depth in range(1, len(path))}
        if before and all(one.sites for one in flows if one.weights):
            self.plan.notes[
                f"{name} reads no weight beside what other scans hand on: where it is a part of the loss, as that of "
                "CTC, only= leaves it out"
            ] = None
        if turned is None:
            self.plan.notes[
                f"{name} reads its input in an order that is not known before it runs (gathered by lengths, or both "
                "ways at once): its times are its own steps, and no positions"
            ] = None
        self._unclear(number, before, carries, equation)
        found, length = [], frozenset([int(equation.params["length"])])
        for k, one in enumerate(equation.outvars):
            mark = {-1 - number} if k in carries.gathered else set()
            sizes = length & {*one.aval.shape} if k >= form.count else NOTHING
            flips, mixed = sizes if turned else NOTHING, sizes if turned is None else NOTHING
            found.append(Flow(True, True, flips, mixed, before | {number} | mark))
        return found

    def _unclear(self, number: int, before: frozenset[int], carries: Carries, equation: Any) -> None:
        name = self.plan.numbered[number].name
        for other in [-1 - one for one in before if one < 0]:
            lower = self.plan.numbered[other].name
            self.plan.unclear[other] = f"{name} reads what {lower} gathers over all of its steps"
        if any(equation.params["length"] not in equation.outvars[place].aval.shape for place in carries.buffers):
            self.plan.unclear[number] = f"{name} writes into a buffer that has no place for every step"

    def _layers(self, equation: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        """Go through a scan whose steps are layers as if they were written one below the other."""
        first, count = counts(equation)
        carried, results = flows[first : first + count], []
        read = [Flow(one.data, one.weights, sites=one.sites) for one in flows[first + count :]]
        self.plan.layers.add(path)
        for layer in range(equation.params["length"]):
            out = self.walk(body(equation), [*flows[:first], *carried, *read], (*path, layer))
            carried = out[:count]
            results.append(out[count:])
        rest = [
            Flow(any(o.data for o in some), True, sites=NOTHING.union(*(o.sites for o in some)))
            for some in zip(*results, strict=True)
        ]
        return [*carried, *rest]

    def _leaf(self, flow: Flow, shape: tuple[int, ...]) -> int | None:
        """Give the weight that a value is, all of it and nothing else."""
        found = next(iter(flow.parts)) if len(flow.parts) == 1 else None
        if found is None or tuple(axis.size if axis.own >= 0 else 1 for axis in found.axes) != shape:
            return None
        return found.leaf if found.spans() == tuple((0, size) for size in self.shapes[found.leaf]) else None

    def _name(self, equation: Any, weights: Sequence[str]) -> str:
        """Name a scan by the scopes that it stands in, else by the user's step, else by its weights."""
        name = joined(self.scopes) or step_name(equation) or owner(weights) or "scan"
        same = sum(one == name or one.startswith(f"{name}#") for one in self.named)
        self.named.append(f"{name}#{same + 1}" if same else name)
        return self.named[-1]


def _numbers(equation: Any, place: int) -> int:
    """Count the numbers of a carried value over all steps."""
    return int(equation.params["length"]) * int(equation.outvars[place].aval.size)


def _turned(equation: Any, read: Sequence[Flow]) -> bool | None:
    """Say whether a scan reads its input turned round; None where that cannot be told."""
    length = equation.params["length"]
    timed = [one for one in read if one.ordered]
    turned = {length in one.flips for one in timed}
    if any(length in one.mixed for one in timed) or len(turned) > 1:
        return None
    return turned == {True}


def _takes_a_gradient(equation: Any) -> bool:
    return any("transpose(" in str(one.source_info.name_stack) for one in inner(equation))
