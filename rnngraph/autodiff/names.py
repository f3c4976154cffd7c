"""Names on a tape: each is given once, and what asks for a taken one gets a number behind it."""

from __future__ import annotations

from typing import Protocol

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError


class Named(Protocol):
    """What a tape needs of a parameter; `nn.Parameter` is one."""

    name: str
    value: Array


def reserve(name: str, taken: set[str]) -> str:
    """Take a name, and add it to those taken: the second `x` is `x_1`, the second `rnn.Wx` is `rnn_1.Wx`.

    Raises:
        InputError: the name is no text.
    """
    if not isinstance(name, str):
        raise InputError(f"the name is {name!r}; pass text, such as 'x'.")
    free, count = name, 0
    while free in taken:
        count += 1
        owner, dot, last = name.rpartition(".")
        free = f"{owner}_{count}.{last}" if dot else f"{name}_{count}"
    taken.add(free)
    return free


def numbered(name: str, taken: set[str]) -> str:
    """Give the name, or the first of `name_1`, `name_2`, ... that is free."""
    count, free = 0, name
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    return free
