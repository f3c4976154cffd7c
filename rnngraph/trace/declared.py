"""Shape and range of every column of a trace, declared with the column and held here.

In: a dataclass of the model. Out: nothing, or one sentence that names the column and the value that does not fit. Sizes
are names: the first column that uses one sets it, and all others of the same object and of those inside it must agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from rnngraph.errors import InputError
from rnngraph.trace.magnitudes import Magnitudes, Status

LARGEST_LOG = 1e7  # of a norm's natural logarithm: no pass is so long that it leaves this range
_CHUNK = 1_000_000  # numbers that are looked at together


@dataclass(frozen=True, slots=True)
class Declared:
    """What a column may hold: its axes ("T", "T+1" or a number), and the range of its finite values."""

    axes: tuple[str | int, ...] = ()
    least: float = -np.inf
    most: float | str = np.inf  # a name means: below that size

    def size_of(self, axis: str | int, sizes: dict[str, int], found: int) -> int:
        """Give the size that an axis must have; a name that is new takes the size that was found."""
        if isinstance(axis, int):
            return axis
        name, _, more = axis.partition("+")
        return sizes.setdefault(name, found - int(more or 0)) + int(more or 0)


def declared(*axes: str | int, least: float = -np.inf, most: float | str = np.inf) -> Declared:
    """Declare a column."""
    return Declared(axes, least, most)


def check(item: Any, place: str, sizes: dict[str, int] | None = None, *, values: bool = True) -> None:
    """Hold every declared column of an object, and of the objects inside it, to its declaration.

    Without `values` only shapes are held, so that columns may stand for such as were not read yet.

    Raises:
        InputError: the first column that does not fit.
    """
    sizes = dict(sizes or {})
    kind: type = type(item)
    for name, rule in _rules(kind).items():
        value, where = getattr(item, name), f"{place}.{name}"
        if isinstance(value, tuple):
            for number, one in enumerate(value):
                if is_dataclass(one) and not isinstance(one, type):
                    check(one, f"{where}[{number}]", sizes, values=values)
            value = None if rule is None else np.empty(len(value))
        elif is_dataclass(value) and not isinstance(value, Magnitudes | type):
            check(value, where, sizes, values=values)
        if rule is not None and value is not None:
            _hold_shape(rule, value, where, sizes)
            if values:
                _hold_values(rule, value, where, sizes)


def _hold_shape(rule: Declared, value: Any, where: str, sizes: dict[str, int]) -> None:
    if isinstance(value, Magnitudes):
        if value.value.shape != value.status.shape:
            raise InputError(
                f"{where} has values of shape {value.value.shape} and states of shape {value.status.shape} that do "
                "not fit."
            )
        value = value.value
    array = np.asarray(value)
    wanted = tuple([rule.size_of(axis, sizes, found) for axis, found in zip(rule.axes, array.shape, strict=False)])
    if len(rule.axes) != array.ndim or wanted != array.shape:
        raise InputError(f"{where} has shape {array.shape}; {_text(rule)} is needed, here {wanted}.")


def _hold_values(rule: Declared, value: Any, where: str, sizes: dict[str, int]) -> None:
    if isinstance(value, Magnitudes):
        _hold_magnitudes(value, where)
        value = value.value
    array = np.asarray(value)
    most = sizes[rule.most] - 1 if isinstance(rule.most, str) else rule.most
    flat = array.reshape(-1)
    for first in range(0, flat.size, _CHUNK):
        part = flat[first : first + _CHUNK]
        known = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if known.size and (known.min() < rule.least or known.max() > most):
            odd = known[(known < rule.least) | (known > most)][0]
            raise InputError(f"{where} holds {odd}; its values lie between {rule.least:g} and {most:g}.")


def _hold_magnitudes(magnitudes: Magnitudes, where: str) -> None:
    value, status = magnitudes.value, magnitudes.status
    if (status > max(Status)).any():
        raise InputError(f"{where} has a status of {status.max()}; there are {max(Status)}.")
    known: NDArray[np.bool_] = status == Status.OK
    nothing = (status == Status.ZERO) | (status == Status.UNDERFLOW)
    if not (np.isfinite(value[known]) & (value[known] > 0)).all() or (value[nothing] != 0).any():
        raise InputError(f"{where} holds norms that contradict what is said of them.")


@lru_cache
def _rules(kind: type[Any]) -> dict[str, Declared | None]:
    hints = get_type_hints(kind, include_extras=True)
    found: dict[str, Declared | None] = {}
    for one in fields(kind):
        extras = getattr(hints[one.name], "__metadata__", ())
        found[one.name] = next((extra for extra in extras if isinstance(extra, Declared)), None)
    return found


def _text(rule: Declared) -> str:
    return "(" + ", ".join(re.sub(r"\s", "", str(axis)) for axis in rule.axes) + ")"
