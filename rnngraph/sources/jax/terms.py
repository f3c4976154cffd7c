"""The terms that a loss is the sum of.

In: a jaxpr whose first result is the loss. Out: the paths of the equations that make them; terms that are made alike
are of one kind.
"""

from __future__ import annotations

from typing import Any

from jax.extend.core import Literal

from rnngraph.sources.jax.sites import Plan
from rnngraph.sources.jax.walk import Path, called

_SUMS = ("add", "add_any", "sub")
_FACTORS = (
    "mul", "div", "neg", "reduce_sum", "convert_element_type", "reshape", "squeeze", "broadcast_in_dim", "copy",
)  # fmt: skip  # of one thing alone


def kinds_of_terms(jaxpr: Any, plan: Plan) -> list[frozenset[Path]]:
    """Divide a loss, looking through factors and into the calls that hold scans."""
    found: dict[Any, set[Path]] = {}
    waiting: list[tuple[Any, Path, Any]] = [(jaxpr, (), jaxpr.outvars[0])]
    seen, tables = set[tuple[Path, Any]](), dict[Path, dict[Any, tuple[int, Any]]]()
    while waiting:
        inside, path, value = waiting.pop()
        if path not in tables:
            tables[path] = _making(inside)
        made = tables[path]
        if isinstance(value, Literal) or value not in made or (path, value) in seen:
            continue
        seen.add((path, value))
        place, equation = made[value]
        here, nested = (*path, place), called(equation)
        below = [one for one in equation.invars if not isinstance(one, Literal) and one in made]
        name = equation.primitive.name
        if nested is not None and here in plan.entered:
            waiting.append((nested[0], here, nested[0].outvars[equation.outvars.index(value)]))
        elif here not in plan.sites and (name in _SUMS or (len(below) == 1 and name in _FACTORS)):
            waiting += [(inside, path, one) for one in below]
        else:
            kind = (name, *(made[one][1].primitive.name for one in below))
            found.setdefault(kind, set()).add(here)
    return [frozenset(some) for some in found.values()]


def _making(jaxpr: Any) -> dict[Any, tuple[int, Any]]:
    return {value: (place, equation) for place, equation in enumerate(jaxpr.eqns) for value in equation.outvars}
