"""What is carried element by element: a way that leads from a value to a later one like it, and so on, again and again.

In: the nodes of a tape, and those that recurrences were found in. Out: chains, with the steps of all that depends on
them. What multiplies the value on its way may be a number, a leaf, or another factor at every step.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rnngraph.autodiff.elementwise import LOGADDEXP, MAXIMUM, MINIMUM
from rnngraph.autodiff.node import CONSTANT, Node, Op
from rnngraph.autodiff.ops import ADD, DIVIDE, MULTIPLY, SUBTRACT
from rnngraph.numpy.finding.chains import Chain, depths_of
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.products import JOINING, PASSING, PRODUCTS, Use, is_leaf_like, reached

NEAR = 24  # nodes that one step of a way may pass
_FACTORS = frozenset((MULTIPLY, DIVIDE))
_ENDS = JOINING | PRODUCTS  # nothing is carried on through them element by element
_POOLING = frozenset((ADD, SUBTRACT, MAXIMUM, MINIMUM, LOGADDEXP)) | PASSING


@dataclass(slots=True)
class _Way:
    """What reads the state of the step before at every step, the states, and all that lies between them."""

    uses: list[Use] = field(default_factory=list)
    states: list[int] = field(default_factory=list)  # what they read
    last: int = -1  # the value at the end, which leads to the last state
    passed: set[int] = field(default_factory=set)


def find_ways(nodes: Sequence[Node], taken: Collection[int]) -> list[Chain]:
    """Find the ways among nodes that are not `taken`: the shortest first."""
    seen, found = set(taken), list[_Way]()
    readers: dict[int, list[int]] = {}  # the marked nodes that read a value
    for node in reversed(nodes):
        if node.id in seen or len(node.inputs) < 2 or node.op in _ENDS:
            continue
        tried = [(_repeated(nodes, node.id, places, taken), places) for places in _ways(nodes, node.id, taken)]
        way, best = max(tried, key=lambda one: len(one[0].uses), default=(_Way(), ()))
        if len(way.uses) < 2:
            continue
        further = _repeated(nodes, *_extended(nodes, node.id, best, readers), taken)
        way = max(way, further, key=lambda one: len(one.uses))
        for i in way.passed - seen:
            for below in nodes[i].inputs:
                readers.setdefault(below, []).append(i)
        seen |= way.passed
        found.append(way)
    pooled = [way for way in found if _POOLING.issuperset(nodes[i].op for i in way.passed)]
    inner = {i for way in pooled for i in way.states[1:]}
    read = Counter(i for node in nodes if node.op not in JOINING for i in node.inputs if i in inner)
    sums = [way for way in pooled if any(read[i] < 2 for i in way.states[1:])]  # which nobody reads on the way
    found = [way for way in found if way not in sums]
    found.sort(key=lambda one: len(one.passed) / len(one.uses))
    return [Chain(way.uses, [], {use.node for use in way.uses}, _steps(nodes, way)) for way in found]


def _ways(nodes: Sequence[Node], last: int, taken: Collection[int]) -> list[tuple[int, ...]]:
    """Give the ways back to values that are made as the last one is, the shortest first: which input at each node.

    One that is another, gone several times, is none.
    """
    found, waiting, seen = list[tuple[int, ...]](), deque([(last, tuple[int, ...]())]), {last}
    while waiting and len(seen) < NEAR:
        at, way = waiting.popleft()
        for place, i in enumerate(nodes[at].inputs if nodes[at].op not in PRODUCTS else ()):
            if i not in seen and i not in taken and nodes[i].value.size == nodes[at].value.size:
                seen.add(i)
                here = (*way, place)
                waiting.append((i, here))
                if nodes[i].op is nodes[last].op and all(here != one * (len(here) // len(one)) for one in found):
                    found.append(here)
    return found


def _extended(
    nodes: Sequence[Node], last: int, places: tuple[int, ...], readers: Mapping[int, list[int]]
) -> tuple[int, tuple[int, ...]]:
    """Go up from the last node of a way as long as its pattern goes on, through what a longer way has marked."""
    ops, at = list[Op](), last
    for place in places:
        ops.append(nodes[at].op)
        at = nodes[at].inputs[place]
    at, size = last, nodes[last].value.size
    while True:
        op, place = ops[-1], places[-1]
        above = [i for i in readers.get(at, ()) if nodes[i].op is op and nodes[i].inputs[place : place + 1] == (at,)]
        above = [i for i in above if nodes[i].value.size == size]
        if not above:
            return at, places
        at, ops, places = max(above), [op, *ops[:-1]], (place, *places[:-1])


def _repeated(nodes: Sequence[Node], last: int, places: tuple[int, ...], taken: Collection[int]) -> _Way:
    """Go a way again and again, to the first value. What the last factor on it multiplies is the state."""
    way, at, wanted, reader = _Way(last=last), last, list[Op](), -1
    while True:
        passed = list[int]()
        for place in places:
            if at in taken or len(nodes[at].inputs) <= place:
                break
            passed.append(at)
            at = nodes[at].inputs[place]
        ops = [nodes[i].op for i in passed]
        if not wanted:
            wanted, reader = ops, max((k for k, op in enumerate(ops) if op in _FACTORS), default=len(ops) - 1)
        if ops != wanted or nodes[at].op is CONSTANT or nodes[at].value.size != nodes[last].value.size:
            return way
        node, place = nodes[passed[reader]], places[reader]
        factor = next((k for k in range(len(node.inputs)) if k != place), place)
        way.uses.insert(0, Use(node.id, factor, place, None))
        way.states.insert(0, node.inputs[place])
        way.passed.update(passed)


def _steps(nodes: Sequence[Node], way: _Way) -> dict[int, int]:
    """Give every node the step of the first state that it leads to; what leads to none is of the last behind it."""
    depths, order = depths_of(nodes, way.uses), {i: k for k, i in enumerate((*way.states, way.last))}
    behind, ahead = set(way.states), dict[int, int]()
    for node in nodes[way.states[0] + 1 :]:
        if not behind.isdisjoint(node.inputs):
            behind.add(node.id)
    for node in reversed(nodes):
        own = order.get(node.id, ahead.get(node.id))
        if own is not None:
            ahead |= {i: min(own, ahead.get(i, own)) for i in node.inputs}
    steps = {i: ahead[i] - 1 if i in ahead and i not in order else depths[i] for i in behind}
    return {i: steps[i] for i in sorted(behind) if steps[i] >= 0}


def weights_of(nodes: Sequence[Node], numbers: Sequence[int], one: Found, states: Collection[int]) -> list[int]:
    """Find the leaves that two steps share, of the factor or else of all that enters past no state; data are none."""

    def given(tops: Sequence[int]) -> dict[int, int]:
        behind = reached(nodes, tops, lambda i: (i in states and i not in tops) or is_leaf_like(nodes, nodes[i]))
        return {numbers[i]: i for i in behind if is_leaf_like(nodes, nodes[i])}

    use = one.chain.clock[-1]
    before, last = (given([ids[k] for ids in one.states.values()]) for k in (-2, -1))
    shared = before.keys() & last.keys()
    factor = given([nodes[use.node].inputs[use.weight]])
    return sorted({last[number] for number in shared & factor.keys() or shared})
