"""What a notebook finds on a trace and on a drawing: the way to whoever shows them.

`render` is above both and registers one function here; what may be shown inherits `Shown`. Nothing is loaded for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_registered: list[Callable[[Any], dict[str, str]]] = []


class Shown:
    """Something that a notebook shows by itself."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Give a notebook what it may choose from, by media type."""
        return _registered[-1](self) if _registered else {"text/plain": repr(self)}


def show_with(function: Callable[[Any], dict[str, str]]) -> None:
    """Register what shows all that is `Shown`."""
    _registered.append(function)
