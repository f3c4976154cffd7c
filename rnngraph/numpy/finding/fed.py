"""What enters the steps of a recurrence from outside: the data that weights multiply, which each step has of its own.

In: a tape and the recurrences that were found. Out: nodes by timestep, declared on the tape. A value that a step reads
twice is made one node, so that its gradient is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from rnngraph.autodiff.node import CONSTANT, Node
from rnngraph.autodiff.tape import Tape
from rnngraph.numpy.finding.carried import starts_of
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.products import (
    JOINING,
    LEAVES,
    PASSING,
    PRODUCTS,
    VIEWING,
    below,
    is_leaf_like,
    reached,
    written,
)

Data: TypeAlias = list[dict[int, set[int]]]  # by step: number of a value -> the nodes that hold it


def read_by_step(nodes: Sequence[Node], numbers: Sequence[int], found: list[Found]) -> list[Data]:
    """Find the data of every recurrence; one that reads what an earlier one does, turned round, runs the other way.

    Where no weights multiply any, it is what enters element by element.
    """
    fed, others = list[Data](), [set[int]().union(*(x.chain.steps for x in found if x is not one)) for one in found]
    every = [_data_of(nodes, numbers, one, some) for one, some in zip(found, others, strict=True)]
    if not any(every):
        every = [_data_of(nodes, numbers, one, some, bare=True) for one, some in zip(found, others, strict=True)]
    for k, (one, data) in enumerate(zip(found, every, strict=True)):
        read = [some.keys() for some in data]
        for earlier, before in zip(found[:k], fed, strict=True):
            turned = [some.keys() for some in before[::-1]]
            if read and read == turned != turned[::-1] and one.direction == earlier.direction:
                one.direction = "reverse" if earlier.direction == "forward" else "forward"
        fed.append(data)
    return fed


def declare_fed(tape: Tape, nodes: Sequence[Node], found: list[Found], fed: list[Data]) -> None:
    """Declare the data of every step, of which two recurrences may read the same."""
    alike: dict[tuple[int, int], set[int]] = {}  # number of a value and timestep -> the nodes that hold it
    for one, data in zip(found, fed, strict=True):
        for t, some in enumerate(data if one.direction == "forward" else data[::-1]):
            for number, ids in some.items():
                alike.setdefault((number, t), set()).update(ids)
    _make_one(nodes, alike.values())
    names: dict[str, set[int]] = {}
    for one, data, declared in zip(found, fed, tape.recurrences[len(tape.recurrences) - len(found) :], strict=True):
        ordered = enumerate(data if one.direction == "forward" else data[::-1])
        by_time = {t: sorted(min(alike[number, t]) for number in some) for t, some in ordered if some}
        every, axis = {i for some in by_time.values() for i in some}, declared.batch_axis
        batch = (1,) if axis is None else nodes[one.states["h"][0]].value.shape[axis : axis + 1]
        if not every or (
            axis is not None and batch != (1,) and any(nodes[i].value.shape[axis : axis + 1] != batch for i in every)
        ):
            continue
        for i in every:
            nodes[i].requires = True  # differentiated although it may be constant, as one-hot words are
        name = next(filter(None, (_name_of(nodes, i) for i in sorted(every))), "") or f"input of {one.name}"
        declared.fed = by_time
        declared.fed_name = name if names.setdefault(name, every) == every else f"{name} of {one.name}"


def _data_of(
    nodes: Sequence[Node], numbers: Sequence[int], one: Found, others: Collection[int], *, bare: bool = False
) -> Data:
    """Find the data of every step, in the order of processing; nothing where some steps but the first have none.

    What comes out of another recurrence, a node in `others`, is no data. `bare` is what no weight multiplies.
    """
    steps, initial = one.chain.steps, one.woven_starts.union(one.initial.values(), starts_of(nodes, one).values())
    states = one.made("").keys()
    held: dict[int, dict[int, set[int]]] = {}  # number of a value -> step -> the nodes that hold it
    data: dict[int, list[int]] = {}  # operand of a product -> what of it is data
    waiting, seen = [(i, steps[i]) for i in one.inside], set[tuple[int, int]]()
    while waiting:
        i, k = waiting.pop()
        product = nodes[i].op in PRODUCTS
        for j in nodes[i].inputs:
            if not product:
                if j in steps or (bare and j in initial):
                    continue
                if bare and is_leaf_like(nodes, nodes[j]):
                    held.setdefault(numbers[j], {}).setdefault(k, set()).add(j)
                elif (j, k) not in seen:
                    seen.add((j, k))
                    waiting.append((j, k))
                continue
            if j not in data:
                parts = _parts(nodes, j, states) if nodes[j].op in PASSING or nodes[j].op in JOINING else (j,)
                outside = [part for part in parts if part not in steps and part not in others]
                data[j] = [part for part in outside if not _is_start(nodes, part, initial)]
                waiting += [(part, k) for part in outside if part not in data[j]]  # a first state behind a gate of data
            for part in data[j]:
                held.setdefault(numbers[part], {}).setdefault(k, set()).add(part)
    plain = {number: _number(nodes[min(next(iter(at.values())))]) for number, at in held.items()}
    if len(set(plain.values()) - {None}) < 2:  # by which states are reset, or a bias is joined
        held = {number: at for number, at in held.items() if plain[number] is None}
    found: Data = [{} for _ in range(one.time)]
    most, often = max(one.time - 1, 2), dict[Any, set[int]]()  # at how many steps, of which a weight has all
    said = {number: _said(nodes, number, at) for number, at in held.items()}
    for number, at in held.items():
        often.setdefault(said[number], set()).update(at)
    for number, at in held.items():
        if len(often[said[number]]) >= most:
            continue
        shared = Counter(chain.from_iterable(at.values())) if len(at) > 1 else {}
        for k, ids in at.items():
            if all(shared.get(i, 1) == 1 for i in ids):
                found[k][number] = ids
    found = [_first(nodes, some) if len(some) > 1 else some for some in found]
    if bare:  # a prior begins the state
        found[0] = _as_later(nodes, found)
    return found if sum(map(bool, found)) >= most else []


def _as_later(nodes: Sequence[Node], found: Data) -> dict[int, set[int]]:
    """Give what of the first step's data is a part of what later steps read parts of."""
    later = {below(nodes, i, VIEWING) for some in found[1:] for ids in some.values() for i in ids}
    return {n: ids for n, ids in found[0].items() if not later.isdisjoint(below(nodes, i, VIEWING) for i in ids)}


def _number(node: Node) -> float | None:
    """Give the number that all of a constant is."""
    numbers = node.value.reshape(-1)
    return None if node.requires or (numbers != numbers[:1]).any() else float(numbers[:1].sum())


def _said(nodes: Sequence[Node], number: int, at: dict[int, set[int]]) -> Any:
    """Know a constant that is written again, as a column of ones is, by what is in it."""
    i = min(next(iter(at.values())))
    return written(nodes[i]) if nodes[below(nodes, i)].op is CONSTANT else number


def _first(nodes: Sequence[Node], some: dict[int, set[int]]) -> dict[int, set[int]]:
    """Leave out what is computed from other data of the step, as a key is: what comes back through it counts there."""
    every = set[int]().union(*some.values())
    return {n: ids for n, ids in some.items() if (reached(nodes, ids) - ids).isdisjoint(every - ids)}


def _is_start(nodes: Sequence[Node], i: int, initial: frozenset[int]) -> bool:
    """Tell a state before the first step: as it is, behind a mask, or a plain array of zeros that was read again."""
    if not initial.isdisjoint((i, *nodes[i].inputs)):
        return True
    return not nodes[i].requires and any(np.array_equal(nodes[i].value, nodes[start].value) for start in initial)


def _parts(nodes: Sequence[Node], i: int, states: Collection[int]) -> list[int]:
    """Take a join apart that is no state, behind views too."""
    join = nodes[below(nodes, i)]
    if join.op not in JOINING or join.id in states:
        return [i]
    return [one for part in join.inputs for one in _parts(nodes, part, states)]


def _make_one(nodes: Sequence[Node], alike: Iterable[set[int]]) -> None:
    """Let every reader of a value of one step read the first of the nodes that hold it."""
    other = {i: min(ids) for ids in alike for i in ids if i != min(ids)}
    for node in nodes:
        if not other.keys().isdisjoint(node.inputs):
            node.inputs = tuple([other.get(i, i) for i in node.inputs])


def _name_of(nodes: Sequence[Node], i: int) -> str:
    """Name data after the array that it is a part of."""
    while nodes[i].op not in LEAVES and nodes[i].inputs:
        i = nodes[i].inputs[0]
    return str(nodes[i].name or "")
