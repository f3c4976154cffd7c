"""Call a forward and a backward that somebody wrote by hand, and hold what they give to what was agreed.

In: two functions and arrays. Out: outputs and gradients as arrays, or one sentence that says what does not fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.differences import ROUNDING
from rnngraph.checks import rectangular
from rnngraph.errors import InputError

REPEATS = 3  # calls that must agree; a small mask drawn anew can agree with another by chance


@dataclass(frozen=True, slots=True)
class Functions:
    """The pair, with the names of the forward's arguments."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    names: Sequence[str]

    def run(self, points: Sequence[Array]) -> tuple[list[Array], Any]:
        """Call the forward.

        Returns:
            its outputs and its cache.

        Raises:
            InputError: it raised, or gave anything but outputs of real numbers and a cache, as a tuple.
        """
        try:
            results = self.forward(*[point.copy() for point in points])
        except Exception as error:
            raise InputError(f"the forward, which is the first function, raised {_said(error)}.") from error
        if not isinstance(results, tuple) or len(results) < 2:
            raise InputError(
                f"the forward gave a {type(results).__name__}; it must give its outputs and a cache, as a tuple."
            )
        outputs = [_real(one, f"output {place} of the forward") for place, one in enumerate(results[:-1])]
        return outputs, results[-1]

    def gradients(self, upstream: Sequence[Array], cache: Any, points: Sequence[Array]) -> list[Array | None]:
        """Call the backward.

        Returns:
            one gradient an argument, None for one of integers.

        Raises:
            InputError: it raised, or gave another number of gradients or another shape than the floating arguments
                have, or anything but real numbers.
        """
        try:
            returned = self.backward(*[one.copy() for one in upstream], cache)
        except Exception as error:
            raise InputError(
                f"the backward, the second function, called with {len(upstream)} upstream gradients and the cache, "
                f"raised {_said(error)}."
            ) from error
        floating = [place for place, point in enumerate(points) if point.dtype.kind == "f"]
        if returned is None:
            raise InputError(f"the backward gave None; it must return {len(floating)} gradients, one an argument.")
        given = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(given) != len(floating):
            raise InputError(f"the backward gave {len(given)} gradients; there are {len(floating)} floating arguments.")
        found: list[Array | None] = [None] * len(points)
        for place, one in zip(floating, given, strict=True):
            gradient = found[place] = _real(one, f"the gradient of {self.names[place]}")
            if gradient.shape != points[place].shape:
                raise InputError(
                    f"the gradient of {self.names[place]} has shape {gradient.shape}; "
                    f"the argument has {points[place].shape}."
                )
        return found

    def refuse_random(self, points: Sequence[Array], outputs: Sequence[Array], epsilon: float) -> None:
        """Call the forward again with the same arguments.

        Raises:
            InputError: it gives something else.
        """
        for _ in range(REPEATS):
            for place, (one, other) in enumerate(zip(outputs, self.run(points)[0], strict=True)):
                if one.shape != other.shape or not _same(one, other, epsilon):
                    raise InputError(
                        f"output {place} of the forward is another one when it is called again with the same "
                        "arguments, so that no differences can be taken; draw random numbers, such as a dropout mask, "
                        "outside and pass them in."
                    )


def functions(forward: Any, backward: Any, arguments: Sequence[Any]) -> Functions:
    """Take the pair.

    Raises:
        InputError: one of them cannot be called, or the forward not with so many arguments.
    """
    for label, one in (("forward", forward), ("backward", backward)):
        if not callable(one):
            raise InputError(f"the {label} is {one!r}; pass a function.")
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError):  # some built-in functions have none
        return Functions(forward, backward, _numbered(len(arguments)))
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise InputError(
            f"the forward, which is the first function, takes {signature} and got {len(arguments)} arguments: {error}."
        ) from None
    names = list(signature.parameters)[: len(arguments)]
    return Functions(forward, backward, names if len(names) == len(arguments) else _numbered(len(arguments)))


def _said(error: Exception) -> str:
    line = str(error).strip().split("\n")[0].removesuffix(".")
    return type(error).__name__ + (f": {line}" if line else "")


def _numbered(count: int) -> list[str]:
    return [f"argument {place}" for place in range(count)]


def _real(given: Any, label: str) -> Array:
    if given is None:
        raise InputError(f"{label} is None; return an array of numbers, zeros where there is nothing.")
    array = rectangular(given, label)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{label} has dtype {array.dtype}; real numbers are needed.")
    return array


def _same(one: Array, other: Array, epsilon: float) -> bool:
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    largest = np.abs(one[finite]).max(initial=0)
    return bool(np.all(np.abs(one[finite] - other[finite]) <= ROUNDING * epsilon * largest))
