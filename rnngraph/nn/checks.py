"""What layers and losses refuse: sizes, dtypes, seeds, tokens and masks that cannot be used.

In: what a user handed to a layer. Out: the same as an array, or one sentence that names the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.checks import rectangular, whole_number
from rnngraph.errors import DtypeError, InputError, VocabularyError

LARGEST = 2**31 - 1  # of a size: what is larger is a slip, and no array could be that long


def check_sizes(**sizes: Any) -> None:
    """Refuse sizes that are not whole numbers of at least 1."""
    for label, size in sizes.items():
        if whole_number(size, label, least=1) > LARGEST:
            raise InputError(f"{label} is {size}; it must be at most {LARGEST}.")


def check_numbers(dtype: DTypeLike, seed: Any) -> None:
    """Refuse weights that are not float32 or float64, and seeds that are not whole numbers of at least 0."""
    try:
        known = np.dtype(dtype) in (np.float32, np.float64)
    except TypeError:
        known = False
    if not known:
        raise DtypeError(f"dtype is {dtype!r}; choose numpy.float32 or numpy.float64.")
    whole_number(seed, "seed", least=0)


def check_tokens(tokens: Array, vocabulary: int, name: str) -> None:
    """Refuse tokens that are not integers in `[0, vocabulary)`."""
    if tokens.dtype.kind not in "iu":
        raise DtypeError(f"{name} got tokens of dtype {tokens.dtype}; pass integers.")
    outside = (tokens < 0) | (tokens >= vocabulary)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        raise VocabularyError(
            f"{name} got token {tokens[place]} at {place}; "
            f"the vocabulary has {vocabulary} words, 0 to {vocabulary - 1}."
        )


def array_of(given: Any, name: str) -> Array:
    """Take the array of a tensor, or whatever NumPy makes an array of.

    Raises:
        InputError: rows of different lengths.
    """
    return rectangular(given.value if isinstance(given, Tensor) else given, name)


def booleans(mask: Any, name: str) -> Array:
    """Take a mask: booleans, or the numbers 0 and 1.

    Raises:
        DtypeError: other numbers, or no numbers.
    """
    array = array_of(mask, f"the mask of {name}")
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind not in "iuf":
        raise DtypeError(f"{name} got a mask of dtype {array.dtype}; pass booleans.")
    other = array[(array != 0) & (array != 1)]
    if other.size:
        raise DtypeError(f"{name} got a mask that holds {other.flat[0]}; pass booleans, or the numbers 0 and 1.")
    return array.astype(bool)
