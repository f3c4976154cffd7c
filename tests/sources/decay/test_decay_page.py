"""The page on linear recurrences is kept: its tables name every family and every finding."""

from __future__ import annotations

import re
from pathlib import Path

from rnngraph.sources.decay.families import FAMILIES
from rnngraph.sources.decay.rules import RULES

PAGE = (Path(__file__).parents[3] / "docs" / "linear-recurrences.md").read_text(encoding="utf-8")


def named(heading: str) -> list[str]:
    """Give the first column of the table under a heading."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


def test_the_tables_are_those_of_the_package() -> None:
    assert named("Families") == [family.name for family in FAMILIES]
    assert named("What is found") == [rule.name for rule in RULES]


def test_the_severity_and_the_occasion_of_a_finding_are_right() -> None:
    for rule in RULES:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{rule.name}` |"))
        _, _, severity, when, *_ = (cell.strip() for cell in row.split("|"))
        assert severity == rule.severity
        assert ("--fresh" in when) == rule.fresh
        assert ("--context" in when) == (rule.name == "never_forgets")
