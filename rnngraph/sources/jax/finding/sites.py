"""A scan that is measured, and everything that was found in a function.

In: equations, as `find` sees them. Out: `Site`s and a `Plan`, which every program goes by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnngraph.measure.recording import Array
from rnngraph.sources.jax.finding.form import Carries, Form, inexact
from rnngraph.sources.jax.finding.masks import Spots
from rnngraph.sources.jax.finding.step_cell import Gate, Weight
from rnngraph.sources.jax.walk import Path, body, counts


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A scan that is a recurrence over time. Places are among what is carried, or among the arguments of a step."""

    number: int
    equation: Any
    form: Form
    name: str
    carries: Carries
    kinds: tuple[str, ...]
    flipped: bool  # it reads its input turned round: its first step reads the last position
    placed: bool  # it is known which position of the input a step reads
    inputs: tuple[int, ...]  # places among what it reads step by step, where the network itself is fed that
    below: frozenset[int]  # scans that it reads, or begins from
    handed: frozenset[int]  # arguments of a step that come from these
    leaves: dict[int, int]  # argument of a step -> the weight that it is
    recurrent: tuple[Weight, ...]
    reading: tuple[Weight, ...]  # those that multiply the inputs
    spots: Spots  # where every state may be kept, forgotten, and read without its gradient
    gate: Gate | None

    @property
    def length(self) -> int:
        """The number of steps."""
        return int(self.equation.params["length"])

    @property
    def backward(self) -> bool:
        """Whether the scan itself begins with the last of its steps."""
        return bool(self.equation.params["reverse"])

    @property
    def reverse(self) -> bool:
        """Whether the last position of the input is processed first."""
        return self.backward != self.flipped

    @property
    def defined(self) -> list[int]:
        """Values of a step that are its states: what is carried, before it may be forgotten."""
        ends = [some[0].ends for some in self.spots["forgotten"]] or [None] * len(self.states)
        return [self.form.results[k] if one is None else one for k, one in zip(self.states, ends, strict=True)]

    def from_next(self, column: Array) -> Array:
        """Give every timestep, (T, ...), what stands at the one that is processed next; nothing at the last."""
        nothing = np.zeros_like(column[:1])
        return np.concatenate([nothing, column[:-1]] if self.reverse else [column[1:], nothing])

    @property
    def first(self) -> int:
        """The place of the first carried value among the arguments of a step."""
        return counts(self.equation)[0]

    @property
    def count(self) -> int:
        """How many values are carried."""
        return counts(self.equation)[1]

    @property
    def states(self) -> tuple[int, ...]:
        """Places of the states among what is carried."""
        return self.carries.states

    @property
    def arguments(self) -> list[Any]:
        """Shapes and types of the arguments of a step."""
        return [one.aval for one in body(self.equation)[0].invars]

    @property
    def emitted(self) -> list[int]:
        """Places among the results of what every step emits and can have a gradient."""
        return [k for k, one in enumerate(self.equation.outvars) if k >= self.count and inexact(one)]

    @property
    def entered(self) -> list[int]:
        """Places among the results at which a loss may enter."""
        return [*self.states, *self.carries.gathered, *self.emitted]

    @property
    def tapped(self) -> tuple[int, ...]:
        """Arguments of a step at which norms are taken: states, and then inputs."""
        return (*(self.first + k for k in self.states), *(self.first + self.count + k for k in self.inputs))

    @property
    def held(self) -> tuple[int, ...]:
        """Places among what is carried of what every step is given the same, or none reads."""
        return (*self.carries.gathered, *self.carries.fixed)

    def divide(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Divide operands, or arguments of a step, into constants, what is carried, and what is read step by step."""
        last = self.first + self.count
        return list(operands[: self.first]), list(operands[self.first : last]), list(operands[last:])


@dataclass(slots=True)
class Plan:
    """What was found in a jaxpr, by the paths of equations."""

    sites: dict[Path, Site] = field(default_factory=dict)
    entered: set[Path] = field(default_factory=set)  # equations with sites inside
    layers: set[Path] = field(default_factory=set)  # of these, scans whose steps are layers
    reasons: dict[str, None] = field(default_factory=dict)  # why a loop is not measured
    notes: dict[str, None] = field(default_factory=dict)
    unclear: dict[int, str] = field(default_factory=dict)  # site -> why its losses cannot be told apart

    @property
    def numbered(self) -> list[Site]:
        """The sites by number."""
        return list(self.sites.values())
