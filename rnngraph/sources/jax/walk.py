"""Walk through a jaxpr, equation by equation, and into the calls in it.

In: a jaxpr, values of any kind and a visitor, who says what becomes of an equation. Out: what the visitor made of the
jaxpr's results. The numbers of the equations on the way in are an equation's path; names of variables are not unique,
because two calls of one function share its jaxpr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

Path: TypeAlias = tuple[int, ...]
Visit: TypeAlias = Callable[[Any, list[Any], Path], Sequence[Any]]
CHECKPOINTS = ("checkpoint", "remat", "remat2")
CALLS = ("jit", "pjit", "closed_call", "core_call", *CHECKPOINTS)


def walk(
    inside: tuple[Any, Sequence[Any]],
    arguments: Sequence[Any],
    visit: Visit,
    *,
    literal: Callable[[Any], Any] = lambda atom: atom.val,
    path: Path = (),
) -> list[Any]:
    """Walk through a jaxpr with its constants.

    Args:
        inside: a jaxpr and the values of its constants.
        arguments: the values of its arguments.
        visit: takes an equation, the values of its operands and its path, and gives those of its results.
        literal: gives the value of a number that stands in the jaxpr.
        path: the path of the equation that holds the jaxpr.
    """
    jaxpr, constants = inside
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return literal(atom) if isinstance(atom, Literal) else values[atom]

    for place, equation in enumerate(jaxpr.eqns):
        found = visit(equation, [read(one) for one in equation.invars], (*path, place))
        values.update(zip(equation.outvars, found, strict=True))
    return [read(one) for one in jaxpr.outvars]


def called(equation: Any) -> tuple[Any, Sequence[Any]] | None:
    """Give the jaxpr that an equation calls, with its constants; None of an equation that is no plain call."""
    if equation.primitive.name not in CALLS:
        return None
    inside = equation.params["jaxpr" if "jaxpr" in equation.params else "call_jaxpr"]
    return (inside.jaxpr, inside.consts) if isinstance(inside, ClosedJaxpr) else (inside, ())


def body(equation: Any) -> tuple[Any, Sequence[Any]]:
    """Give the jaxpr of a scan's step, with its constants."""
    closed = equation.params["jaxpr"]
    return closed.jaxpr, closed.consts


def counts(equation: Any) -> tuple[int, int]:
    """Say how many operands of a scan are the same for every step, and how many are carried; the rest are read."""
    params = equation.params
    if "num_consts" in params:  # before JAX 0.11
        return int(params["num_consts"]), int(params["num_carry"])
    constants, carried, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carried))


def compute(equation: Any, operands: list[Any]) -> Sequence[Any]:
    """Compute an equation as it stands."""
    primitive = equation.primitive
    params = primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # before JAX 0.9 functions came apart
    with equation.ctx.manager:
        found = primitive.bind(*functions, *operands, **params)
    return found if primitive.multiple_results else [found]


def inner(equation: Any) -> Iterator[Any]:
    """Yield every equation inside an equation, at any depth."""
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            jaxpr = one.jaxpr if isinstance(one, ClosedJaxpr) else one
            for line in jaxpr.eqns if isinstance(jaxpr, Jaxpr) else ():
                yield line
                yield from inner(line)
