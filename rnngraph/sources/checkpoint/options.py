"""What can be said of a checkpoint that the file does not say itself.

In: the text of `--layer`. Out: names of the layers that are meant, and names or conventions by role.
"""

from __future__ import annotations

from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.hand_written.gate_by_gate import TOLD
from rnngraph.sources.checkpoint.hand_written.packed import ORDER, is_order

_CHOICES = {**TOLD, "bias": ("first", "last")}


def read_layer_option(text: str | None) -> tuple[list[str], dict[str, str]]:
    """Take NAME,NAME and ROLE=VALUE apart.

    Raises:
        InputError: a role that there is not, or a value that it cannot have.
    """
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    roles = dict(part.split("=", 1) for part in parts if "=" in part)
    for role, value in roles.items():
        if role not in ("embedding", "output", "gates", *_CHOICES):
            raise InputError(f"--layer {role}={value} names no role; write embedding=NAME or output=NAME.")
        if role == "gates" and not is_order(value):
            raise InputError(f"--layer gates={value} says nothing; write {ORDER}.")
        if role in _CHOICES and value not in _CHOICES[role]:
            raise InputError(f"--layer {role}={value} says nothing; write {' or '.join(_CHOICES[role])}.")
    return [part for part in parts if "=" not in part], roles
