"""Check the rules on a tape one by one: each op's vjp against central differences of its own forward.

In: recorded nodes. Out: a `Culprit` for every op and argument whose rule is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import pull
from rnngraph.autodiff.block.given import gather
from rnngraph.autodiff.contribution import Array, add_up
from rnngraph.autodiff.differences import Comparison, compare
from rnngraph.autodiff.node import INPUT, Node, Op
from rnngraph.autodiff.ops import DETACH
from rnngraph.autodiff.replay import widened
from rnngraph.autodiff.tape import Entry, Tape
from rnngraph.errors import GradientError

TOLERANCE = 1e-6  # rules are checked in float64, whatever the tape's dtype is
STEPS = 8  # of a block, whose cell is checked as one rule
SAMPLES = 3  # nodes of one op and shape: the first, the middle and the last
FOREIGN_NODES = 2_000  # nodes of ops that are not the package's own, where a fault is searched for
OWN_NODES = 300  # nodes of the package's own ops, likewise
ARGUMENTS = 8  # arguments of one node; a stack of 10,000 steps has 10,000


@dataclass(frozen=True, slots=True)
class Culprit:
    """A rule that is wrong: which op, which argument, and where it was seen.

    `analytic` is what the vjp gives along a random direction, `numeric` what differences of the forward give.
    Both are NaN where the rule returned a gradient of the wrong shape.
    """

    op: str
    argument: int
    argument_name: str  # as the op's forward calls it; empty where that is not known
    node: int
    timestep: int  # -1 outside any timestep
    scope: str
    analytic: float
    numeric: float
    relative_error: float
    reason: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        name = f" ({self.argument_name})" if self.argument_name else ""
        step = f", timestep {self.timestep}" if self.timestep >= 0 else ""
        place = f"node {self.node}{step}" + (f", {self.scope}" if self.scope else "")
        return f"the vjp of {self.op} is wrong for argument {self.argument}{name}: {self.reason} [{place}]"


def wrong_rules(nodes: Sequence[Entry], *, seed: int = 0) -> tuple[Culprit, ...]:
    """Check every distinct op among `nodes` at random cotangents near its recorded arguments, at three nodes of it."""
    return _wrong(nodes, _samples(nodes), seed)


def search_rules(nodes: Sequence[Entry], *, seed: int = 0) -> tuple[tuple[Culprit, ...], str]:
    """Check node by node, where a gradient is wrong and no sampled rule explains it.

    Returns:
        what is wrong, and a sentence that says how far was searched where nothing is.
    """
    checked = _checked(nodes)
    own = [node for node in checked if str(getattr(node.op.vjp, "__module__", "")).startswith("rnngraph.")]
    known = {node.id for node in own}
    foreign = [node for node in checked if node.id not in known]
    searched = [*_spread(foreign, FOREIGN_NODES), *_spread(own, OWN_NODES)]
    found = _wrong(nodes, searched, seed)
    if found:
        return found, ""
    steps = len({node.timestep for node in searched if node.timestep >= 0})
    where = f"{len(searched)} of {len(checked)} nodes" + (f", at {steps} timesteps," if steps else "")
    advice = "look at how gradients are added up, and at what the rules do at exactly the recorded values"
    left = " and at the other nodes" if len(searched) < len(checked) else ""
    return (), f"No op's own rule was found wrong ({where} were checked one by one): {advice}{left}."


def _wrong(nodes: Sequence[Entry], picked: Iterable[Entry], seed: int) -> tuple[Culprit, ...]:
    requires = {node.id: node.requires for node in nodes}
    generator = np.random.default_rng(seed)
    found: dict[tuple[int, int], Culprit] = {}
    with np.errstate(all="ignore"):
        for node in picked:
            wanted = tuple([requires[source] for source in node.inputs])
            if isinstance(node, Block):
                rule, culprits = id(node.cell), _check_block(node, wanted, generator)
            else:
                rule, culprits = id(node.op), _check(node, wanted, generator)
            for culprit in culprits:
                found.setdefault((rule, culprit.argument), culprit)
    return tuple(found.values())


def _checked(nodes: Sequence[Entry]) -> list[Entry]:
    return [node for node in nodes if node.op.vjp is not None and node.requires and node.op is not DETACH]


def _spread(nodes: list[Entry], most: int) -> list[Entry]:
    if len(nodes) <= most:
        return nodes
    return [nodes[int(place)] for place in np.linspace(0, len(nodes) - 1, most)]


def _samples(nodes: Sequence[Entry]) -> Iterator[Entry]:
    groups: dict[Any, list[Entry]] = {}
    for node in _checked(nodes):
        # A node of very many inputs is told by their number: reading all shapes would cost as much as the replay.
        shapes = tuple([argument.shape for argument in node.arguments[:ARGUMENTS]])
        rule = id(node.cell) if isinstance(node, Block) else id(node.op)
        groups.setdefault((rule, len(node.inputs), shapes), []).append(node)
    for group in groups.values():
        yield from (group[place] for place in sorted({0, len(group) // 2, len(group) - 1}))


def _check(node: Node, requires: tuple[bool, ...], generator: np.random.Generator) -> Iterator[Culprit]:
    arguments = [_nudged(argument, generator) for argument in node.arguments]
    value = np.asarray(node.op.forward(*arguments, **node.options))
    if not all(np.isfinite(one).all() for one in (*arguments, value) if one.dtype.kind == "f"):
        return
    cotangent = generator.normal(size=value.shape)
    checked = [k for k, wanted in enumerate(requires) if wanted and arguments[k].dtype.kind == "f"]
    if len(checked) > ARGUMENTS:
        checked = [checked[int(k)] for k in np.linspace(0, len(checked) - 1, ARGUMENTS)]
    for position in checked:
        try:
            gradient = _gradient(node, arguments, value, cotangent, position)
        except GradientError as error:
            yield _culprit(node, position, str(error), Comparison(np.nan, np.nan, np.nan, False, True))
            continue
        result = _compare(node, arguments, cotangent, position, gradient, generator)
        if result.resolved and not result.passed and not result.kinked:
            reason = f"it gives {result.analytic:.6g} along a random direction, differences give {result.numeric:.6g}"
            yield _culprit(node, position, reason, result)


def _check_block(block: Block, requires: tuple[bool, ...], generator: np.random.Generator) -> Iterator[Culprit]:
    """Check a cell as one rule, over the first steps of a block of it."""
    names = list(block.sources)
    given = {"x": block.x.swapaxes(0, 1)[:, :STEPS], **block.weights}
    given |= {kind + "0": block.state(kind, -1) for kind in block.columns}
    arguments = [_nudged(given[name], generator) for name in names]

    def forward(*arrays: Array) -> Array:
        return _short(block, dict(zip(names, arrays, strict=True))).value

    value = forward(*arguments)
    if not all(np.isfinite(one).all() for one in (*arguments, value)):
        return
    cotangent = generator.normal(size=value.shape)
    cell = Op(f"{block.cell.facts.name} cell", "", forward)
    node = Node(block.id, cell, block.inputs, value, (), block.place, -1, True, {})
    for position, name in enumerate(names):
        if not requires[position]:
            continue
        gradient = _block_gradient(block, dict(zip(names, arguments, strict=True)), cotangent, name)
        result = _compare(node, arguments, cotangent, position, gradient, generator)
        if result.resolved and not result.passed and not result.kinked:
            reason = f"it gives {result.analytic:.6g} along a random direction, differences give {result.numeric:.6g}"
            numbers = (result.analytic, result.numeric, result.relative_error)
            yield Culprit(cell.name, position, name, block.id, -1, block.describe(), *numbers, reason)


def _short(block: Block, arrays: dict[str, Array]) -> Block:
    mask = None if block.keep is None else block.keep.T[:, :STEPS]
    return Block(
        0, block.cell, arrays["x"], weights={name: arrays[name] for name in block.weights},
        initial={kind: arrays[kind + "0"] for kind in block.columns}, reverse=block.reverse, mask=mask,
    )  # fmt: skip


def _block_gradient(block: Block, arrays: dict[str, Array], cotangent: Array, name: str) -> Array:
    short = _short(block, arrays)
    pulled = pull(short, gather(short, [cotangent]), wanted=list(block.weights))
    if name == "x":
        return np.asarray(pulled.to_input).swapaxes(0, 1)
    if name in block.weights:
        return add_up([pulled.weights[name]], arrays[name], ())
    return pulled.initial[name.removesuffix("0")]


def _nudged(argument: Array, generator: np.random.Generator) -> Array:
    """Move off zeros, where kinks are; everything else moves by a thousandth of itself and keeps its sign."""
    if argument.dtype.kind != "f":
        return argument
    wide, draw = widened(argument), generator.normal(size=argument.shape)
    return np.where(wide == 0, 1e-3 * np.abs(draw), wide * (1 + 1e-3 * np.tanh(draw)))


def _gradient(node: Node, arguments: list[Array], value: Array, cotangent: Array, position: int) -> Array:
    tape = Tape()
    for place, argument in enumerate(arguments):
        tape.append(INPUT, (), argument, requires=place == position)
    tape.append(node.op, tuple(range(len(arguments))), value, options=node.options, scope=node.scope)
    gradient = np.zeros_like(arguments[position])
    for step in sweep(tape, {len(arguments): cotangent}):
        if step.node.id == position:
            gradient = np.array(step.gradient)
    return gradient


def _compare(
    node: Node,
    arguments: list[Array],
    cotangent: Array,
    position: int,
    gradient: Array,
    generator: np.random.Generator,
) -> Comparison:
    point = arguments[position]
    # Relative to each element: a step then leaves no logarithm's or power's domain.
    direction = generator.normal(size=point.shape) * np.abs(point)
    if not direction.any():
        direction = generator.normal(size=point.shape)
    epsilon = float(np.finfo(np.result_type(node.op.forward(*arguments, **node.options), np.float16)).eps)

    def along(offset: float) -> float:
        moved = [*arguments[:position], point + offset * direction, *arguments[position + 1 :]]
        return float((cotangent * node.op.forward(*moved, **node.options)).sum())

    return compare(along, gradient, direction, tolerance=TOLERANCE, epsilon=epsilon)


def _culprit(node: Node, position: int, reason: str, result: Comparison) -> Culprit:
    scope = "/".join(str(key) for kind, key in node.scope if kind != "t")
    name = _argument_name(node.op, position)
    numbers = (result.analytic, result.numeric, result.relative_error)
    return Culprit(node.op.name, position, name, node.id, node.timestep, scope, *numbers, reason)


def _argument_name(op: Op, position: int) -> str:
    try:
        parameters = list(inspect.signature(op.forward).parameters.values())
    except (TypeError, ValueError):  # some NumPy functions have no signature
        return ""
    plain = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return plain[position] if position < len(plain) else ""
