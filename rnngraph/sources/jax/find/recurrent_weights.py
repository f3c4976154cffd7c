"""Which weights multiply the state of the step before.

In: a scan's equation, and what is known of its constants. Out: `Weight`s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rnngraph.sources.jax.find.flow import Flow, Spans, through
from rnngraph.sources.jax.walk import Path, body, called, walk


@dataclass(frozen=True, slots=True)
class Weight:
    """Where a recurrent weight stands in a leaf; the numbers along `axis` are those that the state is multiplied by."""

    leaf: int
    axis: int
    spans: Spans


def recurrent_weights(equation: Any, constants: Sequence[Flow], states: Sequence[int]) -> tuple[Weight, ...]:
    """Find the weights that multiply the state of the step before, of what a scan is given as constants."""
    inside, params = body(equation), equation.params
    first = params["num_consts"]
    found: dict[Weight, None] = {}

    def visit(one: Any, flows: list[Flow], path: Path) -> Sequence[Flow]:
        nested = called(one)
        if nested is not None:
            return walk((nested[0], [Flow()] * len(nested[1])), flows, visit, literal=lambda _: Flow(), path=path)
        if one.primitive.name == "dot_general":
            found.update(dict.fromkeys(_of_product(one, flows)))
        return through(one, flows)

    arguments = []
    for place, variable in enumerate(inside[0].invars):
        if place - first in states:
            arguments.append(Flow(near=tuple((0, size) for size in variable.aval.shape)))
        else:
            arguments.append(constants[place] if place < len(constants) else Flow())
    walk((inside[0], [Flow()] * len(inside[1])), arguments, visit, literal=lambda _: Flow())
    return tuple(found)


def _of_product(equation: Any, flows: Sequence[Flow]) -> Iterator[Weight]:
    sides, _ = equation.params["dimension_numbers"]
    for state in (0, 1):
        near, weight = flows[state].near, flows[1 - state]
        if not near or not weight.leaves or len(sides[state]) != 1:
            continue
        axis = sides[1 - state][0]
        if axis == weight.joined:
            continue
        low, high = near[sides[state][0]]
        for leaf, transposed, spans in sorted(weight.leaves):
            own = 1 - axis if transposed else axis
            start = spans[own][0]
            yield Weight(leaf, own, (*spans[:own], (start + low, start + high), *spans[own + 1 :]))
