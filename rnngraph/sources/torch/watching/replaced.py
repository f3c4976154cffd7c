"""Functions of PyTorch's with something of ours in their place, for a while.

In: where a function stands, and what to put around it. Out: how to take that off again. Several watches may be on at
once, and each may end before or after the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

Wrap: TypeAlias = Callable[[Any], Any]

_OWN: dict[tuple[Any, str], tuple[bool, Any]] = {}  # what stood there before anybody came, or in a base
_AROUND: dict[tuple[Any, str], list[Wrap]] = {}
_eager = contextlib.ExitStack()
_eager_for: list[object] = []


def put_around(owner: Any, name: str, wrap: Wrap) -> Callable[[], None]:
    """Put `wrap(what stands there)` in the place of an attribute; the function that is returned takes it off."""
    place = owner, name
    _OWN.setdefault(place, (name in vars(owner), vars(owner).get(name, getattr(owner, name))))
    _AROUND.setdefault(place, []).append(wrap)
    _renew(place)

    def take_off() -> None:
        _AROUND[place].remove(wrap)
        _renew(place)

    return take_off


def _renew(place: tuple[Any, str]) -> None:
    stood_there, found = _OWN[place]
    for wrap in _AROUND[place]:
        found = wrap(found)
    setattr(*place, found)
    if not _AROUND[place]:
        if not stood_there:  # but in a base
            delattr(*place)
        del _AROUND[place], _OWN[place]


def run_eagerly() -> Callable[[], None]:
    """Let nothing run compiled, until the function that is returned was called by everybody who asked."""
    token = object()
    if not _eager_for:
        _eager.enter_context(torch.compiler.set_stance("force_eager"))
    _eager_for.append(token)

    def end() -> None:
        _eager_for.remove(token)
        if not _eager_for:
            _eager.close()

    return end
