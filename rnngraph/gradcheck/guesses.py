"""What people get wrong on the way back, as one table: what is handed back on some edges in place of what is right.

In: the roles of what was recorded. Out: guesses, each a sentence and its edits; a guess holds where it makes what was
claimed. A row of `WAYS` is tried on each way between two values, one of `SLOPES` on each activation, in all steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.again import with_value
from rnngraph.autodiff.along import DOT, MAX
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import PARAMETER, Node
from rnngraph.autodiff.ops import ADD, DIVIDE, INDEX, MATMUL, MULTIPLY, SUBTRACT, is_basic, sigmoid
from rnngraph.gradcheck.replayed import Edge, Edit, Edits
from rnngraph.gradcheck.roles import CARRIED, START, WORDS, Carry, Roles, Use
from rnngraph.numpy.finding.products import reached

STATE_BEFORE, INPUT_BEFORE = " before the step", " of the step before"
OTHER_STATE = "the state after the step, not with the one before it"
Guess: TypeAlias = tuple[str, Edits]  # what is wrong, if it is this, and what is then handed back
MOST = 32  # timesteps over which nothing passes, each in turn
FEW = 8  # timesteps of which each is left out in turn, and the last
CUT: Edit = lambda g, right: None  # noqa: E731 - as the tables below have them
NEGATED: Edit = lambda g, right: -right  # noqa: E731


def guesses(roles: Roles) -> Iterator[Guess]:
    """Give all guesses, the likely ones first."""
    # What is subtracted for the sake of rounding, x - max(x), takes part in no sum that people form.
    maxima = [n for n in roles.nodes if n.op is MAX and any(use.node.op is SUBTRACT for use in roles.readers[n.id])]
    held = {(node.id, 0): CUT for node in maxima}
    overwritten = "every step sees the last state: the array is overwritten in place", _overwritten(roles)
    tables = _between_steps, _on_ways, _in_activations, lambda roles: [overwritten], _at_steps, _of_other_values
    for words, edits in chain.from_iterable(table(roles) for table in tables):
        if edits:
            yield words, {**held, **edits}


def _between_steps(roles: Roles) -> Iterator[Guess]:
    """Give what goes wrong between steps: between all, of one state, along one direction, at a step, at windows."""
    edges, named = roles.carried, defaultdict[str, list[Carry]](list)
    for one in edges:
        for words in ("", f" by {WORDS.get(one.kind, one.kind)}", f" along {one.along}"):
            named[words].append(one)
    parts = {words: part for words, part in named.items() if not words or len(part) < len(edges)}
    steps = sorted({one.step for one in edges} - {START})
    for words, part in parts.items():
        inner = [one.use for one in part if one.step != START]
        yield f"{CARRIED}{words} is not added", _all(inner, CUT)
        for some in (inner, [one.use for one in part]):  # the first state's gradient is formed with the others or not
            sums = defaultdict[str, Edit](_added_up)
            yield f"{CARRIED}{words} has the wrong sign", _all(some, NEGATED)
            yield f"{CARRIED}{words} is added twice", _all(some, lambda g, right: 2 * right)
            yield f"{CARRIED}{words} is added (+=) to what was, not set (=)", {u.edge: sums[roles.met(u)] for u in some}
    for step in steps[:MOST]:
        for words, part in parts.items():
            only = _all([one.use for one in part if one.step == step], CUT)
            yield f"nothing passes from step {step + 1} to {step}{words}", only
    for length in range(2, min(len(steps), MOST)):
        over = _all([one.use for one in edges if one.step != START and (one.step + 1) % length == 0], CUT)
        yield f"nothing passes over the ends of windows of {length} steps", over


def _all(uses: Iterable[Use], edit: Edit) -> dict[Edge, Edit]:
    return {use.edge: edit for use in uses}


def _added_up() -> Edit:
    sums = list[Array]()

    def edit(g: Array, right: Array) -> Any:
        sums.append(right)
        return sum(sums)

    return edit


def _on_ways(roles: Roles) -> Iterator[Guess]:
    """Give what goes wrong between two values, in all steps alike."""
    for way in roles.ways:
        for taken, edit in (("is not added", CUT), ("has the wrong sign", NEGATED)) if way.forks else ():
            yield f"{way.said['back']} {taken}", _all(way.uses, edit)
        for words, vary in WAYS.items():
            yield words.format(**way.said), _joined(vary(roles, use) for use in way.uses)


def _joined(some: Iterable[Mapping[Edge, Edit]]) -> dict[Edge, Edit]:
    return dict(chain.from_iterable(one.items() for one in some))


def _by_rule(node: Node, place: int, of: Callable[[Array], Array] = np.asarray) -> Edit:
    """Hand back what the rule of a node, perhaps of other numbers, makes of something."""
    rule: Any = node.op.vjp
    return lambda g, right: rule(of(g), node)[place]


def _with(node: Node, seen: Mapping[int, Array], value: Array | None = None) -> dict[Edge, Edit]:
    """Let a rule see other arguments at some places, or another value; only what they make for others changes."""
    arguments = [seen.get(k, one) for k, one in enumerate(node.arguments)]
    other = with_value(node, node.value if value is None else value, arguments)
    return {(node.id, k): _by_rule(other, k) for k in range(len(node.inputs)) if value is not None or k not in seen}


def _seeing(use: Use, value: Array) -> dict[Edge, Edit]:
    """Let a product see another value of one of its inputs on the way back to the others."""
    return _with(use.node, {use.place: value})


def _without_factor(roles: Roles, use: Use) -> dict[Edge, Edit]:
    factored = use.node.op is MULTIPLY or (use.node.op is DIVIDE and use.place == 0)
    return {use.edge: lambda g, right: g} if factored else {}


def _before_slope(roles: Roles, use: Use) -> dict[Edge, Edit]:
    some = roles.leads_to(use.node) if use.node.op in (ADD, MATMUL, DOT) else []
    if not some or some[-1].value.shape != use.node.value.shape:
        return {}
    slope = roles.slope(some)
    return {use.edge: _by_rule(use.node, use.place, lambda g: g / slope)}


def _turned(roles: Roles, use: Use) -> dict[Edge, Edit]:
    value = use.node.arguments[use.place]
    square = use.node.op in (MATMUL, DOT) and value.ndim == 2 and value.shape == value.shape[::-1]
    return _seeing(use, value.T) if square and use.source not in roles.states else {}


def _once(roles: Roles, use: Use) -> dict[Edge, Edit]:
    def last(g: Array, right: Array) -> Array:
        total = np.zeros_like(right)
        total[use.node.options["index"]] = g
        return total

    return {use.edge: last} if use.node.op is INDEX and not is_basic(use.node.options["index"]) else {}


WAYS: dict[str, Callable[[Roles, Use], dict[Edge, Edit]]] = {
    "{back} lacks its factor": _without_factor,
    "{it} is taken before {slope}": _before_slope,
    "{name} is not transposed on the way back, or twice": _turned,
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


def _in_activations(roles: Roles) -> Iterator[Guess]:
    """Give the activations whose slope is another: all of one kind, and those of one name."""
    groups = defaultdict[str, list[list[Node]]](list)
    for kind, nodes in roles.activations.values():
        for name in (kind, roles.made(nodes[-1])):
            groups[name].append(nodes)
    for name, chains in groups.items():
        for words, slope in SLOPES.items():
            yield f"the slope of {name} {words}", _joined(_with_slope(roles, one, slope) for one in chains)
        tops = [top for top, *more in chains if not more and top.id in roles.series]
        before = _joined(_with(top, {}, roles.value(roles.shifted(top.id, -1), top.value)) for top in tops)
        yield f"the slope of {name} is that of the state before the step", before


def _with_slope(roles: Roles, some: Sequence[Node], slope: Any) -> dict[Edge, Edit]:
    """Let the last node of an activation have the slope of all, and the others pass on what they get."""
    last = some[-1].id, roles.source(some[-1])
    times = slope(some[0].arguments[roles.source(some[0])], some[-1].value, roles.slope(some))
    return {(node.id, roles.source(node)): lambda g, right: g for node in some} | {last: lambda g, right: g * times}


def _overwritten(roles: Roles) -> dict[Edge, Edit]:
    """Let every step see the last state."""
    seen = {i: roles.entry(ids[-1]).value for i, (ids, _) in roles.series.items()}
    some = [node for node in roles.nodes if not seen.keys().isdisjoint((node.id, *node.inputs))]
    arguments = [{k: seen[i] for k, i in enumerate(node.inputs) if i in seen} for node in some]
    return _joined(_with(n, one, seen.get(n.id, n.value)) for n, one in zip(some, arguments, strict=True))


def _at_steps(roles: Roles) -> Iterator[Guess]:
    """Give what is missing of one step, or of all but one: of all that is in it, of an argument, and on a way."""
    every = [use for node in roles.nodes for use in roles.uses(node)]
    leaves = defaultdict[str, list[Use]](list)
    for use in every:
        if roles.is_leaf(use.source):
            leaves[roles.said(use.source)].append(use)
    for uses in (every, *leaves.values()):
        for step, at, others in _by_step(uses):
            yield f"step {step} is missing from it", _all(at, CUT)
            if uses is not every:
                yield f"it is that of step {step} alone: it is overwritten (=), not added to (+=)", _all(others, CUT)
    inner = reached(roles.tape.nodes, [one.use.node.id for one in roles.carried])
    for way in roles.ways:
        outer = way.forks and inner.isdisjoint(use.node.id for use in way.uses)
        for step, at, _ in _by_step(way.uses) if outer else ():
            yield f"{way.said['back']} is not added at step {step}", _all(at, CUT)


def _by_step(uses: Iterable[Use]) -> Iterator[tuple[int, list[Use], list[Use]]]:
    """Give some steps, the uses there, and those at all others."""
    steps = defaultdict[int, list[Use]](list)
    for use in uses:
        if use.node.timestep >= 0:
            steps[use.node.timestep].append(use)
    order = sorted(steps) if len(steps) > 1 else []
    for step in [*order[:FEW], *order[FEW:][-1:]]:
        yield step, steps[step], [use for other in order if other != step for use in steps[other]]


def _of_other_values(roles: Roles) -> Iterator[Guess]:
    """Give the products that see another value of their shape on the way back: of the step or the one before it."""
    at = {(roles.said(node.id), node.timestep): node.id for node in roles.nodes}
    count = 1 + max(0, *[step for _, step in at])
    leaves = {roles.said(node.id): node for node in roles.nodes if roles.is_leaf(node.id) and node.value.ndim}
    states = {roles.said(node.id): node for node in roles.nodes if node.id in roles.states}
    made_of = {roles.said(n.id): n for n in roles.nodes if n.id in roles.activations or n.op in (MULTIPLY, SUBTRACT)}
    others = [(role, node, "") for role, node in (states | leaves | made_of).items()]
    others += [(role, node, STATE_BEFORE) for role, node in states.items()]
    others += [(role, node, INPUT_BEFORE) for role, node in leaves.items() if node.op is not PARAMETER]
    products = [way for way in roles.ways if way.uses[-1].node.op in (MATMUL, DOT, MULTIPLY)]
    for way, (role, other, before) in ((way, one) for way in products for one in others):
        made = dict[Edge, Edit]()
        for use in way.uses:
            step = (use.node.timestep - (before == INPUT_BEFORE)) % count  # x[-1] is the last
            i = other.id if other.op is PARAMETER else at.get((role, step))
            i = roles.shifted(i, -1) if i is not None and before == STATE_BEFORE else i
            value = None if i in (None, use.source) else roles.value(i, other.value)
            if value is not None and value.shape == use.node.arguments[use.place].shape:
                made |= _seeing(use, value)
        own = way.said["name"]
        words = f"{role}{before}, not with {own}"
        if own == role and role in states:
            words = f"the state{before}, not with the one after it" if before else OTHER_STATE
        yield f"{way.said['formed']} is formed with {words}", made
    weights = [node for node in roles.nodes if node.op is PARAMETER and node.value.ndim == 2]
    for one, other in combinations(weights, 2):
        swap = {one.id: other.value, other.id: one.value} if one.value.shape == other.value.shape else {}
        edits = _joined(_seeing(use, swap[use.source]) for way in products for use in way.uses if use.source in swap)
        yield f"{roles.said(one.id)} and {roles.said(other.id)} are swapped on the way back", edits
