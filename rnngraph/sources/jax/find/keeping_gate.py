"""The gate that keeps a state: a sigmoid, or one minus it, by which a step multiplies the state before.

In: a scan's equation. Out: where in the step that factor stands, of the one state that has such a gate. It is read off
the operations, `f * c + ...`, `(1 - z) * h + ...` or `new + z * (h - new)`; a factor of another make is no gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jax.extend.core import Literal

from rnngraph.sources.jax.walk import Path, body, called

_SAME = ("convert_element_type", "copy", "reduce_precision")
Level: TypeAlias = tuple[Any, Any, int]  # a jaxpr, the equation that calls it, and its place; none of the step itself


@dataclass(frozen=True, slots=True)
class Keeper:
    """An operand of an equation in a step."""

    path: Path
    operand: int
    state: int  # the place of the state among the states


@dataclass(frozen=True, slots=True)
class _Made:
    equation: Any
    path: Path
    levels: tuple[Level, ...]


def keeper_of(equation: Any, states: Sequence[int]) -> Keeper | None:
    """Find the gate; nothing where no state has one, or several have."""
    jaxpr, first = body(equation)[0], equation.params["num_consts"]
    found = []
    for place, k in enumerate(states):
        one = _kept(((jaxpr, None, -1),), jaxpr.outvars[k], first + k)
        found += [] if one is None else [Keeper(*one, place)]
    return found[0] if len(found) == 1 else None


def _origin(levels: tuple[Level, ...], variable: Any) -> _Made | int | None:
    """Follow a value back through calls and casts, to the equation that makes it or to an argument of the step."""
    while not isinstance(variable, Literal):
        jaxpr, call, _ = levels[-1]
        if variable in jaxpr.invars:
            place = int(jaxpr.invars.index(variable))
            if len(levels) == 1:
                return place
            variable, levels = call.invars[place], levels[:-1]
            continue
        at, made = next(((k, e) for k, e in enumerate(jaxpr.eqns) if variable in e.outvars), (-1, None))
        nested = None if made is None else called(made)
        if made is None:
            return None
        if nested is not None:
            variable = nested[0].outvars[made.outvars.index(variable)]
            levels = (*levels, (nested[0], made, at))
        elif made.primitive.name in _SAME:
            variable = made.invars[0]
        else:
            return _Made(made, (*(place for _, _, place in levels[1:]), at), levels)
    return None


def _kept(levels: tuple[Level, ...], variable: Any, state: int) -> tuple[Path, int] | None:
    """Go back from the new state through sums, and choices, to the product with the state before."""
    made = _origin(levels, variable)
    if not isinstance(made, _Made):
        return None
    name, operands = made.equation.primitive.name, made.equation.invars
    if name in ("add", "add_any", "select_n"):
        found = [_kept(made.levels, one, state) for one in operands[name == "select_n" :]]
        some = [one for one in found if one is not None]
        return some[0] if len(some) == 1 else None
    if name == "mul":
        for place, (factor, other) in enumerate((operands, operands[::-1])):
            if _is_gate(made.levels, factor) and _is_state(made.levels, other, state):
                return made.path, place
    return None


def _is_state(levels: tuple[Level, ...], variable: Any, state: int) -> bool:
    made = _origin(levels, variable)
    if isinstance(made, _Made) and made.equation.primitive.name == "sub":  # new + z (h - new)
        made = _origin(made.levels, made.equation.invars[0])
    return made == state and isinstance(made, int)


def _is_gate(levels: tuple[Level, ...], variable: Any) -> bool:
    made = _origin(levels, variable)
    if not isinstance(made, _Made):
        return False
    name, operands = made.equation.primitive.name, made.equation.invars
    if name == "sub" and isinstance(operands[0], Literal) and operands[0].val == 1:
        return _is_gate(made.levels, operands[1])
    if name in ("split", "slice"):  # of gates that stand side by side
        return _is_gate(made.levels, operands[0])
    return bool(name == "logistic")
