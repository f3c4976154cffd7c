"""Shapes as a family's row writes them, held to the shapes in a file.

A row writes sizes with a space between: a number, a letter that stands for the same size everywhere in the row, a
multiple such as `4H`, or a product such as `H*K` with K at least 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MULTIPLE = re.compile(r"(\d*)([A-Z])")
_PRODUCT = re.compile(r"([A-Z])\*([A-Z])")


def fits(written: str, shape: Sequence[int], sizes: dict[str, int]) -> bool:
    """Tell whether a shape is as written; letters that were free are entered into `sizes`."""
    words = written.split()
    if len(words) != len(shape) or min(shape, default=1) < 1:
        return False
    return all(_size(word, size, sizes) for word, size in zip(words, shape, strict=True))


def _size(word: str, size: int, sizes: dict[str, int]) -> bool:
    if word.isdecimal():
        return size == int(word)
    if product := _PRODUCT.fullmatch(word):
        first = sizes[product[1]]
        if product[2] in sizes:
            return size == first * sizes[product[2]]
        return size % first == 0 and size > first and _same(product[2], size // first, sizes)
    multiple = _MULTIPLE.fullmatch(word)
    if multiple is None:
        raise ValueError(f"{word!r} is no size that a row can write.")
    factor = int(multiple[1] or 1)
    return size % factor == 0 and _same(multiple[2], size // factor, sizes)


def _same(letter: str, size: int, sizes: dict[str, int]) -> bool:
    return sizes.setdefault(letter, size) == size
