"""Find the scans of a loss that are recurrences over time, and say of all others why they are not measured.

In: a jaxpr, and which of its arguments are weights. Out: a `Plan`. Nothing is computed. A step is given a number only
where it is known which position of the input it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rnngraph.sources.jax.find.carries import Carries, carries_of, in_chunks, inexact
from rnngraph.sources.jax.find.choices import choices_of
from rnngraph.sources.jax.find.flow import Flow, Spans, through
from rnngraph.sources.jax.find.keeping_gate import keeper_of
from rnngraph.sources.jax.find.names import is_library, joined, kinds_of, owner, place_of, step_name
from rnngraph.sources.jax.find.recurrent_weights import recurrent_weights
from rnngraph.sources.jax.find.sites import Plan, Site
from rnngraph.sources.jax.walk import Path, body, called, inner, walk

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
_LOOPS |= {"xla_pmap": _LOOPS["pmap"], "custom_vjp_call_jaxpr": _LOOPS["custom_vjp_call"]}


def find(jaxpr: Any, constants: int, weights: Sequence[bool], names: Sequence[str]) -> Plan:
    """Look through a jaxpr.

    Args:
        jaxpr: the loss.
        constants: how many values it closes over.
        weights: by argument, whether it is a weight.
        names: of the arguments.
    """
    finder = _Finder(names, [_spans(one) for one in jaxpr.invars])
    flows = [
        Flow(weights=True, leaves=frozenset([(place, False, finder.shapes[place])])) if weight else Flow(data=True)
        for place, weight in enumerate(weights)
    ]
    walk((jaxpr, [Flow(data=True)] * constants), flows, finder.visit, literal=lambda _: Flow())
    return finder.plan


class _Finder:
    def __init__(self, names: Sequence[str], shapes: Sequence[Spans]) -> None:
        self.plan, self.names, self.shapes = Plan(), names, shapes
        self.scopes: list[str] = []

    def visit(self, equation: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        """Say what is known of the results of an equation, and note scans."""
        self.scopes.append(str(equation.source_info.name_stack))
        try:
            name, nested = equation.primitive.name, called(equation)
            if name == "scan":
                return self._scan(equation, flows, path)
            if nested is not None:
                closed = [Flow(data=True)] * len(nested[1])
                return walk((nested[0], closed), flows, self.visit, literal=lambda _: Flow(), path=path)
            loops = [one for one in inner(equation) if one.primitive.name in ("scan", "while")]
            if name in _LOOPS and (loops or name == "while") and any(inexact(one) for one in equation.outvars):
                places = [place_of(one) for one in loops if one.primitive.name == "scan"]
                self._not(_LOOPS[name].format(f" ({places[0]})" if places else ""))
            elif "associative_scan" in _functions(equation):
                self._not("associative_scan works as a tree and has no steps; lax.scan over the same steps has")
            return through(equation, flows)
        finally:
            self.scopes.pop()

    def _not(self, reason: str) -> None:
        self.plan.reasons[reason] = None

    def _scan(self, equation: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        carries, place = carries_of(equation), place_of(equation)
        place = (joined(self.scopes) or place) if is_library(place) else place
        nested = [one for one in inner(equation) if one.primitive.name == "scan" and carries_of(one).states]
        first, count = equation.params["num_consts"], equation.params["num_carry"]
        read = list(zip(flows[first + count :], equation.invars[first + count :], strict=True))
        if any("transpose(" in one for one in self.scopes):
            self._not(f"the backward pass of a gradient that the function takes itself ({place}): not of this loss")
        elif carries.states and not all(_numbers(equation, one) for one in carries.states):
            self._not(f"the scan of {place}, which has no steps, or whose states hold no numbers")
        elif not any(flow.weights for flow in flows):
            self._not(f"the scan of {place}, which no weight reaches")
        elif nested and _are_layers(read):
            return self._layers(equation, flows, path)
        elif nested and not carries.states:
            self._not(
                f"a loop inside lax.map or a scan that hands on nothing ({place}): its steps are no times; use vmap"
            )
        elif carries.states and any(in_chunks(body(equation)[0], *self._ends(equation, one)) for one in carries.states):
            self._not(
                f"a scan over chunks of steps ({place}), whose step is a scan from the same state: a chunk is no time; "
                "scan over single steps, with jax.checkpoint where memory is short"
            )
        elif carries.states and not any(flow.data for flow, _ in read) and _takes_a_gradient(equation):
            self._not(
                f"a scan that reads no input and takes a gradient in its step ({place}): its steps are updates of "
                "weights, and no times; watch the inner loss"
            )
        elif carries.states:
            flipped = self._order(equation, [flow for flow, _ in read])
            if flipped is None:
                self._not(
                    f"the scan of {place} reads its input in an order that is not known before it runs (gathered by "
                    "lengths, or both ways at once): which step is which time cannot be told"
                )
            else:
                if nested:
                    self.plan.notes[f"the scan inside a step of {place} is a part of that step"] = None
                return self._site(equation, flows, path, carries, flipped=flipped)
        return through(equation, flows)

    def _ends(self, equation: Any, place: int) -> tuple[Any, Any]:
        jaxpr = body(equation)[0]
        return jaxpr.invars[equation.params["num_consts"] + place], jaxpr.outvars[place]

    def _order(self, equation: Any, read: Sequence[Flow]) -> bool | None:
        """Say whether a scan reads its input turned round; None where that cannot be told."""
        length = equation.params["length"]
        timed = [one for one in read if one.ordered]
        turned = {length in one.flips for one in timed}
        if any(length in one.mixed for one in timed) or len(turned) > 1:
            return None
        return turned == {True}

    def _site(self, equation: Any, flows: list[Flow], path: Path, carries: Carries, *, flipped: bool) -> Sequence[Flow]:
        number, first, count = len(self.plan.sites), equation.params["num_consts"], equation.params["num_carry"]
        before = frozenset[int]().union(*(one.sites for one in flows))
        read = flows[first + count :]
        floating = [k for k, one in enumerate(equation.invars[first + count :]) if inexact(one)]
        fed = bool(floating) and not any(read[k].sites for k in floating)
        carried = [flow if k in carries.fixed else Flow() for k, flow in enumerate(flows[first : first + count])]
        given = [*flows[:first], *carried]
        leaves = {k: next(iter(one.leaves))[0] for k, one in enumerate(given) if self._is_whole(one)}
        recurrent = recurrent_weights(equation, given, carries.states)
        names = [self.names[weight.leaf] for weight in recurrent]
        kinds = kinds_of(equation, carries.states, names)
        order = sorted(range(len(kinds)), key=lambda k: kinds[k] != "h")  # a trace names a recurrence by its h
        carries = replace(carries, states=tuple(carries.states[k] for k in order))
        name = self._name(equation, [self.names[one] for one in leaves.values()])
        self.plan.sites[path] = Site(
            number, equation, name, carries, tuple(kinds[k] for k in order), flipped, tuple(floating) if fed else (),
            frozenset(one for one in before if one >= 0), *self._comes_from(equation, flows), leaves, recurrent,
            choices_of(equation, carries.states), keeper_of(equation, carries.states),
        )  # fmt: skip
        self.plan.entered |= {path[:depth] for depth in range(1, len(path))}
        self._unclear(number, before, carries, equation)
        found = []
        for k, one in enumerate(equation.outvars):
            sizes = frozenset(getattr(one.aval, "shape", ()))
            mark = {-1 - number} if k in carries.gathered else set()
            turned = frozenset([equation.params["length"]]) if flipped and k >= count else frozenset[int]()
            found.append(Flow(True, True, turned & sizes, sites=before | {number} | mark))
        return found

    def _comes_from(self, equation: Any, flows: Sequence[Flow]) -> tuple[frozenset[int], frozenset[int]]:
        """Say which arguments of a step come from other scans, and which from data."""
        handed = (k for k, one in enumerate(flows) if inexact(equation.invars[k]) and any(n >= 0 for n in one.sites))
        return frozenset(handed), frozenset(k for k, one in enumerate(flows) if one.data)

    def _unclear(self, number: int, before: frozenset[int], carries: Carries, equation: Any) -> None:
        name = self.plan.numbered[number].name
        for other in [-1 - one for one in before if one < 0]:
            lower = self.plan.numbered[other].name
            self.plan.unclear[other] = f"{name} reads what {lower} gathers over all of its steps"
        jaxpr, first = body(equation)[0], equation.params["num_consts"]
        for place in carries.buffers:
            if equation.params["length"] not in jaxpr.invars[first + place].aval.shape:
                self.plan.unclear[number] = f"{name} writes into a buffer that has no place for every step"

    def _layers(self, equation: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        """Go through a scan whose steps are layers as if they were written one below the other."""
        first, count = equation.params["num_consts"], equation.params["num_carry"]
        inside = body(equation)
        carried, results = flows[first : first + count], []
        read = [Flow(one.data, one.weights, sites=one.sites) for one in flows[first + count :]]
        self.plan.layers.add(path)
        for layer in range(equation.params["length"]):
            arguments = [*flows[:first], *carried, *read]
            closed = [Flow(data=True)] * len(inside[1])
            out = walk((inside[0], closed), arguments, self.visit, literal=lambda _: Flow(), path=(*path, layer))
            carried = out[:count]
            results.append(out[count:])
        rest = [
            Flow(any(o.data for o in some), True, sites=frozenset[int]().union(*(o.sites for o in some)))
            for some in zip(*results, strict=True)
        ]
        return [*carried, *rest]

    def _is_whole(self, flow: Flow) -> bool:
        """Whether a value is one weight, all of it."""
        if len(flow.leaves) != 1:
            return False
        leaf, _, spans = next(iter(flow.leaves))
        return spans == self.shapes[leaf]

    def _name(self, equation: Any, weights: Sequence[str]) -> str:
        """Name a scan by the scopes that it stands in, else by the user's step, else by its weights."""
        name = joined(self.scopes) or step_name(equation) or owner(weights) or "scan"
        known = [one.name for one in self.plan]
        same = sum(one == name or one.startswith(f"{name}#") for one in known)
        return f"{name}#{same + 1}" if same else name


def _numbers(equation: Any, place: int) -> int:
    """Count the numbers of a carried value over all steps."""
    return int(equation.params["length"]) * int(equation.outvars[place].aval.size)


def _spans(variable: Any) -> Spans:
    return tuple((0, size) for size in variable.aval.shape)


def _are_layers(read: Sequence[tuple[Flow, Any]]) -> bool:
    """Whether what a scan reads step by step is weights alone."""
    floating = [flow for flow, variable in read if inexact(variable)]
    return any(one.weights and not one.data for one in floating) and not any(one.data for one in floating)


def _takes_a_gradient(equation: Any) -> bool:
    return any("transpose(" in str(one.source_info.name_stack) for one in inner(equation))


def _functions(equation: Any) -> set[str]:
    trace = equation.source_info.traceback
    return {frame.function_name for frame in trace.frames} if trace is not None else set()
