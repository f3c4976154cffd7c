"""The gradient check: what the reverse sweep gives against central differences of the replayed tape.

In: a recorded scalar loss. Out: a `GradcheckReport`, one row a parameter and floating input, and the ops whose
rule is wrong. Rules are also checked one by one, because a wrong rule can hide: with one timestep and a zero
state, the gradient of the recurrent weight is zero whatever its rule says.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np

from rnngraph.autodiff.backward import gradients, scalar_cotangent
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.differences import Comparison, compare
from rnngraph.autodiff.gradcheck_report import TOLERANCES, GradcheckReport, GradcheckRow, worst_of
from rnngraph.autodiff.replay import Replay
from rnngraph.autodiff.rules import search_rules, wrong_rules
from rnngraph.autodiff.tape import Entry
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import whole_number
from rnngraph.errors import GradientError, InputError

DRIFT = 0.1  # the share of the tolerance that a float32 forward may differ from a float64 one
SEPARATE = 64  # leaves that get a row of their own; the rest are moved together, so that the cost stays linear


def gradcheck(loss: Tensor, *, directions: int = 3, seed: int = 0, tolerance: float | None = None) -> GradcheckReport:
    """Compare the gradient of a scalar loss with central differences, by replaying its tape in float64.

    Every parameter and floating input is moved along random directions; beyond 64 of them, the rest are moved
    together in one row. Where the loss has a kink at the very point (a ReLU at 0), both sides are compared a
    little beside it. Nothing that the model holds is changed.

    Args:
        loss: a scalar.
        directions: random directions a row.
        seed: of the directions.
        tolerance: the relative error that passes: 1e-6, or 1e-3 where anything is float32.

    Raises:
        InputError: the loss is not a finite scalar, depends on nothing, or cannot be replayed; an option that
            cannot be used.
    """
    scalar_cotangent(loss)
    directions = whole_number(directions, "directions", least=1)
    seed = whole_number(seed, "seed", least=0)
    if tolerance is not None and not (isinstance(tolerance, Real) and 0 < tolerance < 1):
        raise InputError(f"tolerance is {tolerance!r}; it is a relative error, between 0 and 1.")
    replay = Replay(loss)
    narrow = any(leaf.value.dtype == np.float32 for leaf in _leaves(replay))
    dtype = "float32" if narrow else "float64"
    allowed = TOLERANCES[dtype] if tolerance is None else tolerance
    generator = np.random.default_rng(seed)
    note = ""
    with np.errstate(all="ignore"):
        try:
            found = gradients(loss)
            drift = replay.drift() if narrow else 0.0
            if drift > DRIFT * allowed:
                replay = Replay(replay.moved({}))
                found.update(gradients(replay.loss))
                note = f"float32 rounding grows to {drift:.0e} of a value here, so a float64 run was checked. "
            rows = _rows(replay, found, allowed, generator, directions)
        except GradientError:  # a gradient of the wrong shape: the rules below say whose
            rows = ()
        culprits = wrong_rules(replay.nodes, seed=seed)
    if not rows and not culprits:
        gradients(loss)  # raises what no sampled rule explains
    if not culprits and any(row.resolved and not row.passed for row in rows):
        culprits, searched = search_rules(replay.nodes, seed=seed)
        note += searched
    undecided = [row.name for row in rows if not row.resolved and not row.passed]
    if undecided:
        note += f"The loss is not finite beside the point along {', '.join(undecided)}, so that nothing can be told."
    return GradcheckReport(rows, culprits, allowed, dtype, note)


def _leaves(replay: Replay) -> list[Entry]:
    return [node for node in replay.nodes if node.op.vjp is None and node.name and node.requires]


def _rows(
    replay: Replay,
    found: Mapping[str, Array],
    tolerance: float,
    generator: np.random.Generator,
    directions: int,
) -> tuple[GradcheckRow, ...]:
    leaves = _leaves(replay)
    separate = leaves if len(leaves) <= SEPARATE else leaves[: SEPARATE - 1]
    groups = [[leaf] for leaf in separate]
    if len(separate) < len(leaves):
        groups.append(leaves[len(separate) :])
    beside: tuple[Replay, Mapping[str, Array]] | None = None
    rows = [_zero_row(name) for name in found.keys() - {leaf.name for leaf in leaves}]
    for group in groups:
        worst = _worst(replay, found, group, tolerance, generator, directions)
        if worst.kinked:
            if beside is None:
                loss = _beside(replay, leaves, generator)
                beside = Replay(loss), gradients(loss)
            ids = {leaf.name for leaf in group}
            moved = [leaf for leaf in _leaves(beside[0]) if leaf.name in ids]
            worst = _worst(*beside, moved, tolerance, generator, directions)
        rows.append(GradcheckRow.of(_label(group), worst))
    order = {name: place for place, name in enumerate(found)}
    return tuple(sorted(rows, key=lambda row: order.get(row.name, len(order))))


def _worst(
    replay: Replay,
    found: Mapping[str, Array],
    group: list[Entry],
    tolerance: float,
    generator: np.random.Generator,
    directions: int,
) -> Comparison:
    affected = replay.affected([leaf.id for leaf in group])
    points = [replay.base[leaf.id] for leaf in group]
    sizes = np.cumsum([point.size for point in points])[:-1]
    gradient = np.concatenate([found[str(leaf.name)].ravel() for leaf in group])
    results = []
    for _ in range(directions):
        drawn = [_direction(point, generator) for point in points]
        direction = np.concatenate([one.ravel() for one in drawn])

        def along(offset: float, direction: Array = direction) -> float:
            parts = np.split(direction, sizes)
            moved = {
                leaf.id: point + offset * part.reshape(point.shape)
                for leaf, point, part in zip(group, points, parts, strict=True)
            }
            return replay.value(moved, affected)

        epsilon = float(np.finfo(replay.base[replay.loss.id].dtype).eps)
        results.append(compare(along, gradient, direction, tolerance=tolerance, epsilon=epsilon))
    return worst_of(results)


def _direction(point: Array, generator: np.random.Generator) -> Array:
    """Draw a direction as long as the point itself, or of unit elements where the point is zero."""
    draw = generator.normal(size=point.shape)
    size = np.sqrt(np.mean(point * point))
    return draw * (size or 1.0)


def _beside(replay: Replay, leaves: list[Entry], generator: np.random.Generator) -> Tensor:
    """Record the loss again with every leaf moved by about a hundredth, off the kinks."""
    return replay.moved(
        {leaf.id: replay.base[leaf.id] + 0.01 * _direction(replay.base[leaf.id], generator) for leaf in leaves}
    )


def _zero_row(name: str) -> GradcheckRow:
    """Make the row of a leaf that the loss does not depend on: both slopes are zero."""
    return GradcheckRow(name, 0.0, 0.0, 0.0, True)


def _label(group: list[Entry]) -> str:
    return str(group[0].name) if len(group) == 1 else f"{group[0].name} .. {group[-1].name} ({len(group)} leaves)"
