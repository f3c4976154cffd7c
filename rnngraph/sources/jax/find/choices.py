"""Where a step chooses between a new state and the one before: at such steps a sample keeps its state.

In: a scan's equation. Out: the ways to the choices. Only what is written as a choice counts, of something that reads no
state, as in `jnp.where(t < length, new, old)`: a state that comes out equal may have been computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jax.extend.core import Literal

from rnngraph.sources.jax.find.carries import sources
from rnngraph.sources.jax.walk import Path, body, called


@dataclass(frozen=True, slots=True)
class Choice:
    """The path of a choice in the step, and which of its cases is the state before."""

    path: Path
    before: int


def choices_of(equation: Any, states: Sequence[int]) -> tuple[Choice, ...]:
    """Find a choice for every state; nothing where a state has none."""
    jaxpr, first = body(equation)[0], equation.params["num_consts"]
    found = [_choice(jaxpr, jaxpr.invars[first + k], jaxpr.outvars[k], ()) for k in states]
    choices = tuple(one for one in found if one is not None)
    if len(choices) < len(states):
        return ()
    read = frozenset(first + k for k in states)
    return choices if not any(sources(equation, one.path) & read for one in choices) else ()


def _choice(jaxpr: Any, before: Any, after: Any, path: Path) -> Choice | None:
    if isinstance(after, Literal):
        return None
    place, made = next(((k, e) for k, e in enumerate(jaxpr.eqns) if after in e.outvars), (-1, None))
    if made is None:
        return None
    if made.primitive.name == "select_n" and len(made.invars) == 3:
        cases = [k for k in (0, 1) if made.invars[1 + k] is before]
        return Choice((*path, place), cases[0]) if len(cases) == 1 else None
    nested = called(made)
    if nested is None:
        return None
    inside, result = nested[0], nested[0].outvars[made.outvars.index(after)]
    given = [variable for operand, variable in zip(made.invars, inside.invars, strict=True) if operand is before]
    return _choice(inside, given[0], result, (*path, place)) if len(given) == 1 else None
