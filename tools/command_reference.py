"""Fill the page of the commands from the commands themselves, while the site is built.

In: the page `reference/commands.md` and the registered commands. Out: the page, with what each `--help` says.
"""

from __future__ import annotations

import os
from typing import Any

from click.testing import CliRunner
from typer.main import get_group


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append the help of every command to the page of the commands."""
    if page.file.src_uri != "reference/commands.md":
        return markdown
    return markdown + "".join(f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in helps().items())


def helps() -> dict[str, str]:
    """Give what `rnngraph COMMAND --help` prints at 100 columns, by command."""
    os.environ |= {"TERMINAL_WIDTH": "100", "COLUMNS": "100", "NO_COLOR": "1"}
    from rnngraph.cli.app import app

    group, found = get_group(app), {}
    for name in group.commands:
        done = CliRunner().invoke(group, [name, "--help"], prog_name="rnngraph")
        found[name] = "\n".join(line.rstrip() for line in done.output.strip("\n").splitlines())
    return found
