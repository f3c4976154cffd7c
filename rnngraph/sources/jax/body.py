"""What the step of a scan does with what it carries, and which weights multiply the state.

In: a scan's equation. Out: `Carries`, names of states, and recurrent weights. A carried value is a state, or it is what
steps add to and none reads: a sum, or a buffer that every step writes a place of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.extend.core import Literal

from rnngraph.sources.jax.flow import Flow, Spans, through
from rnngraph.sources.jax.walk import Path, body, called, walk

_CAST = ("convert_element_type", "copy", "stop_gradient", "reduce_precision")
_SUMS = ("add", "add_any", "scatter-add", "scatter_add")
_WRITES = ("dynamic_update_slice", "scatter")
# What cells of libraries call their recurrent weights, and what they carry, in their order.
_CELLS = (
    ({"hi", "hf", "hg", "ho"}, ("c", "h")),  # flax, both faces
    ({"weight_hh"}, ("h", "c")),  # equinox
)
_LIBRARY = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Carries:
    """Places among what is carried."""

    states: tuple[int, ...]
    sums: tuple[int, ...]  # steps add to it and none reads it
    buffers: tuple[int, ...]  # steps write places of it and none reads it
    fixed: tuple[int, ...]  # it is carried unchanged, as weights may be

    @property
    def gathered(self) -> tuple[int, ...]:
        """Sums and buffers."""
        return (*self.sums, *self.buffers)


@dataclass(frozen=True, slots=True)
class Weight:
    """Where a recurrent weight stands in a leaf; the numbers along `axis` are those that the state is multiplied by."""

    leaf: int
    axis: int
    spans: Spans


def inexact(variable: Any) -> bool:
    """Whether a value can have a gradient."""
    dtype = getattr(variable.aval, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.inexact))


def carries_of(equation: Any) -> Carries:
    """Tell states from what is only carried along."""
    jaxpr, _ = body(equation)
    first, count = equation.params["num_consts"], equation.params["num_carry"]
    sources = _sources(equation)
    found: dict[str, list[int]] = {"states": [], "sums": [], "buffers": [], "fixed": []}
    for place, (before, after) in enumerate(
        zip(jaxpr.invars[first : first + count], jaxpr.outvars[:count], strict=True)
    ):
        if not inexact(before):
            continue
        how = _gathers(jaxpr, before, after)
        if _origin(jaxpr, after) is before:
            found["fixed"].append(place)
        elif how:
            found["sums" if how in _SUMS else "buffers"].append(place)
        elif sources[place] - {first + place}:  # nothing enters a counter
            found["states"].append(place)
    return Carries(**{name: tuple(places) for name, places in found.items()})


def _sources(equation: Any) -> list[frozenset[int]]:
    """Give the arguments of a step that every result comes from."""
    inside = body(equation)

    def visit(one: Any, values: list[frozenset[int]], path: Path) -> Sequence[frozenset[int]]:
        nested = called(one)
        if nested is not None:
            empty: list[frozenset[int]] = [frozenset()] * len(nested[1])
            return walk((nested[0], empty), values, visit, literal=lambda _: frozenset(), path=path)
        return [frozenset[int]().union(*values)] * len(one.outvars)

    arguments = [frozenset([place]) for place in range(len(inside[0].invars))]
    constants: list[frozenset[int]] = [frozenset([-1])] * len(inside[1])
    return walk((inside[0], constants), arguments, visit, literal=lambda _: frozenset())


def _origin(jaxpr: Any, variable: Any) -> Any:
    """Follow a result back through calls that hand on what they were given."""
    made = None if isinstance(variable, Literal) else next((e for e in jaxpr.eqns if variable in e.outvars), None)
    nested = None if made is None else called(made)
    if made is None or nested is None:
        return variable
    inside = _origin(nested[0], nested[0].outvars[made.outvars.index(variable)])
    if inside in nested[0].invars:
        return _origin(jaxpr, made.invars[nested[0].invars.index(inside)])
    return variable


def _gathers(jaxpr: Any, before: Any, after: Any) -> str:
    """Give the operation with which steps add to what none of them reads; nothing where that is not so."""
    while True:
        users = [one for one in jaxpr.eqns for operand in one.invars if operand is before]
        made = None if isinstance(after, Literal) else next((e for e in jaxpr.eqns if after in e.outvars), None)
        read = sum(operand is after for one in jaxpr.eqns for operand in one.invars)
        handed = sum(one is after for one in jaxpr.outvars)
        if len(users) != 1 or made is None or before in jaxpr.outvars or read + handed > 1:
            return ""
        if made.primitive.name in _CAST and made is not users[0]:
            after = made.invars[0]
        elif users[0].primitive.name in _CAST and made is not users[0]:
            before = users[0].outvars[0]
        else:
            break
    if users[0] is not made:
        return ""
    nested = called(made)
    if nested is not None:
        inside = nested[0]
        return _gathers(inside, inside.invars[made.invars.index(before)], inside.outvars[made.outvars.index(after)])
    name = str(made.primitive.name)
    first = made.invars[0] is before
    return name if (name in ("add", "add_any") or (first and name in (*_SUMS, *_WRITES))) else ""


def in_chunks(jaxpr: Any, before: Any, after: Any) -> bool:
    """Whether a step hands its state to a scan inside it, and takes the state from that: it is a chunk of steps."""
    made = None if isinstance(after, Literal) else next((e for e in jaxpr.eqns if after in e.outvars), None)
    if made is None or before not in made.invars:
        return False
    place, result = made.invars.index(before), made.outvars.index(after)
    if made.primitive.name == "scan":
        return bool(place - made.params["num_consts"] == result)
    nested = called(made)
    return nested is not None and in_chunks(nested[0], nested[0].invars[place], nested[0].outvars[result])


def recurrent_weights(equation: Any, constants: Sequence[Flow], states: Sequence[int]) -> tuple[Weight, ...]:
    """Find the weights that multiply the state of the step before, of what a scan is given as constants."""
    inside, params = body(equation), equation.params
    first = params["num_consts"]
    found: dict[Weight, None] = {}

    def visit(one: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        nested = called(one)
        if nested is not None:
            return walk((nested[0], [Flow()] * len(nested[1])), flows, visit, literal=lambda _: Flow(), path=path)
        if one.primitive.name == "dot_general":
            found.update(dict.fromkeys(_of_product(one, flows)))
        return through(one, flows)

    arguments = []
    for place, variable in enumerate(inside[0].invars):
        if place - first in states:
            arguments.append(Flow(near=tuple((0, size) for size in variable.aval.shape)))
        else:
            arguments.append(constants[place] if place < len(constants) else Flow())
    walk((inside[0], [Flow()] * len(inside[1])), arguments, visit, literal=lambda _: Flow())
    return tuple(found)


def _of_product(equation: Any, flows: Sequence[Flow]) -> Iterator[Weight]:
    sides, _ = equation.params["dimension_numbers"]
    for state in (0, 1):
        near, weight = flows[state].near, flows[1 - state]
        if not near or not weight.leaves or len(sides[state]) != 1:
            continue
        axis = sides[1 - state][0]
        if axis == weight.joined:
            continue
        low, high = near[sides[state][0]]
        for leaf, transposed, spans in sorted(weight.leaves):
            own = 1 - axis if transposed else axis
            start = spans[own][0]
            yield Weight(leaf, own, (*spans[:own], (start + low, start + high), *spans[own + 1 :]))


def step_name(equation: Any) -> str:
    """Give the name of the user's function that is the step; nothing where it is a library's."""
    about = body(equation)[0].debug_info
    name, _, place = str(getattr(about, "func_src_info", "") or "").partition(" at ")
    return name if name.isidentifier() and not is_library(place) else ""


def place_of(equation: Any) -> str:
    """Say where in the user's code a scan's step stands."""
    about = body(equation)[0].debug_info
    return str(getattr(about, "func_src_info", "") or "a function without a name")


def kinds_of(equation: Any, states: Sequence[int], weights: Sequence[str]) -> tuple[str, ...]:
    """Name the states: as a cell that is known by the names of its recurrent weights has them, or as the user's step.

    Where neither tells, they are named by their places: h, h2, h3.
    """
    parts = {part for name in weights for part in name.split(".")}
    known = next((kinds for own, kinds in _CELLS if own <= parts and len(kinds) == len(states)), None)
    if known is not None:
        return known
    by_place = tuple("h" if not k else f"h{k + 1}" for k in range(len(states)))
    names, first = getattr(body(equation)[0].debug_info, "arg_names", None) or (), equation.params["num_consts"]
    if len(names) <= first + max(states) or (is_library(place_of(equation)) and "flax" in place_of(equation)):
        return by_place
    found = [re.split(r"[.\[\]'\"]+", names[first + one].rstrip("]'\""))[-1] for one in states]
    if len(set(found)) < len(found) or not all(one.isidentifier() for one in found):
        return by_place
    return tuple(found)


def is_library(place: str) -> bool:
    """Whether a place in code is no user's."""
    return any(one in place for one in _LIBRARY)
