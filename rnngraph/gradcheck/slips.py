"""What people get wrong on one way back between two values, or in one activation, in all steps alike.

In: the roles of a replay. Out: sentences, with nodes that go back otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.again import with_value
from rnngraph.autodiff.along import ASSEMBLE, DOT, MAX
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import ADD, DIVIDE, INDEX, MATMUL, MULTIPLY, STACK, SUBTRACT, is_basic, sigmoid
from rnngraph.gradcheck.replayed import Change
from rnngraph.gradcheck.roles import Edge, Roles

CARRIED = "what is carried from step t+1 to t"
SLOPES: dict[str, Callable[[Array, Array, Array], Array]] = {  # of the argument, the value and the right slope
    "is left out on the way back": lambda x, y, s: np.ones_like(y), "has the wrong sign": lambda x, y, s: -s,
    "is taken to be y": lambda x, y, s: y, "is taken to be 1 - y": lambda x, y, s: 1 - y,
    "is taken to be y (1 - y)": lambda x, y, s: y * (1 - y), "is taken to be 1 - y²": lambda x, y, s: 1 - y * y,
    "is taken to be x (1 - x), x its argument": lambda x, y, s: x * (1 - x),
    "is taken to be 1 - x², x its argument": lambda x, y, s: 1 - x * x,
    "is taken at its value, 1 - tanh²(y), not at its argument": lambda x, y, s: 1 - np.tanh(y) ** 2,
    "is taken at its value, σ(y) (1 - σ(y)), not at its argument": lambda x, y, s: sigmoid(y) * sigmoid(-y),
}  # fmt: skip


def handing(node: Any, place: int, other: Callable[[Array, Any], Any]) -> Node:
    """Give a node that hands back something else to one of its inputs: what `other` makes of its gradient and rule."""
    rule = node.op.vjp

    def vjp(g: Array, node: Node) -> Any:
        return [other(g, lambda g: rule(g, node)[place]) if k == place else one for k, one in enumerate(rule(g, node))]

    changed = with_value(node, node.value, node.arguments)
    changed.op = replace(node.op, vjp=vjp)
    return changed


def of_ways(roles: Roles, carried: set[Any]) -> Iterator[tuple[str, Change]]:
    """Give what goes wrong on the ways back from the readers of a value."""
    ways = defaultdict[Any, list[tuple[Edge, int]]](list)
    for source, edges in roles.readers.items():
        for edge in edges:
            if isinstance(edge[0], Node) and edge[0].op not in (STACK, ASSEMBLE) and roles.entry(source).requires:
                ways[roles.way(edge)].append((edge, source))
    # What is subtracted for the sake of rounding, x - max(x), takes part in no sum that people form.
    maxima = [n for n in roles.nodes if n.op is MAX and any(by.op is SUBTRACT for by, _ in roles.readers[n.id])]
    held = {node.id: handing(node, 0, lambda g, rule: None) for node in maxima}
    for way, some in ways.items():
        forks = any(len({roles.way(one) for one in roles.readers[source]}) > 1 for _, source in some)
        edge, source = some[-1]
        said = _said(roles, edge, source, CARRIED if way in carried else "")
        for words, vary in {**(_OF_FORKS if forks else {}), **_OF_ALL}.items():
            made = {edge[0].id: one for edge, source in some if (one := vary(roles, edge, source)) is not None}
            if made:
                yield words.format(**said), {**held, **made}


def _said(roles: Roles, edge: Edge, source: int, carried: str) -> dict[str, str]:
    """Give the words of a way: what comes back on it, to what, and what is formed with it."""
    name, chain = roles.said(source), roles.leads_to(edge[0])
    back = f"{carried or f'what comes back to {name}'} through {roles.met(edge)}"
    others = [i for k, i in enumerate(edge[0].inputs) if k != edge[1] and not roles.is_leaf(i)]
    return {
        "back": back, "name": name, "it": "it" if roles.is_leaf(source) else back,
        "slope": f"the slope of {roles.made(chain[-1])}" if chain else "",
        "formed": f"what comes back to {roles.said(others[0])}" if others else "it",
    }  # fmt: skip


def _forgotten(roles: Roles, edge: Edge, source: int) -> Node:
    return handing(*edge, lambda g, rule: None)


def _negated(roles: Roles, edge: Edge, source: int) -> Node:
    return handing(*edge, lambda g, rule: rule(-g))


def _without_factor(roles: Roles, edge: Edge, source: int) -> Node | None:
    factored = edge[0].op is MULTIPLY or (edge[0].op is DIVIDE and edge[1] == 0)
    return handing(*edge, lambda g, rule: g) if factored else None


def _before_slope(roles: Roles, edge: Edge, source: int) -> Node | None:
    chain = roles.leads_to(edge[0]) if edge[0].op in (ADD, MATMUL, DOT) else []
    if not chain or chain[-1].value.shape != edge[0].value.shape:
        return None
    slope = roles.slope(chain)
    return handing(*edge, lambda g, rule: rule(g / slope))


def _turned(roles: Roles, edge: Edge, source: int) -> Node | None:
    value = edge[0].arguments[edge[1]]
    square = edge[0].op in (MATMUL, DOT) and value.ndim == 2 and value.shape == value.shape[::-1]
    return _seeing(edge, value.T) if square and source not in roles.states else None


def _later(roles: Roles, edge: Edge, source: int) -> Node | None:
    after = roles.entry(roles.after[source]) if source in roles.after else None
    return _seeing(edge, after.value) if after is not None and edge[0].timestep == after.timestep else None


def _earlier(roles: Roles, edge: Edge, source: int) -> Node | None:
    if source not in roles.before or edge[0].timestep != roles.entry(source).timestep:
        return None
    return _seeing(edge, roles.value_of(roles.before[source], roles.entry(source).value))


def _once(roles: Roles, edge: Edge, source: int) -> Node | None:
    if edge[0].op is not INDEX or is_basic(edge[0].options["index"]):
        return None

    def last(g: Array, rule: Any) -> Array:
        total = np.zeros_like(edge[0].arguments[0])
        total[edge[0].options["index"]] = g
        return total

    return handing(*edge, last)


def _seeing(edge: Edge, value: Array) -> Node | None:
    """Give a product that sees another value of one of its inputs on the way back."""
    node: Any = edge[0]
    if node.op not in (MATMUL, DOT, MULTIPLY):
        return None
    return with_value(node, node.value, [value if k == edge[1] else one for k, one in enumerate(node.arguments)])


_OF_FORKS: dict[str, Any] = {"{back} is not added": _forgotten, "{back} has the wrong sign": _negated}
_OF_ALL: dict[str, Any] = {
    "{back} lacks its factor": _without_factor,
    "{it} is taken before {slope}": _before_slope,
    "{name} is not transposed on the way back, or twice": _turned,
    "{formed} is formed with the state after the step, not with the one before it": _later,
    "{formed} is formed with the state before the step, not with the one after it": _earlier,
    "of an index that names an element twice, one counts: it takes np.add.at": _once,
}


def of_slopes(roles: Roles) -> Iterator[tuple[str, Change]]:
    """Give the activations whose slope is another: those of one place, and all of one kind."""
    alike = defaultdict[str, defaultdict[Any, list[list[Node]]]](lambda: defaultdict(list))
    for i, chain in roles.activations.items():
        alike[roles.kind(chain[-1])][roles.roles[i]].append(chain)
    for name, places in alike.items():
        groups = {name: [chain for chains in places.values() for chain in chains]}
        groups |= {roles.made(chains[-1][-1]): chains for chains in places.values() if len(places) > 1}
        for said, chains in groups.items():
            for words, slope in SLOPES.items():
                yield f"the slope of {said} {words}", _with_slopes(roles, chains, slope)
            tops = [top for top, *more in chains if top.id in roles.before and not more]
            if tops:
                before = [roles.value_of(roles.before[top.id], top.value) for top in tops]
                other = {top.id: with_value(top, one, top.arguments) for top, one in zip(tops, before, strict=True)}
                yield f"the slope of {said} is that of the state before the step", other


def _with_slopes(roles: Roles, chains: list[list[Node]], slope: Any) -> Change:
    """Let the last node of each activation have the slope of all, and the others pass on what they get."""
    found = dict[int, Node]()
    for chain in chains:
        below = roles.source(chain[0])
        times = slope(chain[0].arguments[below], chain[-1].value, roles.slope(chain))
        for node in chain:
            factor = times if node is chain[-1] else np.ones_like(times)
            found[node.id] = handing(node, roles.source(node), lambda g, _, factor=factor: g * factor)  # type: ignore[misc]
    return found


def overwritten(roles: Roles) -> Change:
    """Let every step see the last state."""
    seen = {i: roles.entry(last).value for i, last in roles.last.items()}
    found = dict[int, Node]()
    for node in roles.nodes:
        if isinstance(node, Node) and not seen.keys().isdisjoint((node.id, *node.inputs)):
            arguments = [seen.get(i, one) for i, one in zip(node.inputs, node.arguments, strict=True)]
            found[node.id] = with_value(node, seen.get(node.id, node.value), arguments)
    return found
