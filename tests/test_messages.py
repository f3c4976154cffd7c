"""Every error's message is a sentence of one form: `rnngraph: ` stands before it on the command line.

Held to the messages that are written out where one of the package's own errors is raised; Python's own may be pieces
of a sentence.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rnngraph"
# What a message may begin with although it is a capital.
NAMES = ("PyTorch", "JAX", "Graphviz", "Lightning", "Stable-Baselines3", "Transformers", "NaN", "SOURCE")


def literal(node: ast.expr) -> str | None:
    """Give the text of a literal, with `{}` for each placeholder; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return None


def messages() -> Iterator[tuple[str, str]]:
    """Find where an error of the package is raised with a literal message."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                message = literal(node.exc.args[0])
                kind = ast.unparse(node.exc.func).rpartition(".")[2]
                # A function that makes the error, such as `refusal`, makes the sentence too.
                if message is not None and kind[:1].isupper() and not hasattr(builtins, kind):
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", message


def fault(message: str) -> str | None:
    """Say what is wrong with the form of a message."""
    if not message:
        return "is empty"
    if not (message[0].islower() or message[0].isdigit() or message[0] in "{'\"`-" or message.startswith(NAMES)):
        return "begins with a capital"
    return None if message.endswith((".", "}")) else "has no full stop"


def test_every_message_is_a_sentence() -> None:
    found = list(messages())
    assert len(found) > 200  # that the search still finds them
    wrong = [f"{place} {fault(message)}: {message}" for place, message in found if fault(message)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("message", ["", "The batch is 0.", "the batch is {}; choose more", "_x is no name."])
def test_a_message_of_another_form_is_noticed(message: str) -> None:
    assert fault(message) is not None
