"""What a gradient check found: a row a parameter, input or argument, and the ops whose rule is wrong.

In: comparisons of two slopes. Out: a `GradcheckReport`, which is data like a trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnngraph.autodiff.differences import Comparison
from rnngraph.autodiff.rules import Culprit

TOLERANCES = {"float32": 1e-3, "float64": 1e-6}  # the relative errors that pass


@dataclass(frozen=True, slots=True)
class GradcheckRow:
    """One parameter or input, in the direction in which the two slopes differ most.

    `resolved` is False where nothing can be told: the slope is too small, or the loss too steep, for differences to
    tell it from rounding. Such a row passes on the word of its ops' rules, and does not pass where there are none, or
    where the differences are not finite.
    """

    name: str
    analytic: float
    numeric: float
    relative_error: float
    passed: bool
    resolved: bool = True

    @classmethod
    def of(cls, name: str, one: Comparison) -> GradcheckRow:
        """Put a name to a comparison."""
        return cls(name, one.analytic, one.numeric, one.relative_error, one.passed, one.resolved)


@dataclass(frozen=True, slots=True)
class GradcheckReport:
    """What a gradient check found."""

    rows: tuple[GradcheckRow, ...]
    culprits: tuple[Culprit, ...]
    tolerance: float
    dtype: str
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether a gradient or a rule is known to be wrong; a check that did not pass may only have been undecided."""
        return bool(self.culprits) or any(row.resolved and not row.passed for row in self.rows)

    @property
    def passed(self) -> bool:
        """Whether every row passed and no rule is wrong."""
        return not self.culprits and all(row.passed for row in self.rows)

    def __str__(self) -> str:
        """Show the verdict, a table of the rows, and the culprits."""
        undecided = "CANNOT all be compared with"
        verdict = "agree with" if self.passed else "DIFFER from" if self.differs else undecided
        lines = [f"gradients {verdict} central differences ({self.dtype}, tolerance {self.tolerance:g})"]
        width = max((len(row.name) for row in self.rows), default=4)
        if self.rows:
            lines.append(f"  {'name':<{width}}  {'gradient':>13}  {'differences':>13}  {'rel. error':>10}")
        for row in self.rows:
            text = "cannot tell" if not row.resolved else "ok" if row.passed else "WRONG"
            numbers = f"{row.analytic:>13.6e}  {row.numeric:>13.6e}  {row.relative_error:>10.1e}"
            lines.append(f"  {row.name:<{width}}  {numbers}  {text}")
        lines.extend(str(culprit) for culprit in self.culprits)
        if self.note:
            lines.append(self.note.strip())
        return "\n".join(lines)


def worst_of(results: Sequence[Comparison]) -> Comparison:
    """Choose the direction to report: a wrong one before one that could not be resolved, then the largest error."""
    return max(
        results,
        key=lambda one: (one.resolved and not one.passed, not one.passed, not one.resolved, one.relative_error),
    )
