"""What people get wrong on the way back, as one table: what is handed back on some edges in place of what is right.

In: the roles of what was recorded. Out: guesses, each a sentence and its edits; a guess holds where it makes what was
claimed. A row of `WAYS` is tried on each way between two values, one of `SLOPES` on each activation, in all steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from rnngraph.autodiff.again import with_value
from rnngraph.autodiff.along import ASSEMBLE, DOT, MAX
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import PARAMETER, Node
from rnngraph.autodiff.ops import ADD, DIVIDE, INDEX, MATMUL, MULTIPLY, STACK, SUBTRACT, is_basic, sigmoid
from rnngraph.gradcheck.roles import START, WORDS, Carry, Roles, Use
from rnngraph.gradcheck.walk import Edge, Edit, dense

MOST = 32  # timesteps of which each is left out in turn
CARRIED = "what is carried from step t+1 to t"


class Guess(NamedTuple):
    """What is wrong, if it is this, and what is then handed back; from other upstream gradients where these are given."""

    words: str
    edits: Mapping[Edge, Edit]
    upstream: Sequence[Array] | None = None


def cut(g: Array, right: Array) -> Array:
    """Hand nothing back."""
    return 0 * right


def negated(g: Array, right: Array) -> Array:
    """Hand it back with the wrong sign."""
    return -right


def twice(g: Array, right: Array) -> Array:
    """Hand it back twice."""
    return 2 * right


def added_up() -> Edit:
    """Hand back what was handed back at the later steps, too."""
    sums: list[Any] = [0.0]

    def edit(g: Array, right: Array) -> Array:
        sums[0] = sums[0] + right
        return np.asarray(sums[0])

    return edit


def by_rule(node: Node, place: int, of: Callable[[Array], Array] = np.asarray) -> Edit:
    """Hand back what the rule of a node, perhaps of other numbers, makes of something."""
    rule: Any = node.op.vjp

    def edit(g: Array, right: Array) -> Array:
        return dense([rule(of(g)[None], node)[place]], (1, *right.shape))[0]

    return edit


def guesses(roles: Roles, upstream: Sequence[Array]) -> Iterator[Guess]:
    """Give what shows in several gradients."""
    for k, one in enumerate(upstream if len(upstream) > 1 else ()):
        unused = [*upstream[:k], np.zeros_like(one), *upstream[k + 1 :]]
        yield Guess(f"the gradient that comes in at output {k} of the forward is not used", {}, unused)
    yield from _between_steps(roles.carried)
    ways = _ways(roles)
    yield from _of_ways(roles, ways)
    yield from _of_slopes(roles)
    yield Guess("every step sees the last state: the array is overwritten in place", _overwritten(roles))
    steps = [node.timestep for node in roles.nodes if node.timestep >= 0]
    for step in sorted({min(steps), max(steps)}) if steps else ():
        inside = [use.edge for node in roles.nodes if node.timestep == step for use in roles.uses(node)]
        yield Guess(f"step {step} is missing from it", dict.fromkeys(inside, cut))
    yield from _of_values(roles, ways)


def _between_steps(edges: Sequence[Carry]) -> Iterator[Guess]:
    """Give what goes wrong between steps: between all, of one state, along one direction, at a step, at windows."""
    kinds, runs = sorted({one.kind for one in edges}), sorted({one.along for one in edges})
    parts = {"": edges}
    for kind in kinds if len(kinds) > 1 else ():
        parts[f" by {WORDS.get(kind, kind)}"] = [one for one in edges if one.kind == kind]
    for name in runs if len(runs) > 1 else ():
        parts[f" along {name}"] = [one for one in edges if one.along == name]
    steps = sorted({one.step for one in edges} - {START})
    for words, part in parts.items():
        inner = [one.edge for one in part if one.step != START]
        yield Guess(f"{CARRIED}{words} is not added", dict.fromkeys(inner, cut))
        for some in (inner, [one.edge for one in part]):  # the first state's gradient is formed with the others or not
            yield Guess(f"{CARRIED}{words} has the wrong sign", dict.fromkeys(some, negated))
            yield Guess(f"{CARRIED}{words} is added twice", dict.fromkeys(some, twice))
            yield Guess(f"{CARRIED}{words} is added (+=) to what was, not set (=)", dict.fromkeys(some, added_up()))
    for step in steps[:MOST]:
        for words, part in parts.items():
            only = [one.edge for one in part if one.step == step]
            yield Guess(f"nothing passes from step {step + 1} to {step}{words}", dict.fromkeys(only, cut))
    for every in range(2, min(len(steps), MOST)):
        over = [one.edge for one in edges if one.step != START and (one.step + 1) % every == 0]
        yield Guess(f"nothing passes over the ends of windows of {every} steps", dict.fromkeys(over, cut))


def _ways(roles: Roles) -> dict[Any, list[Use]]:
    """Give the uses of values that have a gradient, alike in all steps."""
    ways = defaultdict[Any, list[Use]](list)
    for source, uses in roles.readers.items():
        for use in uses:
            if use.node.op not in (STACK, ASSEMBLE) and roles.entry(source).requires:
                ways[roles.way(use)].append(use)
    return ways


def _of_ways(roles: Roles, ways: Mapping[Any, Sequence[Use]]) -> Iterator[Guess]:
    # What is subtracted for the sake of rounding, x - max(x), takes part in no sum that people form.
    maxima = [n for n in roles.nodes if n.op is MAX and any(use.node.op is SUBTRACT for use in roles.readers[n.id])]
    held, edges = {(node.id, 0): cut for node in maxima}, {one.edge for one in roles.carried}
    carried = {way for way, some in ways.items() if any(use.edge in edges for use in some)}
    for way, some in ways.items():
        forks = any(len({roles.way(one) for one in roles.readers[use.source]}) > 1 for use in some)
        said = _said(roles, some[-1], CARRIED if way in carried else "")
        for words, vary in {**(_OF_FORKS if forks else {}), **_OF_ALL}.items():
            made: dict[Edge, Edit] = {}
            for use in some:
                made |= vary(roles, use) or {}
            if made:
                yield Guess(words.format(**said), {**held, **made})


def readouts(roles: Roles) -> Iterator[tuple[str, Mapping[int, Sequence[Edge]]]]:
    """Give the ways that lead to no later state, where a value has others: what is not added there, edges by step."""
    for some in _ways(roles).values():
        forks = any(len({roles.way(one) for one in roles.readers[use.source]}) > 1 for use in some)
        if forks and not any(use.node.id in roles.ahead for use in some):
            steps = {step: [use.edge for use in some if use.node.timestep == step] for step in _steps(some)}
            yield f"{_said(roles, some[-1], '')['back']} is not added", steps


def _steps(some: Iterable[Use]) -> set[int]:
    return {use.node.timestep for use in some} - {-1}


def _said(roles: Roles, use: Use, carried: str) -> dict[str, str]:
    """Give the words of a way: what comes back on it, to what, and what is formed with it."""
    name, chain = roles.said(use.source), roles.leads_to(use.node)
    back = f"{carried or f'what comes back to {name}'} through {roles.met(use)}"
    others = [i for k, i in enumerate(use.node.inputs) if k != use.place and not roles.is_leaf(i)]
    return {
        "back": back, "name": name, "it": "it" if roles.is_leaf(use.source) else back,
        "slope": f"the slope of {roles.made(chain[-1])}" if chain else "",
        "formed": f"what comes back to {roles.said(others[0])}" if others else "it",
    }  # fmt: skip


def _without_factor(roles: Roles, use: Use) -> Any:
    factored = use.node.op is MULTIPLY or (use.node.op is DIVIDE and use.place == 0)
    return {use.edge: lambda g, right: g} if factored else None


def _before_slope(roles: Roles, use: Use) -> Any:
    chain = roles.leads_to(use.node) if use.node.op in (ADD, MATMUL, DOT) else []
    if not chain or chain[-1].value.shape != use.node.value.shape:
        return None
    slope = roles.slope(chain)
    return {use.edge: by_rule(use.node, use.place, lambda g: g / slope)}


def _turned(roles: Roles, use: Use) -> Any:
    value = use.node.arguments[use.place]
    square = use.node.op in (MATMUL, DOT) and value.ndim == 2 and value.shape == value.shape[::-1]
    return _seeing(use, value.T) if square and use.source not in roles.states else None


def _later(roles: Roles, use: Use) -> Any:
    after = roles.entry(roles.after[use.source]) if use.source in roles.after else None
    return _seeing(use, after.value) if after is not None and use.node.timestep == after.timestep else None


def _earlier(roles: Roles, use: Use) -> Any:
    if use.source not in roles.before or use.node.timestep != roles.entry(use.source).timestep:
        return None
    return _seeing(use, roles.value_of(roles.before[use.source], roles.entry(use.source).value))


def _once(roles: Roles, use: Use) -> Any:
    if use.node.op is not INDEX or is_basic(use.node.options["index"]):
        return None

    def last(g: Array, right: Array) -> Array:
        total = np.zeros_like(right)
        total[use.node.options["index"]] = g
        return total

    return {use.edge: last}


def _seeing(use: Use, value: Array) -> Any:
    """Let a product see another value of one of its inputs on the way back to the others."""
    if use.node.op not in (MATMUL, DOT, MULTIPLY):
        return None
    seen = [value if k == use.place else one for k, one in enumerate(use.node.arguments)]
    node = with_value(use.node, use.node.value, seen)
    return {(node.id, k): by_rule(node, k) for k in range(len(node.inputs)) if k != use.place}


_OF_FORKS: dict[str, Any] = {
    "{back} is not added": lambda roles, use: {use.edge: cut},
    "{back} has the wrong sign": lambda roles, use: {use.edge: negated},
}
_OF_ALL: dict[str, Any] = {
    "{back} lacks its factor": _without_factor,
    "{it} is taken before {slope}": _before_slope,
    "{name} is not transposed on the way back, or twice": _turned,
    "{formed} is formed with the state after the step, not with the one before it": _later,
    "{formed} is formed with the state before the step, not with the one after it": _earlier,
    "of an index that names an element twice, one counts: it takes np.add.at": _once,
}
SLOPES: dict[str, Callable[[Array, Array, Array], Array]] = {  # of the argument, the value and the right slope
    "is left out on the way back": lambda x, y, s: np.ones_like(y), "has the wrong sign": lambda x, y, s: -s,
    "is taken to be y": lambda x, y, s: y, "is taken to be 1 - y": lambda x, y, s: 1 - y,
    "is taken to be y (1 - y)": lambda x, y, s: y * (1 - y), "is taken to be 1 - y²": lambda x, y, s: 1 - y * y,
    "is taken to be x (1 - x), x its argument": lambda x, y, s: x * (1 - x),
    "is taken to be 1 - x², x its argument": lambda x, y, s: 1 - x * x,
    "is taken at its value, 1 - tanh²(y), not at its argument": lambda x, y, s: 1 - np.tanh(y) ** 2,
    "is taken at its value, σ(y) (1 - σ(y)), not at its argument": lambda x, y, s: sigmoid(y) * sigmoid(-y),
}  # fmt: skip


def _of_slopes(roles: Roles) -> Iterator[Guess]:
    """Give the activations whose slope is another: those of one place, and all of one kind."""
    alike = defaultdict[str, defaultdict[Any, list[list[Node]]]](lambda: defaultdict(list))
    for i, chain in roles.activations.items():
        alike[roles.kind(chain[-1])][roles.roles[i]].append(chain)
    for name, places in alike.items():
        groups = {name: [chain for chains in places.values() for chain in chains]}
        groups |= {roles.made(chains[-1][-1]): chains for chains in places.values() if len(places) > 1}
        for said, chains in groups.items():
            for words, slope in SLOPES.items():
                yield Guess(f"the slope of {said} {words}", _with_slopes(roles, chains, slope))
            tops = [top for top, *more in chains if top.id in roles.before and not more]
            before = [with_value(n, roles.value_of(roles.before[n.id], n.value), n.arguments) for n in tops]
            if tops:
                same = {(node.id, 0): by_rule(node, 0) for node in before}
                yield Guess(f"the slope of {said} is that of the state before the step", same)


def _with_slopes(roles: Roles, chains: Iterable[list[Node]], slope: Any) -> dict[Edge, Edit]:
    """Let the last node of each activation have the slope of all, and the others pass on what they get."""
    found: dict[Edge, Edit] = {}
    for chain in chains:
        below = roles.source(chain[0])
        times = slope(chain[0].arguments[below], chain[-1].value, roles.slope(chain))
        found |= {(node.id, roles.source(node)): lambda g, right: g for node in chain[:-1]}
        found[chain[-1].id, roles.source(chain[-1])] = lambda g, right, times=times: g * times  # type: ignore[misc]
    return found


def _overwritten(roles: Roles) -> dict[Edge, Edit]:
    """Let every step see the last state."""
    seen = {i: roles.entry(last).value for i, last in roles.last.items()}
    found: dict[Edge, Edit] = {}
    for node in roles.nodes:
        if not seen.keys().isdisjoint((node.id, *node.inputs)):
            arguments = [seen.get(i, one) for i, one in zip(node.inputs, node.arguments, strict=True)]
            other = with_value(node, seen.get(node.id, node.value), arguments)
            wanted = [k for k, i in enumerate(node.inputs) if roles.entry(i).requires]
            found |= {(node.id, k): by_rule(other, k) for k in wanted}
    return found


def _of_values(roles: Roles, ways: Mapping[Any, Sequence[Use]]) -> Iterator[Guess]:
    """Give the products that see another value of the same step and shape, or another weight, on the way back."""
    at = {(roles.roles[node.id], node.timestep): node for node in roles.nodes}
    named = [node for node in roles.nodes if node.id in roles.activations or node.op in (MULTIPLY, SUBTRACT)]
    named += [node for node in roles.nodes if roles.is_leaf(node.id) and node.value.ndim]
    named += [node for node in roles.nodes if node.id in roles.states]
    others = {roles.roles[node.id]: node for node in named}
    products = [some for some in ways.values() if some[-1].node.op in (MATMUL, DOT, MULTIPLY)]
    for some in products:
        use = some[-1]
        own, said = roles.roles.get(use.source), _said(roles, use, "")
        for role, other in others.items():
            if role == own or other.value.shape != use.node.arguments[use.place].shape:
                continue
            made: dict[Edge, Edit] = {}
            for one in some:
                node = at.get((role, one.node.timestep), other if other.op is PARAMETER else None)
                made |= {} if node is None or node.id == one.source else _seeing(one, node.value)
            if made:
                yield Guess(f"{said['formed']} is formed with {roles.said(other.id)}, not with {said['name']}", made)
    leaves = [node for node in roles.nodes if node.op is PARAMETER and node.value.ndim == 2]
    for one, other in combinations(leaves, 2):
        if one.value.shape == other.value.shape:
            made = {}
            for some in products:
                for use in some:
                    if use.source in (one.id, other.id):
                        made |= _seeing(use, (other if use.source == one.id else one).value)
            yield Guess(f"{roles.said(one.id)} and {roles.said(other.id)} are swapped on the way back", made)
