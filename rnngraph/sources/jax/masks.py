"""At which steps a state is kept, as by `m * new + (1 - m) * h`, forgotten, or read without its gradient.

In: a step's `Form`. Out: `Spots`, the numbers of what tells the steps, read off the operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

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


Spots: TypeAlias = Mapping[str, tuple[Spot, ...]]  # what a step does -> where, by state


def spots(form: Form, states: Sequence[int]) -> Spots:
    """Find where a step does something to all of its states, by state; nothing where one is not treated so.

    `kept`, as in `jnp.where(t < length, new, old)`: only what is a choice or a mask of data counts, because a state
    that comes out equal may have been computed. `forgotten`, so that its gradient is exactly zero: before the step
    reads it, as in `jnp.where(done, start, h)` or `h * (1 - done)`, or in the end. `stopped`: it is read without its
    gradient.
    """
    read, found = frozenset(form.first + k for k in states), dict[str, tuple[Spot, ...]]()
    for what, look in (("kept", _kept), ("forgotten", _forgotten), ("stopped", _stopped)):
        some = [look(form, *form.ends(k), read) for k in states]
        found[what] = tuple(one for one in some if one is not None) if None not in some else ()
    return found


def _kept(form: Form, before: int, after: int, states: frozenset[int]) -> Spot | None:
    line = form.maker.get(after)
    between = () if line is None or form.reads[line.given[0]] & states else form.options(after)
    if line is not None and len(between) == 2 and between.count(before) == 1:
        return Spot(line.given[0], between.index(before))
    mask = _mask_that_keeps(form, before, after)
    return None if mask is None else Spot(mask)


def _forgotten(form: Form, before: int, after: int, states: frozenset[int]) -> Spot | None:
    found = form.entrance(before, states)
    if found is not None:
        return found[1]
    line = form.maker.get(after)
    if line is None or not form.chooses(line, states):
        return None
    others = [k for k in (0, 1) if not form.reads[line.given[1 + k]] & states]
    return Spot(line.given[0], others[0], line.given[2 - others[0]]) if len(others) == 1 else None


def _stopped(form: Form, before: int, _: int, states: frozenset[int]) -> Spot | None:
    """Find the choice that alone reads a state: `where(t % 8 == 0, stop_gradient(h), h)`."""
    users = [line for line, _ in form.users(before)]
    stops = {line.made[0] for line in users if line.name == "stop_gradient"}
    readers = [line for line in users if line.made[0] not in stops]
    if len(readers) != 1 or before in form.results or not form.chooses(readers[0], states):
        return None
    choice, *values = readers[0].given
    stopped = [one in stops for one in values]
    return Spot(choice, stopped.index(True)) if stopped.count(True) == 1 else None


def _mask_that_keeps(form: Form, before: int, after: int) -> int | None:
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
