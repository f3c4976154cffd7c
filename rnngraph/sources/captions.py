"""Captions that say what can be measured in an image of a digit, and their words as numbers.

In come an image and its digit, out comes `<START> a bold three slanted left <END>`. Stroke and slant are named only
where the pixels show them clearly, so captions differ in length; `<NULL>` fills the rest of a batch's rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

NULL, START, END = 0, 1, 2
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOCABULARY = (
    *("<NULL>", "<START>", "<END>", "a", "an", "thin", "bold"),
    *DIGIT_WORDS,
    *("slanted", "left", "right"),
)
NUMBER_OF_WORD = {word: number for number, word in enumerate(VOCABULARY)}

# About a third of the images each lie below, between and above the two bounds of the ink.
THIN_BELOW, BOLD_ABOVE = 300.0, 330.0
# In columns a row: 0.08 is a lean of 4.6 degrees; about half of the images lean less.
SLANTED_ABOVE = 0.08


def ink(image: NDArray[np.uint8]) -> float:
    """Sum the ink of an image `(8, 8)` of levels 0 to 16."""
    return float(image.sum(dtype=np.int64))


def slant(image: NDArray[np.uint8]) -> float:
    """Measure how far a digit leans, in columns a row, from its second moments; positive leans left.

    It is the covariance of column and row over the variance of the row, each weighted by the ink: the slope of the line
    that predicts a column from a row. Rows count downwards, so a stroke like a backslash is positive.
    """
    weight = image / image.sum(dtype=np.int64)
    row, column = np.indices(image.shape, dtype=np.float64)
    row -= (weight * row).sum()
    column -= (weight * column).sum()
    return float((weight * row * column).sum() / (weight * row * row).sum())


def describe(image: NDArray[np.uint8], digit: int) -> tuple[str, ...]:
    """Say in words which digit an image `(8, 8)` shows, and how it is written."""
    words = [DIGIT_WORDS[digit]]
    if ink(image) < THIN_BELOW:
        words.insert(0, "thin")
    elif ink(image) > BOLD_ABOVE:
        words.insert(0, "bold")
    words.insert(0, "an" if words[0] == "eight" else "a")
    if abs(slant(image)) > SLANTED_ABOVE:
        words += ["slanted", "left" if slant(image) > 0 else "right"]
    return ("<START>", *words, "<END>")


def encode(words: Iterable[str]) -> list[int]:
    """Turn words into their numbers in `VOCABULARY`."""
    return [NUMBER_OF_WORD[word] for word in words]


def decode(tokens: Sequence[int]) -> str:
    """Turn numbers into text: what lies between `<START>` and `<END>`, without the padding."""
    words = []
    for token in tokens:
        if token == END:
            break
        if token not in (NULL, START):
            words.append(VOCABULARY[token])
    return " ".join(words)


def pad(captions: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Stack captions `(N, length of the longest)`, filled with `<NULL>`."""
    stacked = np.full((len(captions), max(map(len, captions))), NULL, dtype=np.int64)
    for row, caption in zip(stacked, captions, strict=True):
        row[: len(caption)] = caption
    return stacked
