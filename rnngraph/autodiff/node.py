"""What a tape is made of: operations, and the nodes that record them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.checks import whole_number

Scope: TypeAlias = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operation, declared once: its rules, and all that a picture or a measurement must know of it.

    `forward(*arrays, **options)` returns the value. `vjp(g, node)` returns one contribution an input, None
    where there is none, and must hold with extra leading axes on `g`. An op without a vjp is a leaf.
    `stepwise` says that an element at [n, t] of a (batch, time, ...) value comes from that place of the inputs alone:
    of "all" of them, or of the "first", the others being weights. `role` is what a picture does with it; see
    `GraphTrace`.
    """

    name: str
    label: str
    forward: Callable[..., Array]
    vjp: Callable[[Array, Node], tuple[Contribution | None, ...]] | None = None
    formula: str = ""
    role: str = "compute"
    stepwise: str = ""


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """One recorded operation. `arguments` are its inputs' values; `requires` says that a gradient is wanted."""

    id: int
    op: Op
    inputs: tuple[int, ...]
    value: Array
    arguments: tuple[Array, ...]
    place: Scope  # the scope without the timestep
    timestep: int  # -1 outside any
    requires: bool
    options: dict[str, Any]
    name: str | None = None

    @property
    def first(self) -> int:
        """The first id that the entry takes; a node takes one, a block many."""
        return self.id

    @property
    def scope(self) -> Scope:
        """The whole scope, with the timestep last."""
        return self.place if self.timestep < 0 else (*self.place, ("t", self.timestep))

    def describe(self) -> str:
        """Name the node for a message: op, id, scope."""
        place = ", ".join(f"{kind} {key}" for kind, key in self.scope)
        return f"{self.op.name} (node {self.id}{', ' + place if place else ''})"


def _leaf(name: str, formula: str) -> Op:
    return Op(name, name, lambda: np.empty(0), formula=formula, role=name)


INPUT, PARAMETER = _leaf("input", "given"), _leaf("parameter", "given, learned")
CONSTANT = _leaf("constant", "given")


def split_scope(scope: Scope) -> tuple[Scope, int]:
    """Take the timestep out of a scope: the place, and the innermost `t` or -1."""
    timestep = -1
    for kind, key in scope:
        if kind == "t":
            timestep = whole_number(key, "the scope's timestep", least=0)
    return (scope if timestep < 0 else tuple([part for part in scope if part[0] != "t"])), timestep
