"""Commands as they are typed, run in this process: what they print, and the error that would be their complaint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from rnngraph.cli.app import app
from rnngraph.errors import RnnGraphError


def typed(*arguments: str, status: int | None = 0, width: int = 100) -> str:
    """Run a command on a page so wide; with `status` None it may end with bad news, or without.

    Raises:
        RnnGraphError: what the command would complain of.
        AssertionError: it ended otherwise.
    """
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": str(width)})
    if isinstance(result.exception, RnnGraphError):
        raise result.exception
    assert result.exit_code == status or (status is None and result.stdout), (arguments, result.output)
    return result.stdout


def strict(text: str) -> Any:
    """Read JSON, which has no infinity and no NaN."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(word))
