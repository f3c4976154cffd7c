"""The nearest name."""

from __future__ import annotations

import pytest

from rnngraph.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("lsmt", ("lstm", "gru"), "lstm"),
        ("GRU", ("lstm", "gru"), "gru"),
        ("elman", ("lstm", "gru"), None),
        ("no-signal", ("no_signal", "dead"), "no_signal"),
        ("", ("a",), None),
        ("x" * 100_000, ("x" * 99_999,), None),
    ],
)
def test_nearest(word: str, known: tuple[str, ...], found: str | None) -> None:
    assert nearest(word, known) == found
    assert did_you_mean(word, known) == ("" if found is None else f"; did you mean {found}?")
