"""Check the rules on a tape one by one, because a wrong one can hide: each op's vjp against its own forward.

With one timestep and a zero state, the gradient of the recurrent weight is zero whatever its rule says. In: recorded
entries. Out: a `Culprit` for every op and argument whose rule is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.random import default_rng

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT
from rnngraph.autodiff.ops import DETACH, STATE
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import GradientError
from rnngraph.gradcheck.replayed import Replay
from rnngraph.gradcheck.report import Culprit
from rnngraph.gradcheck.slopes import Line
from rnngraph.gradcheck.subject import widened
from rnngraph.numpy.calls import positional

STEPS = 8  # of a block, whose cell is checked as one rule
FEW, MANY = 3, 1_000  # nodes of one op and shape that are tried, and those where a fault is searched for
ARGUMENTS = 8  # of one node; a stack of 10,000 steps has 10,000


def wrong_rules(nodes: Sequence[Entry], seed: int, *, search: bool = False) -> tuple[tuple[Culprit, ...], str]:
    """Check every distinct op near the recorded arguments of the first, the middle and the last node of it.

    Where a gradient is wrong and none of these explains it, `search` node by node.

    Returns: the culprits, and where none is found how far was searched.
    """
    checked = [n for n in nodes if n.op.vjp is not None and n.requires and n.op not in (DETACH, STATE)]
    groups: dict[Any, list[Entry]] = {}
    for node in checked:
        shapes = tuple([argument.shape for argument in node.arguments[:ARGUMENTS]])
        groups.setdefault((_rule(node), len(node.inputs), shapes), []).append(node)
    requires, found, tried = {node.id: node.requires for node in nodes}, dict[Any, Culprit](), list[Entry]()
    for most in (FEW, MANY) if search else (FEW,):
        tried, generator = [node for group in groups.values() for node in _spread(group, most)], default_rng(seed)
        for node in () if found else tried:
            for culprit in _wrong_in(node, [requires[source] for source in node.inputs], generator):
                found.setdefault((_rule(node), culprit.argument), culprit)
    steps = len({node.timestep for node in tried if node.timestep >= 0})
    where = f"{len(tried)} of {len(checked)} nodes" + (f", at {steps} timesteps," if steps else "")
    left = " and at the other nodes" if len(tried) < len(checked) else ""
    return tuple(found.values()), "" if found or not search else (
        f"No op's own rule was found wrong ({where} were checked one by one): look at how gradients are added up, and "
        f"at what the rules do at exactly the recorded values{left}."
    )


def _rule(node: Entry) -> int:
    return id(node.cell) if isinstance(node, Block) else id(node.op)


def _spread(nodes: list[Any], most: int) -> list[Any]:
    return [nodes[int(k)] for k in np.linspace(0, len(nodes) - 1, most)] if len(nodes) > most else nodes


def _wrong_in(entry: Entry, wanted: Sequence[bool], generator: np.random.Generator) -> Iterator[Culprit]:
    """Record an entry alone, near its arguments, and compare the gradient of each with differences."""
    points = [_nudged(argument, generator) for argument in _arguments(entry)]
    for place in _spread([k for k, needs in enumerate(wanted) if needs and points[k].dtype.kind == "f"], ARGUMENTS):
        out = _recorded(entry, points, place)
        if not all(np.isfinite(one).all() for one in (*points, out.value) if one.dtype.kind == "f"):
            return
        try:
            subject = Replay([out]).subject([generator.normal(size=out.shape)])
        except GradientError as error:
            yield _culprit(entry, place, (np.nan, np.nan, np.nan), str(error))
            continue
        (point,) = subject.points  # no step along a share of each element leaves a logarithm's domain
        drawn = generator.normal(size=point.shape) * np.abs(point) if point.any() else subject.direction(0, generator)
        one = Line(subject, {0: np.asarray(drawn)}).compare()
        if one.wrong:
            reason = f"it gives {one.analytic:.6g} along a random direction, differences give {one.numeric:.6g}"
            yield _culprit(entry, place, (one.analytic, one.numeric, one.relative_error), reason)


def _culprit(entry: Entry, place: int, slopes: tuple[float, float, float], reason: str) -> Culprit:
    if isinstance(entry, Block):
        op, names, scope = f"{entry.cell.facts.name} cell", list(entry.sources), entry.describe()
    else:
        op, names = entry.op.name, [one.name for one in positional(entry.op.forward)]
        scope = "/".join(str(key) for _, key in entry.place)
    name = names[place] if place < len(names) else ""
    return Culprit(op, place, name, entry.id, entry.timestep, scope, *slopes, reason)


def _recorded(entry: Entry, points: Sequence[Array], place: int) -> Tensor:
    """Record an entry on a tape of its own, for one gradient; a block has as many steps as its input there."""
    tape = Tape()
    ids = [tape.append(INPUT, (), one, name=str(k), requires=k == place) for k, one in enumerate(points)]
    if not isinstance(entry, Block):
        value = np.asarray(entry.op.forward(*points, **entry.options))
        return tape.tensor(tape.append(entry.op, tuple(ids), value, options=entry.options, scope=entry.scope))
    given = {name: tape.tensor(i) for name, i in zip(entry.sources, ids, strict=True)}
    weights = {name: given[name] for name in entry.weights}
    initial = {kind: given[kind + "0"] for kind in entry.columns}
    mask = None if entry.keep is None else entry.keep.T[:, : given["x"].shape[1]]
    return tape.tensor(tape.append_block(entry.cell, given["x"], weights, initial, reverse=entry.reverse, mask=mask).id)


def _arguments(entry: Entry) -> Sequence[Array]:
    """Give what an entry took; of a block the first steps, which show its cell as one rule."""
    if not isinstance(entry, Block):
        return entry.arguments
    given = {"x": entry.x.swapaxes(0, 1)[:, :STEPS], **entry.weights}
    given |= {kind + "0": entry.state(kind, -1) for kind in entry.columns}
    return [given[name] for name in entry.sources]


def _nudged(argument: Array, generator: np.random.Generator) -> Array:
    """Move off zeros, where kinks are; everything else moves by a thousandth of itself and keeps its sign."""
    if argument.dtype.kind != "f":
        return argument
    wide, draw = widened(argument), generator.normal(size=argument.shape)
    return np.where(wide == 0, 1e-3 * np.abs(draw), wide * (1 + 1e-3 * np.tanh(draw)))
