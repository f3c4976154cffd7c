"""Check the rules on a tape one by one, because a wrong one can hide: each op's vjp against its own forward.

With one timestep and a zero state, the gradient of the recurrent weight is zero whatever its rule says. In: recorded
entries. Out: a `Culprit` for every op and argument whose rule is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import pull
from rnngraph.autodiff.block.given import gather
from rnngraph.autodiff.check.report import Culprit
from rnngraph.autodiff.check.slopes import compare
from rnngraph.autodiff.check.subject import Subject, widened
from rnngraph.autodiff.contribution import Array, add_up
from rnngraph.autodiff.node import INPUT, Node
from rnngraph.autodiff.ops import DETACH, STATE
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.errors import GradientError

STEPS = 8  # of a block, whose cell is checked as one rule
FOREIGN_NODES, OWN_NODES = 2_000, 300  # nodes of other ops and of the package's own, where a fault is searched for
ARGUMENTS = 8  # arguments of one node; a stack of 10,000 steps has 10,000


def wrong_rules(nodes: Sequence[Entry], *, seed: int = 0) -> tuple[Culprit, ...]:
    """Check every distinct op, near the recorded arguments of the first, the middle and the last node of it."""
    groups: dict[Any, list[Entry]] = {}
    for node in _checked(nodes):
        shapes = tuple([argument.shape for argument in node.arguments[:ARGUMENTS]])
        groups.setdefault((_rule(node), len(node.inputs), shapes), []).append(node)
    picked = [group[place] for group in groups.values() for place in sorted({0, len(group) // 2, len(group) - 1})]
    return _wrong(nodes, picked, seed)


def search_rules(nodes: Sequence[Entry], *, seed: int = 0) -> tuple[tuple[Culprit, ...], str]:
    """Check node by node, where a gradient is wrong and no sampled rule explains it; also say how far was searched."""
    checked = _checked(nodes)
    own = [node for node in checked if str(getattr(node.op.vjp, "__module__", "")).startswith("rnngraph.")]
    known = {node.id for node in own}
    searched = [*_spread([node for node in checked if node.id not in known], FOREIGN_NODES), *_spread(own, OWN_NODES)]
    found = _wrong(nodes, searched, seed)
    if found:
        return found, ""
    steps = len({node.timestep for node in searched if node.timestep >= 0})
    where = f"{len(searched)} of {len(checked)} nodes" + (f", at {steps} timesteps," if steps else "")
    advice = "look at how gradients are added up, and at what the rules do at exactly the recorded values"
    left = " and at the other nodes" if len(searched) < len(checked) else ""
    return (), f"No op's own rule was found wrong ({where} were checked one by one): {advice}{left}."


def _rule(node: Entry) -> int:
    return id(node.cell) if isinstance(node, Block) else id(node.op)


def _checked(nodes: Sequence[Entry]) -> list[Entry]:
    return [node for node in nodes if node.op.vjp is not None and node.requires and node.op not in (DETACH, STATE)]


def _spread(nodes: list[Entry], most: int) -> list[Entry]:
    return [nodes[int(k)] for k in np.linspace(0, len(nodes) - 1, most)] if len(nodes) > most else nodes


def _wrong(nodes: Sequence[Entry], picked: Iterable[Entry], seed: int) -> tuple[Culprit, ...]:
    requires = {node.id: node.requires for node in nodes}
    generator = np.random.default_rng(seed)
    found: dict[tuple[int, int], Culprit] = {}
    with np.errstate(all="ignore"):
        for node in picked:
            for culprit in _check(node, [requires[source] for source in node.inputs], generator):
                found.setdefault((_rule(node), culprit.argument), culprit)
    return tuple(found.values())


def _check(node: Entry, wanted: list[bool], generator: np.random.Generator) -> Iterator[Culprit]:
    names, given, forward, backward = _of_block(node) if isinstance(node, Block) else _of_node(node)
    points = [_nudged(argument, generator) for argument in given]
    value = forward(points)
    if not all(np.isfinite(one).all() for one in (*points, value) if one.dtype.kind == "f"):
        return
    upstream = [generator.normal(size=value.shape)]
    checked = [k for k, needs in enumerate(wanted) if needs and points[k].dtype.kind == "f"]
    for k in _spread(checked, ARGUMENTS):  # type: ignore[arg-type]
        place: int = k  # type: ignore[assignment]
        name = names[place] if place < len(names) else ""

        def gradients(points: Sequence[Array], upstream: Sequence[Array], place: int = place) -> list[Array | None]:
            return [backward(points, upstream[0], place) if k == place else None for k in range(len(points))]

        op = f"{node.cell.facts.name} cell" if isinstance(node, Block) else node.op.name
        scope = (
            node.describe()
            if isinstance(node, Block)
            else "/".join(str(key) for kind, key in node.scope if kind != "t")
        )
        try:
            claimed = gradients(points, upstream)
        except GradientError as error:
            yield Culprit(op, place, name, node.id, node.timestep, scope, np.nan, np.nan, np.nan, str(error))
            continue
        subject = Subject(
            names, points, lambda moved: [forward(moved)], gradients, upstream, [value], claimed, False, True
        )  # fmt: skip
        one = compare(subject, place, subject.direction(place, generator))
        if one.resolved and not one.passed:
            reason = f"it gives {one.analytic:.6g} along a random direction, differences give {one.numeric:.6g}"
            numbers = one.analytic, one.numeric, one.relative_error
            yield Culprit(op, place, name, node.id, node.timestep, scope, *numbers, reason)


def _nudged(argument: Array, generator: np.random.Generator) -> Array:
    """Move off zeros, where kinks are; everything else moves by a thousandth of itself and keeps its sign."""
    if argument.dtype.kind != "f":
        return argument
    wide, draw = widened(argument), generator.normal(size=argument.shape)
    return np.where(wide == 0, 1e-3 * np.abs(draw), wide * (1 + 1e-3 * np.tanh(draw)))


Forward = Callable[[Sequence[Array]], Array]
Backward = Callable[[Sequence[Array], Array, int], Array]


def _of_node(node: Node) -> tuple[list[str], list[Array], Forward, Backward]:
    def forward(points: Sequence[Array]) -> Array:
        return np.asarray(node.op.forward(*points, **node.options))

    def backward(points: Sequence[Array], cotangent: Array, place: int) -> Array:
        tape = Tape()
        for position, point in enumerate(points):
            tape.append(INPUT, (), point, requires=position == place)
        tape.append(node.op, tuple(range(len(points))), forward(points), options=node.options, scope=node.scope)
        steps = {step.node.id: np.array(step.gradient) for step in sweep(tape, {len(points): cotangent})}
        return steps.get(place, np.zeros_like(points[place]))

    try:
        parameters = list(inspect.signature(node.op.forward).parameters.values())
    except (TypeError, ValueError):  # some NumPy functions have no signature
        parameters = []
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return names, list(node.arguments), forward, backward


def _of_block(block: Block) -> tuple[list[str], list[Array], Forward, Backward]:
    """See a cell as one rule, over the first steps of a block of it."""
    names = list(block.sources)
    given = {"x": block.x.swapaxes(0, 1)[:, :STEPS], **block.weights}
    given |= {kind + "0": block.state(kind, -1) for kind in block.columns}

    def short(points: Sequence[Array]) -> Block:
        arrays = dict(zip(names, points, strict=True))
        mask = None if block.keep is None else block.keep.T[:, :STEPS]
        return Block(
            0, block.cell, arrays["x"], weights={name: arrays[name] for name in block.weights},
            initial={kind: arrays[kind + "0"] for kind in block.columns}, reverse=block.reverse, mask=mask,
        )  # fmt: skip

    def backward(points: Sequence[Array], cotangent: Array, place: int) -> Array:
        one, name = short(points), names[place]
        pulled = pull(one, gather(one, [cotangent]), wanted=list(block.weights))
        if name == "x":
            return np.asarray(pulled.to_input).swapaxes(0, 1)
        return add_up([pulled.weights[name]], points[place], ()) if name in block.weights else pulled.initial[name[:-1]]

    return names, [given[name] for name in names], lambda points: short(points).value, backward
