"""One step of a scan, computed again with marks, and a scan with another step than the user's.

In: a `Site` and values. Out: what the step carries and emits. A state is marked where it is defined, at any depth of
calls, so that whatever reads it in its own step counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from rnngraph.sources.jax.find.sites import Site
from rnngraph.sources.jax.run.taps import tap
from rnngraph.sources.jax.walk import CHECKPOINTS, Path, body, called, compute, walk

Mark: TypeAlias = Callable[[Any], Any]
_OPTIONS = ("length", "reverse", "unroll", "_split_transpose")


def step(site: Site, arguments: Sequence[Any], marks: Mapping[int, Mark]) -> tuple[list[Any], list[Any]]:
    """Compute one step, with some of what it carries marked where that is defined; give what it carries and emits."""
    found = _marked(body(site.equation), arguments, marks)
    return found[: site.count], found[site.count :]


def _marked(inside: tuple[Any, Sequence[Any]], arguments: Sequence[Any], marks: Mapping[int, Mark]) -> list[Any]:
    jaxpr = inside[0]
    wanted: dict[Any, list[Mark]] = {}
    made = {one for equation in jaxpr.eqns for one in equation.outvars}
    late = {}
    for place, mark in marks.items():
        variable = jaxpr.outvars[place]
        if variable in made:
            wanted.setdefault(variable, []).append(mark)
        else:
            late[place] = mark  # it is handed on, and defined elsewhere

    def visit(equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        mine = {k: _all_of(wanted[one]) for k, one in enumerate(equation.outvars) if one in wanted}
        nested = called(equation)
        if mine and nested is not None:
            inner: Callable[..., Any] = partial(_marked, nested, marks=mine)
            if equation.primitive.name in CHECKPOINTS:
                inner = checkpointed(equation, inner)
            results: list[Any] = inner(operands)
            return results
        return [mine[k](one) if k in mine else one for k, one in enumerate(compute(equation, operands))]

    results = walk(inside, arguments, visit)
    return [late[k](one) if k in late else one for k, one in enumerate(results)]


def seen_inside(site: Site, arguments: Sequence[Any]) -> tuple[list[Any], Any]:
    """Say where a step keeps the state before, by state, and give the gate that keeps a state; None without one."""
    wanted = {(one.path, 0) for one in site.choices}
    wanted |= {(site.keeper.path, site.keeper.operand)} if site.keeper else set()
    seen: dict[tuple[Path, int], Any] = {}

    def visit(equation: Any, operands: list[Any], path: Path) -> Sequence[Any]:
        seen.update({(path, k): one for k, one in enumerate(operands) if (path, k) in wanted})
        nested = called(equation)
        return compute(equation, operands) if nested is None else walk(nested, operands, visit, path=path)

    walk(body(site.equation), arguments, visit)
    gate = seen[site.keeper.path, site.keeper.operand] if site.keeper else None
    return [seen[one.path, 0] == one.before for one in site.choices], gate


def _all_of(marks: Sequence[Mark]) -> Mark:
    def mark(value: Any) -> Any:
        for one in marks:
            value = one(value)
        return value

    return mark


def checkpointed(equation: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function be computed again on the way back, as an equation says."""
    params = equation.params
    wrapped: Callable[..., Any] = jax.checkpoint(function, policy=params["policy"], prevent_cse=params["prevent_cse"])
    return wrapped


def scan(site: Site, function: Callable[..., Any], initial: list[Any], read: Any) -> tuple[list[Any], Any]:
    """Run a scan with another step, as the user's is run."""
    params = {name: site.equation.params[name] for name in _OPTIONS if name in site.equation.params}
    found: tuple[list[Any], Any] = jax.lax.scan(function, initial, read, **params)
    return found


def tapper(slot: Any, hand: Callable[[Any], Any]) -> Mark:
    """Make a mark that hands what comes back to a slot."""
    return lambda value: tap(value, slot, hand)


def zeros(aval: Any, *lead: int) -> Any:
    """Make a slot."""
    return jnp.zeros((*lead, *aval.shape), aval.dtype)


def real(aval: Any) -> Any:
    """Give the type of a norm."""
    wide = aval.dtype in (jnp.float64, jnp.complex128)
    return jnp.float64 if wide else jnp.float32
