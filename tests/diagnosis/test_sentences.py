"""How numbers are written: what is left, factors, what a step keeps, runs of timesteps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.sentences import (
    factor_text,
    kept_text,
    left_text,
    percent,
    share_text,
    spans_text,
    times,
    times_text,
)

WRITTEN: tuple[tuple[Callable[[Any], str], dict[float, str]], ...] = (
    (percent, {
        0: "all", -0.3: "50 %", -1.3: "5 %", -2.5: "0.32 %", -4: "1e-4", 1: "×10", 0.3: "×2", -math.inf: "nothing",
    }),
    (times, {0.3: "×2", 2: "×100", 2.5: "×316", 7.7: "×5e7", 400: "×1e400", -0.25: "×0.56"}),
    (left_text, {
        -7: "next to nothing (1e-7)", -13.7: "next to nothing (2e-14)", -400: "next to nothing (1e-400)",
        -5.9: "1e-6", -0.3: "50 %", -math.inf: "nothing",
    }),
    (times_text, {
        2: "×100", 3: "×1 thousand", 6.2: "×2 million", 9: "×1 billion", 12.3: "×2 trillion", 19.7: "×5e19",
        400: "×1e400",
    }),
    (kept_text, {
        0.5: "half of it (×0.50)", 0.54: "about half of it (×0.54)", 0.57: "57 % of it",
        0.3333: "a third of it (×0.33)", 0.6: "60 % of it", 0.98: "98 % of it", 0.01: "a hundredth of it (×0.01)",
        1e-9: "next to nothing of it (×1e-9)",
    }),
    (factor_text, {
        0.5: "×0.50", 1: "×1.00", 12.4: "×12", 130: "×130", 500: "×500", 5000: "×5e3", 1e4: "×1e4", 0.032: "×0.032",
        2e-5: "×2e-5", 2e-7: "×2e-7", 0: "×0", math.nan: "",
    }),
    (share_text, {
        0: "100 %", math.log10(1.03): "100 %", -0.3: "50 %", math.log10(0.29): "29 %", math.log10(0.0996): "10 %",
        -1.1: "7.9 %", math.log10(0.012): "1.2 %", -2: "1.0 %", -2.001: "0.99 %", math.log10(0.00951): "0.95 %",
        -2.2: "0.6 %", math.log10(0.0003): "0.03 %", -4: "0.01 %", math.log10(3e-5): "3e-5",
        math.log10(9.6e-8): "1e-7", -15.7: "2e-16", -400: "1e-400", -math.inf: "0", math.nan: "?",
        math.log10(1.3): "×1.3", 0.5: "×3.2", 1.1: "×13", math.log10(217): "×217", 2.5: "×316", 7.7: "×5e7", 8: "×1e8",
    }),
)  # fmt: skip


@pytest.mark.parametrize(("write", "texts"), WRITTEN)
def test_a_number_is_written_as_a_person_would(write: Callable[[float], str], texts: dict[float, str]) -> None:
    assert {number: write(number) for number in texts} == texts


def test_spans() -> None:
    assert spans_text(np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool)) == "t = 0 to 1, t = 3, t = 6 to 8"
    assert spans_text(np.tile([True, False], 5)) == "t = 0, t = 2, t = 4, ..."
