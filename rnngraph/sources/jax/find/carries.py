"""What the step of a scan does with what it carries.

In: a scan's equation. Out: `Carries`. A carried value is a state, or it is what
steps add to and none reads: a sum, or a buffer that every step writes a place of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.extend.core import Literal

from rnngraph.sources.jax.walk import Path, body, called, walk

_CAST = ("convert_element_type", "copy", "stop_gradient", "reduce_precision")
_SUMS = ("add", "add_any", "scatter-add", "scatter_add")
_WRITES = ("dynamic_update_slice", "scatter")


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


def inexact(variable: Any) -> bool:
    """Whether a value can have a gradient."""
    dtype = getattr(variable.aval, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.inexact))


def carries_of(equation: Any) -> Carries:
    """Tell states from what is only carried along."""
    jaxpr, _ = body(equation)
    first, count = equation.params["num_consts"], equation.params["num_carry"]
    origins = _sources(equation)
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
        elif origins[place] - {first + place}:  # nothing enters a counter
            found["states"].append(place)
    return Carries(**{name: tuple(places) for name, places in found.items()})


def _sources(equation: Any) -> list[frozenset[int]]:
    """Give the arguments of a step that every result comes from."""
    return _walk_sources(equation, ())[0]


def sources(equation: Any, path: Path) -> frozenset[int]:
    """Give the arguments of a step that the first operand of an equation in it comes from."""
    return _walk_sources(equation, path)[1]


def _walk_sources(equation: Any, wanted: Path) -> tuple[list[frozenset[int]], frozenset[int]]:
    inside, seen = body(equation), frozenset[int]()

    def visit(one: Any, values: list[frozenset[int]], path: Path) -> Sequence[frozenset[int]]:
        nonlocal seen
        nested = called(one)
        if path == wanted:
            seen = values[0]
        if nested is not None:
            empty: list[frozenset[int]] = [frozenset()] * len(nested[1])
            return walk((nested[0], empty), values, visit, literal=lambda _: frozenset(), path=path)
        return [frozenset[int]().union(*values)] * len(one.outvars)

    arguments = [frozenset([place]) for place in range(len(inside[0].invars))]
    constants: list[frozenset[int]] = [frozenset([-1])] * len(inside[1])
    return walk((inside[0], constants), arguments, visit, literal=lambda _: frozenset()), seen


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
