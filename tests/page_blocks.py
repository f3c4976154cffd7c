"""What a page says can be typed: its blocks in order, and how each is run.

`<!-- before ... -->` holds Python, or names a file of it, that a reader has anyway (a model, a batch). A `python` block
with a title is written to that file, others share one namespace a page. Each `rnngraph` line of a `sh` block is run;
`# exit status 1` behind it is what it must end with. A `text` block behind a `sh` block is what that prints, with `...`
for lines that are left out.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests import programs

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(
    r"^<!-- before(?: (?P<file>\S+) -->|\n(?P<before>.*?)^-->)|"
    r"^ {0,4}```(?P<kind>\w+)(?P<rest>[^\n]*)\n(?P<text>.*?)^ {0,4}```",
    re.DOTALL | re.MULTILINE,
)
_OPTIONAL = re.compile(
    r"\b(?:import|from) (torch|lightning|transformers|jax|flax|tensorboard)\b|rnngraph\.(torch|jax)\b"
)
NARROW = {"COLUMNS": "80", "NO_COLOR": "1"}
_STATUS = re.compile(r"# exit status (\d+)")


@dataclass(frozen=True)
class Block:
    """One block: what kind it is, the name of its file if it has one, and its text."""

    kind: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """List the blocks of a page in order."""
    found = []
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        title = re.search(r'title="([^"]+)"', match["rest"] or "")
        held = (ROOT / match["file"]).read_text(encoding="utf-8") if match["file"] else match["before"]
        text = dedent(match["text"]) if match["kind"] else held
        found.append(Block(match["kind"] or "before", title[1] if title else "", text))
    return found


def needs(page: Path) -> set[str]:
    """Name the optional packages that a page's blocks import."""
    return {one or other for block in blocks(page) for one, other in _OPTIONAL.findall(block.text)}


def run(page: Path) -> None:
    """Type everything that a page shows, in the working folder.

    Raises:
        AssertionError: a command ended otherwise than the page says, or printed something else.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = None
    for block in blocks(page):
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.kind in ("before", "python"):
            exec(compile(block.text, f"{page.name}, a block", "exec"), names)
        elif block.kind == "text" and printed is not None:
            compare(printed, block.text)
        printed = type_all(block.text, "torch" if "torch" in needs(page) else "") if block.kind == "sh" else None


def type_all(lines: str, loaded: str = "") -> str:
    """Run the `rnngraph` lines of a block, and give what they print; `loaded` is a package that they need."""
    printed = ""
    for line in lines.splitlines():
        if line.startswith("rnngraph"):
            status = _STATUS.search(line)
            commands = line.partition(" #")[0].split(" && ")
            assert not set("|<>;&$*") & set("".join(commands)), f"only && is understood of a shell: {line}"
            for command in commands:
                _, *words = shlex.split(command)
                done = programs.run(*words, folder=Path.cwd(), environment=NARROW, loaded=loaded)
                expected = int(status[1]) if status and command is commands[-1] else 0
                assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
                printed += done.stdout
    return printed


def compare(printed: str, shown: str) -> None:
    """Hold what a page shows to what was printed; `...` stands for any lines."""
    parts = [
        re.escape("\n".join(line.rstrip() for line in part.strip("\n").splitlines())) for part in shown.split("...\n")
    ]
    plain = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    assert re.search(".*".join(parts), plain, re.DOTALL), f"the page shows\n{shown}\nbut it prints\n{plain}"
