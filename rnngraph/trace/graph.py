"""The recorded computation graph of a trace, as columns: one row a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from rnngraph.trace.declared import declared
from rnngraph.trace.magnitudes import Integers, Magnitudes


class Later:
    """Columns that are made when one of them is first looked at: who reads numbers alone does not wait for them."""

    __slots__ = ("_make",)
    _make: Callable[[], dict[str, Any]]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Make all columns, and give one."""
            if name not in type(self).__slots__:
                raise AttributeError(f"{type(self).__name__} has no {name!r}")
            for key, column in self._make().items():
                object.__setattr__(self, key, column)
            return object.__getattribute__(self, name)


@dataclass(frozen=True, slots=True)
class GraphTrace(Later):
    """The recorded computation graph, one row a node in tape order.

    Small tables (`ops`, `labels`, `roles`, `formulas`, `scopes`, `shapes`) are indexed by the integer columns. A role
    says what a picture does with an op: "compute", "input", "parameter", "constant", "move" (it only moves or totals
    data), "loss" or "cut". A scope's text is its path without the timestep, such as `rnn.0/forward`; `timestep` is -1
    outside the unrolled steps.
    """

    ops: Annotated[tuple[str, ...], declared("ops")]
    labels: Annotated[tuple[str, ...], declared("ops")]
    roles: Annotated[tuple[str, ...], declared("ops")]
    formulas: Annotated[tuple[str, ...], declared("ops")]  # empty where an op has none
    scopes: Annotated[tuple[str, ...], declared("scopes")]
    shapes: Annotated[tuple[str, ...], declared("shapes")]
    names: dict[str, str]  # node id (as text) -> name, where a node has one
    op: Annotated[Integers, declared("nodes", least=0, most="ops")]
    scope: Annotated[Integers, declared("nodes", least=0, most="scopes")]
    shape: Annotated[Integers, declared("nodes", least=0, most="shapes")]
    timestep: Annotated[Integers, declared("nodes", least=-1)]
    inputs: Annotated[Integers, declared("edges", least=0, most="nodes")]  # ids of inputs, node after node
    offsets: Annotated[Integers, declared("nodes+1", least=0)]  # a node's are inputs[offsets[n]:offsets[n + 1]]
    grad: Annotated[Magnitudes, declared("nodes")]
    first_nonfinite_forward: Annotated[int, declared(least=-1, most="nodes")]  # -1 where everything is finite
    first_nonfinite_backward: Annotated[int, declared(least=-1, most="nodes")]

    @classmethod
    def later(cls, make: Callable[[], dict[str, Any]]) -> GraphTrace:
        """Give a graph whose columns `make` gives by name, once."""
        graph = cls.__new__(cls)
        object.__setattr__(graph, "_make", make)
        return graph

    def first_nonfinite(self) -> dict[str, int]:
        """Give the node that NaN or infinity first comes out of, for each pass that has one: `forward`, `backward`."""
        found = {"forward": self.first_nonfinite_forward, "backward": self.first_nonfinite_backward}
        return {way: int(node) for way, node in found.items() if 0 <= node < len(self.op)}

    def describe(self, node: int) -> str:
        """Say in words which node this is: its op, its name, and where it is."""
        scope, t = self.scopes[int(self.scope[node])], int(self.timestep[node])
        what = f"{self.ops[int(self.op[node])]} {self.names.get(str(node), '')}".rstrip()
        where = [f"node {node}", *([scope] if scope else []), *([f"t={t}"] if t >= 0 else [])]
        return f"{what} ({', '.join(where)})"
