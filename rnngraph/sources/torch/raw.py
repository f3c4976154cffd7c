"""A loop over raw parameters, which no module's call shows: a weight that is used again on what it has made.

In: the graph of a pass and the names of parameters. Out: a recurrence, or None where no weight is used in such a chain,
or its uses are not alike. `watch.mark` is the sure way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnngraph.sources.torch.calls import Call
from rnngraph.sources.torch.chains import crossing
from rnngraph.sources.torch.edges import Edge, walk_down
from rnngraph.sources.torch.entrance import PRODUCTS, leaf_of
from rnngraph.sources.torch.recurrence import RAW, Recurrence
from rnngraph.sources.torch.within import LEAST, made_in


def raw_loop(roots: Sequence[Edge], names: Mapping[int, str]) -> Recurrence | None:
    """Find the longest chain of uses of one weight; of several as long the one that is used first."""
    nodes = [node for node, _ in roots]
    for uses in sorted(_uses(nodes, names).values(), key=lambda some: (-len(some), _number(some[0]))):
        name = names[id(_leaf(uses[0]))]
        calls = [Call(name, None, _number(node), _number(node) + 1, out=[(node, 0)]) for node in uses]
        if len(calls) < LEAST or not all(map(_descends, uses[1:], uses)):
            continue
        chain = crossing(calls, nodes)
        found = Recurrence(name, RAW, [], chain.states)
        if all(found.states) and _alike(found):
            return found
    return None


def _number(node: Any) -> int:
    return int(node._sequence_nr())


def _leaf(node: Any) -> Any:
    slot = PRODUCTS.get(node.name(), (None, ""))[0]
    leaf = None if slot is None or slot + 1 >= len(node.next_functions) else leaf_of(node.next_functions[slot + 1])
    return None if leaf is None else leaf[0]


def _uses(roots: list[Any], names: Mapping[int, str]) -> dict[int, list[Any]]:
    """List the products with every weight, in order."""
    found: dict[int, list[Any]] = {}
    for node in sorted({*roots, *(node for _, node, _ in walk_down(roots, 0))}, key=_number):
        key = id(_leaf(node))
        if key in names:
            found.setdefault(key, []).append(node)
    return found


def _descends(later: Any, earlier: Any) -> bool:
    return any(node is earlier for _, node, _ in walk_down([later], _number(earlier)))


def _alike(one: Recurrence) -> bool:
    """Whether the same operations make every step behind the first."""
    steps = [sorted(node.name() for node in made_in(one, t)) for t in range(1, one.steps)]
    return all(some == steps[0] for some in steps)
