"""Check the rules on a tape one by one, because a wrong one can hide: each op's vjp against its own forward.

With one timestep and a zero state, the gradient of the recurrent weight is zero whatever its rule says. In: recorded
entries. Out: a `Culprit` for every op and argument whose rule is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnngraph.autodiff.block import Block
from rnngraph.autodiff.check.calls import positional
from rnngraph.autodiff.check.replayed import Replay, subject_of
from rnngraph.autodiff.check.report import Culprit
from rnngraph.autodiff.check.slopes import compare
from rnngraph.autodiff.check.subject import widened
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.node import INPUT
from rnngraph.autodiff.ops import DETACH, STATE
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import GradientError

STEPS = 8  # of a block, whose cell is checked as one rule
FOREIGN_NODES, OWN_NODES = 2_000, 300  # nodes of other ops and of the package's own, where a fault is searched for
ARGUMENTS = 8  # arguments of one node; a stack of 10,000 steps has 10,000


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
    picked = [group[k] for group in groups.values() for k in sorted({0, len(group) // 2, len(group) - 1})]
    found = _culprits(nodes, picked, seed)
    if found or not search:
        return found, ""
    own = [str(getattr(node.op.vjp, "__module__", "")).startswith("rnngraph.") for node in checked]
    kinds = [[node for node, is_own in zip(checked, own, strict=True) if is_own is kind] for kind in (False, True)]
    searched = [*_spread(kinds[0], FOREIGN_NODES), *_spread(kinds[1], OWN_NODES)]
    found = _culprits(nodes, searched, seed)
    steps = len({node.timestep for node in searched if node.timestep >= 0})
    where = f"{len(searched)} of {len(checked)} nodes" + (f", at {steps} timesteps," if steps else "")
    left = " and at the other nodes" if len(searched) < len(checked) else ""
    return found, "" if found else (
        f"No op's own rule was found wrong ({where} were checked one by one): look at how gradients are added up, and "
        f"at what the rules do at exactly the recorded values{left}."
    )


def _rule(node: Entry) -> int:
    return id(node.cell) if isinstance(node, Block) else id(node.op)


def _spread(nodes: list[Any], most: int) -> list[Any]:
    return [nodes[int(k)] for k in np.linspace(0, len(nodes) - 1, most)] if len(nodes) > most else nodes


def _culprits(nodes: Sequence[Entry], picked: Sequence[Entry], seed: int) -> tuple[Culprit, ...]:
    requires, generator = {node.id: node.requires for node in nodes}, np.random.default_rng(seed)
    found: dict[tuple[int, int], Culprit] = {}
    for node in picked:
        for culprit in _wrong_in(node, [requires[source] for source in node.inputs], generator):
            found.setdefault((_rule(node), culprit.argument), culprit)
    return tuple(found.values())


def _wrong_in(entry: Entry, wanted: list[bool], generator: np.random.Generator) -> Iterator[Culprit]:
    """Record an entry alone, near its arguments, and compare its gradients with differences."""
    block, tape = entry if isinstance(entry, Block) else None, Tape()
    names = list(block.sources) if block else [one.name for one in positional(entry.op.forward)[0]]
    points = [_nudged(argument, generator) for argument in (_of_block(block) if block else entry.arguments)]
    places = _spread([k for k, needs in enumerate(wanted) if needs and points[k].dtype.kind == "f"], ARGUMENTS)
    sources = [tape.append(INPUT, (), one, name=str(k), requires=k in places) for k, one in enumerate(points)]
    out = _record(tape, entry, sources)
    if not all(np.isfinite(one).all() for one in (*points, out.value) if one.dtype.kind == "f"):
        return
    scope = entry.describe() if block else "/".join(str(key) for _, key in entry.place)
    op = f"{block.cell.facts.name} cell" if block else entry.op.name

    def culprit(place: int, reason: str, slopes: tuple[float, float, float] = (np.nan,) * 3) -> Culprit:
        name = names[place] if place < len(names) else ""
        return Culprit(op, place, name, entry.id, entry.timestep, scope, *slopes, reason)

    try:
        subject = subject_of(Replay([out]), [generator.normal(size=out.shape)])
    except GradientError as error:
        if len(places) == 1:
            yield culprit(places[0], str(error))
        for place in places if len(places) > 1 else ():
            yield from _wrong_in(entry, [k == place for k in range(len(points))], generator)
        return
    for k, place in enumerate(places):
        point = subject.points[k]  # no step along a share of each element leaves a logarithm's domain
        drawn = generator.normal(size=point.shape) * np.abs(point) if point.any() else subject.direction(k, generator)
        one = compare(subject, k, np.asarray(drawn))
        if one.wrong:
            reason = f"it gives {one.analytic:.6g} along a random direction, differences give {one.numeric:.6g}"
            yield culprit(place, reason, (one.analytic, one.numeric, one.relative_error))


def _record(tape: Tape, entry: Entry, sources: Sequence[int]) -> Tensor:
    """Record what an entry did on another tape; the steps of a block are as many as its input there has."""
    if not isinstance(entry, Block):
        value = np.asarray(entry.op.forward(*[tape.entry(i).value for i in sources], **entry.options))
        return tape.tensor(tape.append(entry.op, tuple(sources), value, options=entry.options, scope=entry.scope))
    given = {name: tape.tensor(i) for name, i in zip(entry.sources, sources, strict=True)}
    steps = given["x"].shape[1]
    mask = None if entry.keep is None else entry.keep.T[:, :steps]
    return tape.tensor(
        tape.append_block(
            entry.cell, given["x"], {name: given[name] for name in entry.weights},
            {kind: given[kind + "0"] for kind in entry.columns}, reverse=entry.reverse, mask=mask,
            cuts=sorted(cut for cut in entry.cuts if cut < steps),
        ).id
    )  # fmt: skip


def _nudged(argument: Array, generator: np.random.Generator) -> Array:
    """Move off zeros, where kinks are; everything else moves by a thousandth of itself and keeps its sign."""
    if argument.dtype.kind != "f":
        return argument
    wide, draw = widened(argument), generator.normal(size=argument.shape)
    return np.where(wide == 0, 1e-3 * np.abs(draw), wide * (1 + 1e-3 * np.tanh(draw)))


def _of_block(block: Block) -> list[Array]:
    """See a cell as one rule, over the first steps of a block of it."""
    given = {"x": block.x.swapaxes(0, 1)[:, :STEPS], **block.weights}
    given |= {kind + "0": block.state(kind, -1) for kind in block.columns}
    return [given[name] for name in block.sources]
