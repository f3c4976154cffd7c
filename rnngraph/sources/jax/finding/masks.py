"""At which steps a state is kept, as by `m * new + (1 - m) * h`, forgotten, or read without its gradient.

In: a step's `Form`. Out: `Spots`, the numbers of what tells the steps, read off the operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnngraph.sources.jax.finding.form import Form, Line, inexact


@dataclass(frozen=True, slots=True)
class Spot:
    """A value of a step by its number, and what it is where something comes about."""

    number: int
    value: int = 0
    rest: int | None = None  # a second value, which is one minus it at all steps, or nothing comes about
    ends: int | None = None  # the state that was computed, where that is forgotten in the end of the step
    shape: tuple[int, ...] = ()  # of what is forgotten, where that is no longer shaped as the state


Spots: TypeAlias = Mapping[str, tuple[tuple[Spot, ...], ...]]  # what a step does -> by state, of which each is enough


def spots(form: Form, states: Sequence[int]) -> Spots:
    """Find where a step does something to all of its states, by state; nothing where one is not treated so.

    `kept`, as in `jnp.where(t < length, new, old)`: only what is a choice or a mask of data counts, because a state
    that comes out equal may have been computed. `forgotten`, so that nothing of it is left, as with
    `jnp.where(done, start, h)`, `h * (1 - done)` or `(a * h + x) * (1 - done) + x * done`; or in the end, for the step
    after. `stopped`: it is read without its gradient.
    """
    read, found = frozenset(form.first + k for k in states), dict[str, tuple[tuple[Spot, ...], ...]]()
    for what, look in (("kept", _kept), ("forgotten", _forgotten), ("stopped", _stopped)):
        some = [look(form, *form.ends(k), read) for k in states]
        found[what] = tuple(some) if all(some) else ()
    return found


def _kept(form: Form, before: int, after: int, states: frozenset[int]) -> tuple[Spot, ...]:
    line = form.maker.get(after)
    between = () if line is None or form.reads[line.given[0]] & states else form.options(after)
    if line is not None and len(between) == 2 and between.count(before) == 1:
        return (Spot(line.given[0], between.index(before)),)
    return tuple(_masks_that_keep(form, before, after))


def _forgotten(form: Form, before: int, after: int, states: frozenset[int]) -> tuple[Spot, ...]:
    line, last = form.maker.get(after), form.first + form.count
    if line is not None and form.chooses(line, states):
        reads = [form.reads[one] for one in line.given[1:]]
        others = [k for k in (0, 1) if not reads[k] & states and max(reads[k], default=-1) < last]
        if len(others) == 1:  # it starts from what no step reads
            return (Spot(line.given[0], others[0], ends=line.given[2 - others[0]]),)
    shape, found = form.equation.outvars[form.results.index(after)].aval.shape, {before: frozenset[Spot]()}
    for line in form.lines:  # what reads the state, and what is enough that it does not
        below = [found[one] for one in line.given if one in found]
        if below:
            here = frozenset.intersection(*below) | {*_ending(form, line, found, states, shape)}
            found |= dict.fromkeys(line.made, here)
    moving = zip(form.results, form.equation.outvars, strict=True)
    ends = [found[one] for one, variable in moving if one in found and inexact(variable)]
    enough = frozenset.intersection(*ends) if ends else frozenset[Spot]()
    return tuple(sorted(enough, key=lambda one: (one.number, one.value)))


def _ending(
    form: Form, line: Line, found: Mapping[int, Any], states: frozenset[int], shape: tuple[int, ...]
) -> Iterator[Spot]:
    """Yield where a choice by data, or a product with data, leaves nothing of what is found."""
    made, chooses = line.equation.outvars[0].aval.shape, form.chooses(line, states)
    if [size for size in made if size > 1] != [size for size in shape if size > 1]:
        return
    for k, one in enumerate(line.given):
        if chooses and k and one not in found:
            yield Spot(line.given[0], k - 1, shape=made)
        elif line.name == "mul" and one in found and line.given[1 - k] not in found and form.masks(line.given[1 - k]):
            yield Spot(line.given[1 - k], shape=made)


def _stopped(form: Form, before: int, _: int, states: frozenset[int]) -> tuple[Spot, ...]:
    """Find the choice that alone reads a state: `where(t % 8 == 0, stop_gradient(h), h)`."""
    users = [line for line, _ in form.users(before)]
    stops = {line.made[0] for line in users if line.name == "stop_gradient"}
    readers = [line for line in users if line.made[0] not in stops]
    if len(readers) != 1 or before in form.results or not form.chooses(readers[0], states):
        return ()
    choice, *values = readers[0].given
    stopped = [one in stops for one in values]
    return (Spot(choice, stopped.index(True)),) if stopped.count(True) == 1 else ()


def _masks_that_keep(form: Form, before: int, after: int) -> Iterator[Spot]:
    """Yield masks of which a state is kept where they are zero: `h + m * (new - h)`, or `m * new + rest * h`."""
    line = form.made(after)
    if line is None or line.name not in ("add", "add_any"):
        return
    for old, new in (line.given, line.given[::-1]):
        for mask, value in _masked(form, new):
            if form.uncast(old) == before and _is_less(form, value, before):
                yield Spot(mask)
            yield from (Spot(mask, rest=rest) for rest, kept in _masked(form, old) if form.uncast(kept) == before)


def _masked(form: Form, value: int) -> list[tuple[int, int]]:
    """Give a factor that is data, and what it multiplies."""
    line = form.made(value)
    pairs = [line.given, line.given[::-1]] if line is not None and line.name == "mul" else []
    return [(one, other) for one, other in pairs if form.masks(one)]


def _is_less(form: Form, value: int, before: int) -> bool:
    line = form.made(value)
    return line is not None and line.name == "sub" and form.uncast(line.given[1]) == before
