"""The gradient check: what the reverse sweep gives against central differences of the replayed tape.

In: a recorded scalar loss. Out: a `GradcheckReport`, one row a parameter and floating input, and the ops whose
rule is wrong. Rules are also checked one by one, because a wrong rule can hide: with one timestep and a zero
state, the gradient of the recurrent weight is zero whatever its rule says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np

from rnngraph.autodiff.backward import gradients, scalar_cotangent
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.differences import Comparison, compare
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.replay import Replay
from rnngraph.autodiff.rules import Culprit, wrong_rules
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import GradientError, InputError

TOLERANCES = {"float32": 1e-3, "float64": 1e-6}
DRIFT = 0.1  # the share of the tolerance that a float32 forward may differ from a float64 one
SEPARATE = 64  # leaves that get a row of their own; the rest are moved together, so that the cost stays linear


@dataclass(frozen=True, slots=True)
class GradcheckRow:
    """One parameter or input, in the direction in which the two slopes differ most.

    `resolved` is False where the slope is too small, or the loss too steep, for differences to tell it from
    rounding; such a row passes on the word of its ops' rules.
    """

    name: str
    analytic: float
    numeric: float
    relative_error: float
    passed: bool
    resolved: bool = True


@dataclass(frozen=True, slots=True)
class GradcheckReport:
    """What a gradient check found."""

    rows: tuple[GradcheckRow, ...]
    culprits: tuple[Culprit, ...]
    tolerance: float
    dtype: str
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether every row passed and no rule is wrong."""
        return not self.culprits and all(row.passed for row in self.rows)

    def __str__(self) -> str:
        """Show the verdict, a table of the rows, and the culprits."""
        verdict = "agree with" if self.passed else "DIFFER from"
        lines = [f"gradients {verdict} central differences ({self.dtype}, tolerance {self.tolerance:g})"]
        width = max((len(row.name) for row in self.rows), default=4)
        if self.rows:
            lines.append(f"  {'name':<{width}}  {'gradient':>13}  {'differences':>13}  {'rel. error':>10}")
        for row in self.rows:
            text = "ok" if row.passed and row.resolved else "cannot tell" if row.passed else "WRONG"
            numbers = f"{row.analytic:>13.6e}  {row.numeric:>13.6e}  {row.relative_error:>10.1e}"
            lines.append(f"  {row.name:<{width}}  {numbers}  {text}")
        lines.extend(str(culprit) for culprit in self.culprits)
        if self.note:
            lines.append(self.note.strip())
        return "\n".join(lines)


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
    if isinstance(directions, bool) or not isinstance(directions, int | np.integer) or directions < 1:
        raise InputError(f"directions is {directions!r}; it must be a whole number of at least 1.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; it must be a whole number of at least 0.")
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
    if not culprits and not all(row.passed for row in rows):
        note += "Every op's own rule is right where it was checked, so the fault is in how gradients are added up."
    return GradcheckReport(rows, culprits, allowed, dtype, note)


def _leaves(replay: Replay) -> list[Node]:
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
        rows.append(_row(_label(group), worst))
    order = {name: place for place, name in enumerate(found)}
    return tuple(sorted(rows, key=lambda row: order.get(row.name, len(order))))


def _worst(
    replay: Replay,
    found: Mapping[str, Array],
    group: list[Node],
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
    return max(results, key=lambda one: (not one.passed, not one.resolved, one.relative_error))


def _direction(point: Array, generator: np.random.Generator) -> Array:
    """Draw a direction as long as the point itself, or of unit elements where the point is zero."""
    draw = generator.normal(size=point.shape)
    size = np.sqrt(np.mean(point * point))
    return draw * (size or 1.0)


def _beside(replay: Replay, leaves: list[Node], generator: np.random.Generator) -> Tensor:
    """Record the loss again with every leaf moved by about a hundredth, off the kinks."""
    return replay.moved(
        {leaf.id: replay.base[leaf.id] + 0.01 * _direction(replay.base[leaf.id], generator) for leaf in leaves}
    )


def _row(name: str, one: Comparison) -> GradcheckRow:
    return GradcheckRow(name, one.analytic, one.numeric, one.relative_error, one.passed, one.resolved)


def _zero_row(name: str) -> GradcheckRow:
    """Make the row of a leaf that the loss does not depend on: both slopes are zero."""
    return GradcheckRow(name, 0.0, 0.0, 0.0, True)


def _label(group: list[Node]) -> str:
    return str(group[0].name) if len(group) == 1 else f"{group[0].name} .. {group[-1].name} ({len(group)} leaves)"
