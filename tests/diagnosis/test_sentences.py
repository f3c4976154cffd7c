"""Numbers in sentences, at every limit from which they are written otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from rnngraph.diagnosis.sentences import (
    amount_text,
    counted,
    factor_text,
    kept_text,
    left_text,
    no_credit,
    part_text,
    percent,
    power,
    share_text,
    spans_text,
    tempo,
    times,
    times_text,
    unexplained,
)
from tests.diagnosis.stand_ins import a_layer, a_path

INF, NAN = math.inf, math.nan


def of(factor: float) -> float:
    return math.log10(factor)


@pytest.mark.parametrize(("write", "table"), [
    (tempo, {
        -math.log(2) / 6.58: "halved every 6.6 steps", math.log(2) / 0.69: "doubled every 0.69 steps",
        -math.log(2): "halved every step", -math.log(2) / 1.04: "halved every step",
        -math.log(2) / 99.4: "halved every 99 steps",
        -math.log(2) / 99.6: "halved every 100 steps", -math.log(2) / 1234: "halved every 1200 steps",
        -1e-4: "halved every 6900 steps", 1e-4: "doubled every 6900 steps", -9e-5: "", 9e-5: "", 0.0: "", NAN: "",
        -INF: "",
    }),
    (percent, {
        0.0: "all", of(0.9949): "99 %", of(0.9951): "all", of(1.49): "all", of(1.51): "×1.5", of(0.5): "50 %",
        of(0.05): "5 %", -2.0: "1 %", -2.001: "0.99 %", -2.5: "0.3 %", -5.0: "1e-5", 1.0: "×10", 400.0: "×1e400",
        -INF: "nothing",
    }),
    (part_text, {0.184: "18 %", 1.0: "100 %"}),
    (left_text, {
        -6.0: "1e-6", -6.1: "next to nothing (8e-7)", -13.7: "next to nothing (2e-14)",
        -400.0: "next to nothing (1e-400)",
        of(0.5): "50 %", -INF: "nothing",
    }),
    (power, {of(2e-14): "2e-14", of(9.4e-8): "9e-8", of(9.6e-8): "1e-7", of(1000): "1e3", -400.0: "1e-400",
    of(5e7): "5e7"}),
    (share_text, {
        of(1.04): "100 %", of(1.06): "×1.1", of(0.0996): "10 %", of(0.0994): "9.9 %", -2.0: "1.0 %",
        of(0.00951): "0.95 %",
        of(0.00996): "0.99 %", of(0.0094): "0.9 %", of(9.6e-5): "0.01 %", of(9.4e-5): "9e-5", NAN: "?", -INF: "0",
        8.0: "×1e8", 0.0: "100 %", of(0.29): "29 %", of(0.012): "1.2 %", of(0.0003): "0.03 %", -15.7: "2e-16",
        -400.0: "1e-400", of(1.3): "×1.3", 1.1: "×13", 2.5: "×316",
    }),
    (amount_text, {0.19: "0.19", 331.0: "330", 5e-7: "5e-7", 999.0: "1000", 9940.0: "9900", 1e4: "1e4",
    0.0011: "0.0011", 9e-4: "9e-4", 0.0: "0",
    INF: "inf"}),
    (times, {
        of(0.58): "×0.58", -3.0: "×0.001", -3.1: "×8e-4", of(99.4): "×99", of(99.6): "×100", of(316): "×316",
        3.0: "×1e3",
        7.7: "×5e7", 400.0: "×1e400",
    }),
    (times_text, {
        2.0: "×100", of(994): "×994", of(996): "×1 thousand", 6.2: "×1.6 million", 9.0: "×1 billion",
        of(9.96e5): "×1 million",
        12.3: "×2 trillion", 13.0: "×1e13", 19.7: "×5e19", 400.0: "×1e400",
    }),
    (factor_text, {
        0.5: "×0.50", 1.0: "×1.00", 0.0951: "×0.10", 0.0949: "×0.095", 9.94: "×9.94", 9.96: "×10", 12.4: "×12",
        0.032: "×0.032",
        2e-7: "×2e-7", 500.0: "×500", 130.0: "×130", 5000.0: "×5e3", 1e4: "×1e4", 0.0: "×0", NAN: "",
    }),
    (kept_text, {
        0.95: "95 % of it", 0.98: "98 % of it", 0.949: "about nine tenths of it (×0.95)",
        0.9: "nine tenths of it (×0.90)",
        0.8: "four fifths of it (×0.80)", 0.75: "three quarters of it (×0.75)", 0.6667: "two thirds of it (×0.67)",
        0.6: "60 % of it", 0.56: "56 % of it", 0.54: "about half of it (×0.54)", 0.5125: "about half of it (×0.51)",
        0.505: "half of it (×0.51)", 0.5: "half of it (×0.50)", 0.495: "half of it (×0.49)",
        0.46: "about half of it (×0.46)",
        0.3333: "a third of it (×0.33)", 0.25: "a quarter of it (×0.25)", 0.2: "a fifth of it (×0.20)",
        0.1: "a tenth of it (×0.10)", 0.01: "a hundredth of it (×0.01)", 0.001: "a thousandth of it (×0.001)",
        1e-6: "0.0001 % of it", 9e-7: "next to nothing of it (×9e-7)", 0.0: "next to nothing of it (×0)",
    }),
])  # fmt: skip
def test_a_number(write: Callable[[float], str], table: dict[float, str]) -> None:
    assert {number: write(number) for number in table} == table


def test_things_are_counted() -> None:
    assert [counted(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


@pytest.mark.parametrize(("steps", "text"), [
    ("1101001110", "t = 0 to 1, t = 3, t = 6 to 8"), ("10101010", "t = 0, t = 2, t = 4, ..."), ("0", ""), ("01",
    "t = 1"),
])  # fmt: skip
def test_spans(steps: str, text: str) -> None:
    assert spans_text(np.array([one == "1" for one in steps])) == text


@pytest.mark.parametrize(("decades", "text"), [
    (-INF, "(less than 1 % is left): the gradient is exactly zero at lag 40."),
    (-5.0, "(less than 1 % is left): 1e-5 is left at lag 40 (halved every 2.4 steps)."),
    (-9.0,
    "next to nothing (1e-9) is left at lag 40 (halved every 1.3 steps). Beside a gradient of short lag float32 cannot "
     "tell that from nothing."),
])  # fmt: skip
def test_where_credit_ends(decades: float, text: str) -> None:
    rate = max(decades, -9.0) * math.log(10) / 40
    layer = a_layer(rate=rate, trace=SimpleNamespace(parameters=(), dtype="float32"))
    said = no_credit(a_path(layer, reach=7, decades=decades))
    assert said.startswith("there is no credit beyond lag 7 ")
    assert said.endswith(text)
    # A half in five steps is 2.4 decades in 40: that is not what took five.
    for other in (0.0, -math.log(2) / 5):
        assert no_credit(a_path(a_layer(rate=other), decades=-5.0)).endswith("1e-5 is left at lag 40.")


def test_a_pace_is_counted_over_the_steps_from_lag_1() -> None:
    tenth = math.log(0.1)
    assert unexplained(tenth, 2, -1.0) == 0.0  # one step, and not two
    assert unexplained(tenth, 1, 0.0) == 0.0
    assert unexplained(tenth, 4, -1.0) == pytest.approx(-2.0)
    assert unexplained(tenth, 4, -INF) == 0.0
