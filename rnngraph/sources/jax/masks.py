"""A state that is kept by a mask of data, as in `m * new + (1 - m) * h`, or read without its gradient at some steps.

In: a step's `Form`, and a state before and after the step. Out: the number of what tells the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rnngraph.sources.jax.form import Form

_SHAPING = {"broadcast_in_dim": "broadcast_dimensions", "reshape": "dimensions", "squeeze": "dimensions"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A value of a step by its number, and what it is where something comes about."""

    number: int
    value: int = 0
    ends: int | None = None  # the state that was computed, where that is forgotten in the end of the step


def stop_at(form: Form, before: int, states: frozenset[int]) -> Spot | None:
    """Find the choice that alone reads a state: `where(t % 8 == 0, stop_gradient(h), h)`."""
    users = [line for line, _ in form.users(before)]
    stops = {line.made[0] for line in users if line.name == "stop_gradient"}
    readers = [line for line in users if line.made[0] not in stops]
    if len(readers) != 1 or before in form.results or not form.chooses(readers[0], states):
        return None
    choice, *values = readers[0].given
    stopped = [one in stops for one in values]
    return Spot(choice, stopped.index(True)) if stopped.count(True) == 1 else None


def mask_that_keeps(form: Form, before: int, after: int) -> int | None:
    """Find the mask of which a state is kept where it is zero; None where there is none."""
    line = form.made(after)
    if line is None or line.name not in ("add", "add_any"):
        return None
    for old, new in (line.given, line.given[::-1]):
        for mask, value in _masked(form, new):
            if form.uncast(old) == before and _is_less(form, value, before):
                return mask
            for rest, kept in _masked(form, old):
                if form.uncast(kept) == before and _are_one(form, mask, rest):
                    return mask
    return None


def _masked(form: Form, value: int) -> list[tuple[int, int]]:
    """Give a factor that is data, and what it multiplies."""
    line = form.made(value)
    pairs = [line.given, line.given[::-1]] if line is not None and line.name == "mul" else []
    return [(one, other) for one, other in pairs if one not in form.literals and form.plain(one)]


def _is_less(form: Form, value: int, before: int) -> bool:
    line = form.made(value)
    return line is not None and line.name == "sub" and form.uncast(line.given[1]) == before


def _are_one(form: Form, mask: int, rest: int) -> bool:
    """Whether two masks are one together: what is the one is written as not the other, or one minus it."""
    (first, turned, shaped), (second, other, known) = _below(form, mask), _below(form, rest)
    return first == second and turned != other and shaped == known


def _below(form: Form, value: int) -> tuple[int, bool, list[Any]]:
    """Give a value before it is cast, turned and shaped; whether it is turned to the rest of one, and how shaped."""
    value, turned, shapes = form.uncast(value), False, list[Any]()
    while (line := form.maker.get(value)) is not None:
        result = line.equation.outvars[0].aval
        if line.name in _SHAPING:
            shapes.append((line.name, line.equation.params[_SHAPING[line.name]], result.shape))
        elif (line.name == "not" and result.dtype == bool) or (line.name == "sub" and _is_one(form, line.given[0])):
            turned = not turned
        else:
            break
        value = form.uncast(line.given[-1])
    return value, turned, shapes


def _is_one(form: Form, value: int) -> bool:
    number = form.literals.get(form.uncast(value))
    return number is not None and bool(np.all(np.asarray(number) == 1))
