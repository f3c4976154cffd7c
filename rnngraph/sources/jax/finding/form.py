"""The step of a scan as one list of lines with its calls opened, and what it does with what it carries.

In: a scan's equation. Out: a `Form`. It is read off the operations alone which carried values are states, and where
the step chooses to keep a state or to forget it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnngraph.sources.jax.walk import CHECKPOINTS, Path, body, called, counts, walk

CASTS = ("convert_element_type", "copy", "reduce_precision")
_SUMS = ("add", "add_any", "scatter-add", "scatter_add")
_PRODUCTS = ("dot_general", "conv_general_dilated")
_WRITES = ("dynamic_update_slice", "scatter")
_PLAIN = (
    *CASTS, "stop_gradient", "sub", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "broadcast_in_dim",
    "reshape", "squeeze", "expand_dims",
)  # fmt: skip


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
class Line:
    """An equation of a step: its operands and results by number."""

    equation: Any
    given: tuple[int, ...]
    made: tuple[int, ...]

    @property
    def name(self) -> str:
        """The operation."""
        return str(self.equation.primitive.name)


class Form:
    """A step as lines; every value has a number, and every number that stands in the step."""

    def __init__(self, equation: Any, known: Collection[int]) -> None:
        """Open the calls of a step; `known` are the arguments that come from no weight and no state."""
        self.equation, self.known, self._numbers = equation, known, count()
        self._known: dict[tuple[Any, ...], Any] = {}
        self.lines: list[Line] = []
        self.literals: dict[int, Any] = {}
        self.constants: dict[int, Any] = {}
        self.checkpoint: Any = None  # the first equation that says how to compute again on the way back
        self.arguments = [next(self._numbers) for _ in body(equation)[0].invars]
        self.results = self._opened(body(equation), self.arguments)
        self.maker = {one: line for line in self.lines for one in line.made}
        self.first, self.count = counts(equation)
        self.reads: dict[int, frozenset[int]] = dict.fromkeys(self.literals, frozenset())
        self.reads |= {one: frozenset([place]) for place, one in enumerate(self.arguments)}
        self.reads |= dict.fromkeys(self.constants, frozenset([-1]))
        self.moved_by = dict(self.reads)  # and of these, those that may have a gradient
        for line in self.lines:
            read, moved = (
                frozenset[int]().union(*(some[k] for k in line.given)) for some in (self.reads, self.moved_by)
            )
            for number, variable in zip(line.made, line.equation.outvars, strict=True):
                self.reads[number], self.moved_by[number] = read, moved if inexact(variable) else frozenset()

    def _opened(self, inside: tuple[Any, Sequence[Any]], given: Sequence[int]) -> list[int]:
        """Write the lines of a jaxpr with its constants; give the numbers of its results."""
        closed = [self._once((id(one),), next(self._numbers)) for one in inside[1]]
        self.constants |= zip(closed, inside[1], strict=True)
        return walk((inside[0], closed), given, self._visit, literal=self._literal)

    def _literal(self, atom: Any) -> int:
        number: int = self._once((str(atom.aval), np.asarray(atom.val).tobytes()), next(self._numbers))
        self.literals[number] = atom.val
        return number

    def _once(self, key: tuple[Any, ...], new: Any) -> Any:
        """Give what is known of a key: a step that computes a state twice, to carry it and to emit it, has it once."""
        try:
            return self._known.setdefault(key, new)
        except TypeError:  # something that cannot be a key
            return new

    def _visit(self, one: Any, given: list[int], _: Path) -> Sequence[int]:
        nested, branches = called(one), one.params.get("branches", ())
        if nested is not None:
            is_first = self.checkpoint is None and one.primitive.name in CHECKPOINTS
            self.checkpoint = one if is_first else self.checkpoint
            return self._opened(nested, given)
        if branches and all(line.primitive.name in _PLAIN for some in branches for line in some.jaxpr.eqns):
            every = [self._opened((some.jaxpr, some.consts), given[1:]) for some in branches]
            return [
                self._added(_choice(one, k), (given[0], *some))[0] for k, some in enumerate(zip(*every, strict=True))
            ]
        return self._added(one, given)

    def _added(self, one: Any, given: Sequence[int]) -> list[int]:
        made = [next(self._numbers) for _ in one.outvars]
        known: list[int] = self._once((one.primitive, *given, *one.params.items()), made)
        if known is made:
            self.lines.append(Line(one, tuple(given), tuple(made)))
        return known

    def made(self, value: int) -> Line | None:
        """Give the line that makes a value, before it is cast."""
        line = self.maker.get(value)
        while line is not None and line.name in CASTS:
            line = self.maker.get(line.given[0])
        return line

    def uncast(self, value: int) -> int:
        """Give a value before it is cast."""
        line = self.maker.get(value)
        return value if line is None or line.name not in CASTS else self.uncast(line.given[0])

    def ends(self, place: int) -> tuple[int, int]:
        """Give a carried value before and after the step."""
        return self.arguments[self.first + place], self.results[place]

    def carries(self) -> Carries:
        """Tell states from what is only carried along."""
        found: dict[str, list[int]] = {"states": [], "sums": [], "buffers": [], "fixed": []}
        for place in range(self.count):
            before, after = self.ends(place)
            if not inexact(self.equation.outvars[place]):
                continue
            how = self._gathers(before, after)
            if before == after:
                found["fixed"].append(place)
            elif how:
                found["sums" if how in _SUMS else "buffers"].append(place)
            elif self.reads[after] - {self.first + place}:  # nothing enters a counter
                found["states"].append(place)
        return Carries(**{name: tuple(places) for name, places in found.items()})

    def users(self, value: int) -> list[tuple[Line, int]]:
        """Give the lines that read a value, and at which place."""
        return [(line, place) for line in self.lines for place, one in enumerate(line.given) if one == value]

    def _gathers(self, before: int, after: int) -> str:
        """Give the operation with which steps add to what none of them reads; nothing where that is not so."""
        how = ""
        while before != after:
            users = self.users(before)
            if len(users) != 1 or before in self.results:
                return ""
            line, operand = users[0]
            if line.name in ("add", "add_any") or (not operand and line.name in (*_SUMS, *_WRITES) and not how):
                how = how or line.name
            elif line.name not in (*CASTS, "stop_gradient"):
                return ""
            before = line.made[0]
        return how if self.results.count(after) == 1 and not self.users(after) else ""

    def weighed(self, states: Sequence[int]) -> frozenset[int]:
        """Give the arguments of which the step makes something, without a state, that a product takes."""
        own = frozenset(self.first + k for k in states)
        taken = [self.reads[one] for line in self.lines if line.name in _PRODUCTS for one in line.given]
        return frozenset[int]().union(*(some for some in taken if not some & own))

    # ---- choices that read no state
    def as_read(self, before: int, states: frozenset[int]) -> frozenset[int]:
        """Give a state as the step reads it: as it is, where a choice may replace it, and with data as its factor."""
        same = {before}
        for line in self.lines:
            factors = [one for one in line.given if one not in same]
            masked = line.name == "mul" and all(map(self.masks, factors))
            if len(factors) < len(line.given) and (masked or self.chooses(line, states)):
                same.update(line.made)
        return frozenset(same)

    def chooses(self, line: Line, states: frozenset[int]) -> bool:
        """Whether a line chooses between two values by something that reads no state."""
        return line.name == "select_n" and len(line.given) == 3 and not self.reads[line.given[0]] & states

    def options(self, value: int) -> tuple[int, ...]:
        """Give the values that a choice gives one of; -1 for what a branch makes itself."""
        line = self.maker[value]
        if line.name == "select_n":
            return line.given[1:]
        place, found = line.made.index(value), list[int]()
        for branch in line.equation.params.get("branches", ()):
            result, arguments = branch.jaxpr.outvars[place], branch.jaxpr.invars
            found.append(line.given[1 + arguments.index(result)] if result in arguments else -1)
        return tuple(found)

    def masks(self, factor: int) -> bool:
        """Whether a factor is data, and no number that stands in the step."""
        return factor not in self.literals and self.plain(factor)

    def plain(self, value: int) -> bool:
        """Whether a factor is data, one minus it, or compares it: a gate that was computed is not."""
        if value in self.literals or (value in self.arguments and self.arguments.index(value) in self.known):
            return True
        line = self.maker.get(value)
        return line is not None and line.name in _PLAIN and all(self.plain(one) for one in line.given)


def _choice(branch: Any, place: int) -> Any:
    """Write a result of a `cond` that only moves values as a choice between what its branches give."""
    which, result = branch.invars[0].aval, branch.outvars[place].aval
    (choice,) = jax.make_jaxpr(jax.lax.select_n)(which, *[result] * len(branch.params["branches"])).eqns
    return choice


def inexact(variable: Any) -> bool:
    """Whether a value can have a gradient."""
    dtype = getattr(variable.aval, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.inexact))
