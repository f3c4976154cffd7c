"""The pages are kept: what they name exists, and the diffs that show how to add something fit the files they change."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FOLDERS = "rnngraph|tests|docs|examples|tools"
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
START = re.compile(
    r"^(?:--- /dev/null\n\+\+\+ b/|copy from (?P<copied>.+)\ncopy to |\+\+\+ b/)(?P<path>.+)\n", re.MULTILINE
)


@dataclass(frozen=True)
class Change:
    """One file of a diff; `source` is the file whose lines it shows, None for one that is made from nothing."""

    path: str
    source: str | None
    lines: tuple[str, ...]


def changes() -> list[Change]:
    found = []
    for block in re.findall(r"^```diff\n(.*?)^```", EXTENDING, re.DOTALL | re.MULTILINE):
        starts = list(START.finditer(block))
        for start, after in zip(starts, [*starts[1:], None], strict=True):
            lines = block[start.end() : after and after.start()].splitlines()
            made = None if start[0].startswith("---") else start["path"]
            found.append(Change(start["path"], start["copied"] or made, tuple(lines)))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {page.parent / link for link in re.findall(r"\]\((?!https?:)([^)#]+)", text)}
    named = {ROOT / path for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text)}
    assert not [str(path) for path in links | named if not path.exists()]


def test_the_diffs_fit_the_files_that_they_change() -> None:
    assert len(changes()) == EXTENDING.count("\n+++ b/") + EXTENDING.count("\ncopy to ")
    for change in changes():
        if change.source != change.path:
            assert not (ROOT / change.path).exists(), f"{change.path} is there already"
        if change.source is None:
            ast.parse("\n".join(line[1:] for line in change.lines))
            continue
        left = (ROOT / change.source).read_text(encoding="utf-8").splitlines()
        for line in change.lines:
            if line[0] in "- ":  # the lines stand in the file, in this order
                assert line[1:] in left, f"{change.source} has no line {line[1:]!r}"
                left = left[left.index(line[1:]) + 1 :]
