"""What enters the steps of a recurrence from outside: the data that weights multiply, which each step has of its own.

In: a recurrence that was found, and a number a value. Out: node ids by step. A value that a step reads twice is made
one node, so that its gradient is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rnngraph.autodiff.along import DOT, EINSUM
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.ops import MATMUL
from rnngraph.numpy.finding.carried import Found
from rnngraph.numpy.finding.products import LEAVES, PASSING
from rnngraph.numpy.finding.read_later import GIVEN, JOINING

_PRODUCTS = frozenset((MATMUL, DOT, EINSUM))


def find_fed(
    nodes: Sequence[Node], numbers: Sequence[int], one: Found, others: Collection[int]
) -> dict[int, list[int]]:
    """Find the data of every step, in the order of processing; nothing where some steps but the first have none.

    What comes out of another recurrence, a node in `others`, is no data.
    """
    steps = one.chain.steps
    leads = {i for ids in one.states.values() for i in ids}
    read: dict[int, set[int]] = {}  # step -> numbers of values
    times: dict[int, set[int]] = {}
    for i in sorted(steps, reverse=True):
        if i not in leads:
            continue
        leads.update(j for j in nodes[i].inputs if j in steps)
        for operand in _operands(nodes, one, i):
            if operand not in others:
                read.setdefault(steps[i], set()).add(numbers[operand])
                times.setdefault(numbers[operand], set()).add(steps[i])
    first = {number: i for i, number in reversed(list(enumerate(numbers)))}
    alone = {k: sorted(first[number] for number in some if len(times[number]) == 1) for k, some in read.items()}
    found = {k: some for k, some in sorted(alone.items()) if some}
    return found if len(found) >= max(one.time - 1, 2) else {}


def _operands(nodes: Sequence[Node], one: Found, i: int) -> Iterator[int]:
    """Yield what is multiplied on the way into a node of a step, where it does not come from the recurrence."""
    steps, initial = one.chain.steps, one.initial.values()
    waiting, seen = [i], {i}
    while waiting:
        node = nodes[waiting.pop()]
        if node.op in _PRODUCTS:
            for j in node.inputs:
                yield from (part for part in _parts(nodes, j) if part not in steps and part not in initial)
        elif node.id not in steps or node.id == i:
            below = [j for j in node.inputs if j not in steps and j not in seen and nodes[j].op not in GIVEN]
            seen.update(below)
            waiting += below


def _parts(nodes: Sequence[Node], i: int) -> Iterator[int]:
    """Take a join apart, behind views too."""
    below = i
    while nodes[below].op in PASSING:
        below = nodes[below].inputs[0]
    if nodes[below].op not in JOINING:
        yield i
        return
    for part in nodes[below].inputs:
        yield from _parts(nodes, part)


def make_one(nodes: Sequence[Node], numbers: Sequence[int], some: Sequence[int]) -> None:
    """Let every reader of a value read the node of `some` that holds it, the first that does."""
    chosen = {numbers[i]: i for i in some}
    other = {i: chosen[n] for i, n in enumerate(numbers) if n in chosen and i != chosen[n]}
    for node in nodes:
        if not other.keys().isdisjoint(node.inputs):
            node.inputs = tuple([other.get(i, i) for i in node.inputs])


def name_of(nodes: Sequence[Node], i: int) -> str:
    """Name data after the array that it is a part of."""
    while nodes[i].op not in LEAVES and nodes[i].inputs:
        i = nodes[i].inputs[0]
    return str(nodes[i].name or "")
