"""What a gradient check found: a row an argument, where the wrong ones are wrong, and the ops whose rule is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One argument in the direction, of length 1, in which the claimed slope and the differences differ most.

    `resolved` is False where nothing can be told: the slope is too small, or the function too steep, for differences to
    tell it from rounding. On a tape such a row passes on the word of its ops' rules; of functions nobody vouches.
    """

    name: str
    analytic: float
    numeric: float
    relative_error: float
    passed: bool
    resolved: bool = True

    @property
    def wrong(self) -> bool:
        """Whether the claimed slope is known to be wrong."""
        return self.resolved and not self.passed

    @property
    def verdict(self) -> str:
        """What is known of it, in a word."""
        told, not_told = ("ok", "too small to tell") if self.passed else ("WRONG", "cannot tell")
        return told if self.resolved else not_told


@dataclass(frozen=True, slots=True)
class Culprit:
    """A rule that is wrong: its op, its argument, and where it was seen. Slopes are along a random direction."""

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

    def __repr__(self) -> str:
        """Say it in a sentence."""
        name = f" ({self.argument_name})" if self.argument_name else ""
        step = f", timestep {self.timestep}" if self.timestep >= 0 else ""
        place = f"node {self.node}{step}" + (f", {self.scope}" if self.scope else "")
        return f"the vjp of {self.op} is wrong for argument {self.argument}{name}: {self.reason} [{place}]"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a gradient check found. `where` says in sentences in which step, gate or way a wrong gradient is wrong."""

    rows: tuple[CheckRow, ...]
    culprits: tuple[Culprit, ...]
    tolerance: float
    dtype: str
    note: str = ""
    where: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether a gradient or a rule is known to be wrong; a check that did not pass may only have been undecided."""
        return bool(self.culprits) or any(row.wrong for row in self.rows)

    @property
    def passed(self) -> bool:
        """Whether every row passed and no rule is wrong."""
        return not self.culprits and all(row.passed for row in self.rows)

    def lines(self) -> list[str]:
        """Give the verdict, a table of the rows, what is wrong where, and the culprits."""
        undecided = "CANNOT all be compared with"
        verdict = "agree with" if self.passed else "DIFFER from" if self.differs else undecided
        width = max([4, *(len(row.name) for row in self.rows)])
        lines = [f"gradients {verdict} central differences ({self.dtype}, tolerance {self.tolerance:g})"]
        lines += [f"  {'name':<{width}}  {'gradient':>11}  {'differences':>11}  {'rel. error':>10}"] * bool(self.rows)
        for row in self.rows:
            numbers = f"{row.analytic:>11.4e}  {row.numeric:>11.4e}  {row.relative_error:>10.1e}"
            lines.append(f"  {row.name:<{width}}  {numbers}  {row.verdict}")
        return [*lines, *self.where, *map(str, self.culprits), *([self.note] if self.note else [])]

    def __repr__(self) -> str:
        """Show all lines."""
        return "\n".join(self.lines())
