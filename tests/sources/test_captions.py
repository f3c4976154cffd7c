from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rnngraph.sources.captions import (
    END,
    NULL,
    START,
    VOCABULARY,
    decode,
    describe,
    encode,
    ink,
    pad,
    slant,
)


def image_of(*rows: str) -> NDArray[np.uint8]:
    return np.array([[16 if sign == "#" else 0 for sign in row] for row in rows], dtype=np.uint8)


BACKSLASH = image_of(*(" " * column + "#" + " " * (7 - column) for column in range(8)))
UPRIGHT = image_of(*["   ##   "] * 8)


def test_ink_sums_without_overflow() -> None:
    assert ink(np.full((8, 8), 16, dtype=np.uint8)) == 1024


def test_slant_is_the_slope_of_column_by_row() -> None:
    assert slant(BACKSLASH) == pytest.approx(1)
    assert slant(BACKSLASH[:, ::-1]) == pytest.approx(-1)
    assert slant(UPRIGHT) == pytest.approx(0)


def test_slant_is_the_weighted_regression_of_a_real_image() -> None:
    from rnngraph.sources.digits import load_digits

    image = load_digits().images[3]
    row, column = np.indices(image.shape)
    slope, _ = np.polyfit(row.ravel(), column.ravel(), 1, w=np.sqrt(image.ravel().astype(float)))
    assert slant(image) == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize(
    ("image", "digit", "caption"),
    [
        (BACKSLASH, 3, "<START> a thin three slanted left <END>"),
        (BACKSLASH[:, ::-1], 8, "<START> a thin eight slanted right <END>"),
        (UPRIGHT // 16 * 15, 1, "<START> a thin one <END>"),  # 240 of ink
        (np.full((8, 8), 5, dtype=np.uint8), 8, "<START> an eight <END>"),  # 320 of ink
        (np.full((8, 8), 6, dtype=np.uint8), 0, "<START> a bold zero <END>"),  # 384 of ink
    ],
)
def test_captions_say_what_is_measured(image: NDArray[np.uint8], digit: int, caption: str) -> None:
    assert " ".join(describe(image, digit)) == caption


def test_words_and_numbers() -> None:
    assert [VOCABULARY[number] for number in (NULL, START, END)] == ["<NULL>", "<START>", "<END>"]
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    tokens = encode(["<START>", "a", "bold", "three", "<END>", "<NULL>"])
    assert (tokens[0], tokens[-2:]) == (START, [END, NULL])
    assert decode(tokens) == "a bold three"


def test_short_captions_are_padded() -> None:
    assert pad([[1, 2], [1, 5, 6, 2]]).tolist() == [[1, 2, 0, 0], [1, 5, 6, 2]]
