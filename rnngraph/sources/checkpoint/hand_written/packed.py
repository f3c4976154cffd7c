"""An LSTM or a GRU written by hand in one weight for all gates of the joined state and input: `W (H+X, 4H)`, or turned.

In: the index of a checkpoint, and what its owner says of it. Out: the same, with a weight and a bias a gate under the
names `Wi, bi, ...`, which `gate_by_gate` puts together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.hand_written.parts import instead, part

_NAME = re.compile(
    r"^(?P<prefix>(?:.*[./_])?)(?P<kind>W|b)_?(?P<cell>lstm|gru|gates|all)?_?(?P<order>[a-z]{3,4})?$", re.I
)
_CELLS = ("ifog", "ifoc", "zrh", "zrn", "zrc", "zrg")
_COUNTS = {"lstm": 4, "gru": 3}  # gates
ORDER = "the gates in their order, such as ifog or zrn"


def is_order(said: str) -> bool:
    """Tell an order of gates, a letter each."""
    return any(sorted(said) == sorted(known) for known in _CELLS)


def with_split_gates(
    arrays: dict[str, StoredArray], told: Mapping[str, str]
) -> tuple[dict[str, StoredArray], set[str]]:
    """Split weights of all gates into one a gate; everything else stays as it is.

    Args:
        arrays: the index.
        told: `gates`, their order where the name does not say it; `bias`, "first" or "last", where one row (or column)
            of the weight multiplies a one.

    Returns:
        the index, and what had to be told.

    Raises:
        InputError: an LSTM's or GRU's weight, of which the order was not told.
    """
    found, used = dict(arrays), set[str]()
    for name, array in arrays.items():
        match = _NAME.match(name)
        order = None if match is None else _order(match, array.shape, told.get("gates", ""))
        if match is None or order is None:
            continue
        used |= {"bias"} & told.keys() | ({"gates"} if order != (match["order"] or "").lower() else set())
        biases = [one for other, one in arrays.items() if _is_bias(other, match) and max(one.shape) in array.shape][:1]
        axis = _axis(array, order, biases)
        found = instead(found, [array, *biases], {})
        if "bias" in told:
            side, size = 1 - axis, array.shape[1 - axis]
            row, at = (0, 1) if told["bias"] == "first" else (size - 1, 0)
            array, biases = part(array, side, at, at + size - 1), [part(array, side, row, row + 1)]
        found |= _gates(match["prefix"] + "W", array, order, axis)
        for bias in biases:
            found |= _gates(match["prefix"] + "b", bias, order, int(np.argmax(bias.shape)))
    return found, used


def _order(match: re.Match[str], shape: tuple[int, ...], told: str) -> str | None:
    """Give the order of the gates of a weight that holds them all; None of any other array."""
    named, cell = (match["order"] or "").lower(), (match["cell"] or "").lower()
    if match["kind"].lower() != "w" or len(shape) != 2 or (named and not is_order(named)):
        return None
    order = named or told
    if not (order or cell) or not _fits(shape, len(order) or _COUNTS.get(cell, 4)):
        return None
    if not order:
        raise InputError(
            f"{match.string} of shape {shape} holds all gates, and their order cannot be told; pass --layer "
            f"gates=LETTERS, {ORDER}."
        )
    return order


def _is_bias(name: str, weight: re.Match[str]) -> bool:
    match = _NAME.match(name)
    if match is None or match["kind"].lower() != "b" or match["prefix"] != weight["prefix"]:
        return False
    return match["order"] in (None, weight["order"]) and match["cell"] in (None, weight["cell"])


def _fits(shape: tuple[int, ...], gates: int) -> bool:
    """Whether one side holds the gates of as many units as are less than the other side."""
    return any(size % gates == 0 and size // gates < other for size, other in (shape, shape[::-1]))


def _axis(array: StoredArray, order: str, biases: list[StoredArray]) -> int:
    """Tell which side holds the gates: the one that fits, or the one that is as long as their bias."""
    sizes = enumerate(zip(array.shape, array.shape[::-1], strict=True))
    fits = [axis for axis, (size, other) in sizes if size % len(order) == 0 and size // len(order) < other]
    fits = [axis for axis in fits if not biases or array.shape[axis] == max(biases[0].shape)] or fits
    if len(fits) == 1:
        return fits[0]
    raise InputError(
        f"{array.name} has shape {array.shape}, so that it cannot be told which side holds the gates; save their bias "
        f"beside it, or a weight a gate, such as {', '.join('W' + one for one in order)}."
    )


def _gates(name: str, array: StoredArray, order: str, axis: int) -> dict[str, StoredArray]:
    size = array.shape[axis] // len(order)
    return {name + letter: part(array, axis, k * size, (k + 1) * size) for k, letter in enumerate(order)}
