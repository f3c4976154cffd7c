"""The decay report from data alone: histogram, axis, picture and document, without a checkpoint or PyTorch."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from rnngraph.cli.streams import SIMPLER
from rnngraph.errors import InputError
from rnngraph.graph.style.palette import Scale
from rnngraph.render.format import CHARTS
from rnngraph.render.picture.charts import report_bytes
from rnngraph.render.report.decay.decay_picture import decay_sheet
from rnngraph.render.report.decay.decay_report import MOST_CURVES, decay_json, decay_report, histogram, summary_of
from rnngraph.render.report.decay.histogram import axis_of, counts, decade_text, place_of
from rnngraph.render.report.text import steps_text
from rnngraph.trace.decay import DecayFinding, DecayReport, LayerDecay, LiveDecay, Unread
from rnngraph.trace.model import LagTrace
from tests.typed import strict

FIVE = (0.4, 1.3, 10.0, 70.0, 700.0)
STEPS, HALVING = 30, 5.0


def credit() -> LagTrace:
    """Make the credit of one loss at the last step that halves every five steps."""
    log = np.full((1, 1, STEPS + 1), np.nan)
    log[0, 0, 1:] = np.arange(STEPS) * math.log(2) / HALVING
    nothing = np.zeros((1, STEPS), dtype=np.bool_)
    last = np.array([STEPS - 1], dtype=np.int64)
    return LagTrace(
        state="a", losses=last, clocks=np.zeros_like(last), samples=np.array([0], dtype=np.int64), log=log,
        copied=nothing, severed=nothing, arrivals=last[None], available=1, batch=1, max_lag=None,
    )  # fmt: skip


def report(name: str = "a.mixer", *, live: bool = True) -> DecayReport:
    half_lives = np.array([0.5, 5.0, 50.0, np.inf, np.nan, 0.0])
    finding = DecayFinding("frozen", "error", name, {"frozen": 1}, "A cause.", "An advice.", "one of six.")
    seen = LiveDecay(np.array([1.0, 10.0, 100.0, 1e3, 1e4, 1e5]), credit(), ("a note",)) if live else None
    layer = LayerDecay(name, "mamba-2", "a formula", half_lives, (FIVE, FIVE), "somewhere", {}, True, (finding,), seen)
    unread = Unread("b.A_b_log", (2, 3), "no family has it")
    return DecayReport("model", (layer,), (unread,), True, 64, {"no_memory": 1.0}, ("a note of the report",))


def printed(given: DecayReport, width: int, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding, SIMPLER)
    Console(file=stream, width=width, color_system=None).print(decay_report(given))
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_table_fits_and_is_ascii_where_it_must(width: int, encoding: str) -> None:
    text = printed(report(), width, encoding)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for said in ("frozen", "An advice.", "b.A_b_log", "a note", "at zero input"):
        assert said in words
    assert " inf " in text
    assert text.isascii() == (encoding == "ascii")


def test_what_a_name_holds_is_not_acted_on() -> None:
    hostile = "a\x1b[31m\n<script>&\u202e"
    assert "\x1b" not in printed(report(hostile), 120)
    for picture in [row.name for row in CHARTS]:
        data = report_bytes(report(hostile), picture)
        assert picture in ("png", "pdf") or (b"<script>" not in data and b"\x1b" not in data)
    ElementTree.fromstring(report_bytes(report(hostile), "svg"))


def test_the_document_is_strict_and_holds_the_credit() -> None:
    document = strict(decay_json(report()))
    live = document["layers"][0]["live"]
    assert live["quantiles"][2] == pytest.approx(550.0)
    assert live["credit"]["half_life"] == pytest.approx(HALVING)
    assert live["credit"]["curve"][4]["median"] == pytest.approx(-math.log10(2))
    assert document["layers"][0]["quantiles"][-1] is None
    assert "live" not in json.loads(decay_json(report(live=False)))["layers"][0]


def test_the_credit_is_measured_as_a_state_is() -> None:
    found = summary_of(report().layers[0])
    assert found is not None
    assert found.half_life == pytest.approx(HALVING)
    assert (found.reach, found.whole) == (STEPS - 1, True)
    assert summary_of(report(live=False).layers[0]) is None


def test_decays_fall_where_their_logarithm_is() -> None:
    axis = Scale(-1, 3)
    found = counts(np.array([0.1, 0.99, 1.01, 10.5, 999.0, np.inf, 0.0, np.nan]), axis, 4)
    assert found.tolist() == [3, 1, 1, 2]
    assert [place_of(value, axis) for value in (0.0, 0.1, 10.0, 1e3, 1e9, math.inf)] == [0, 0, 0.5, 1, 1, 1]


def test_where_no_decay_falls_a_histogram_is_blank() -> None:
    layer = replace(report().layers[0], half_lives=np.array([1.0, 1.0, 1000.0]))
    assert histogram(layer, Scale(0, 3), 4) == "█  ▅"


@pytest.mark.parametrize("half_lives", [[np.inf], [np.nan], [0.0], [1.0], [1e-9, 1e30], [1e20]])
def test_there_is_an_axis_for_anything(half_lives: list[float]) -> None:
    layer = LayerDecay("a", "mamba-2", "", np.array(half_lives))
    given = DecayReport("model", (layer,), (), False, None, {})
    axis = axis_of(given)
    assert axis.low < axis.high
    assert counts(layer.half_lives, axis, 10).sum() == np.isfinite(half_lives).sum() + np.isposinf(half_lives).sum()
    assert printed(given, 100)
    assert b"<svg" in report_bytes(given, "svg")


@pytest.mark.parametrize("width", [900, 390, 200])
def test_the_published_start_stands_behind_the_bars(width: int) -> None:
    drawn = decay_sheet(report(), width=width)
    (band,) = [one for one in drawn.shapes if "published start:" in one.hint]
    bars = [one for one in drawn.shapes if "decays about" in one.hint]
    assert len(bars) == 5  # of six decays one is no number
    assert drawn.shapes.index(band) < drawn.shapes.index(bars[0])
    assert drawn.frame.width == width
    for one in drawn.shapes:
        assert drawn.frame.left <= one.box.left, one.text
        assert one.box.right <= drawn.frame.right + 6, one.text
        assert one.box.bottom <= drawn.frame.bottom


def test_the_credit_is_drawn_where_it_is() -> None:
    sheet = decay_sheet(report())
    levels = {one.text: one.box.y for one in sheet.shapes if one.text in ("100 %", "1 %")}
    (curve,) = [one for one in sheet.curves if one.thickness == 1.6]
    fallen = (curve.points[0][1] - curve.points[-1][1]) / (levels["100 %"] - levels["1 %"])
    assert fallen == pytest.approx((STEPS - 2) * math.log10(2) / HALVING / 2)  # from lag 1 to the longest
    assert not [one for one in decay_sheet(report(live=False)).curves if one.thickness == 1.6]


@pytest.mark.parametrize(("number", "text"), [(-2, "0.01"), (0, "1"), (2, "100"), (3, "1k"), (6, "1M"), (7, "10M")])
def test_decades_are_written_as_a_person_would(number: int, text: str) -> None:
    assert decade_text(number) == text


@pytest.mark.parametrize(
    ("half_life", "text"),
    [
        (0.0, "0"), (0.0331, "0.0331"), (1e7, "1e7"), (1.5e-7, "1.5e-7"), (math.inf, "inf"), (math.nan, "-"),
        (None, "-"),
    ],
)  # fmt: skip
def test_half_lives_are_written_with_three_digits(half_life: float | None, text: str) -> None:
    assert steps_text(half_life) == text


def test_another_format_and_an_empty_report_are_refused() -> None:
    with pytest.raises(InputError, match="'bmp' is unknown"):
        report_bytes(report(), "bmp")
    with pytest.raises(InputError, match="nothing to draw"):
        report_bytes(DecayReport("model", (), (), False, None, {}), "svg")


def test_a_layer_that_was_not_seen_says_so_and_many_curves_are_counted() -> None:
    lags = credit()
    silent = replace(lags, losses=lags.losses[:0], log=lags.log[:, :0], arrivals=lags.arrivals[:, :0])
    one = report().layers[0]
    unseen = replace(one, name="b.mixer", live=LiveDecay(None, silent, ()))
    layers = (unseen, *(replace(one, name=f"{number}.mixer") for number in range(MOST_CURVES + 2)))
    text = printed(replace(report(), layers=layers), 120)
    (row,) = [line for line in text.splitlines() if line.startswith("b.mixer") and "not seen" in line]
    assert row.count("not seen") == 3
    assert "2 more curves are in the picture (-o) and in --json." in text
    assert "A short convolution" in text
    assert "A short convolution" not in printed(replace(report(), layers=(unseen,)), 120)
    assert strict(decay_json(replace(report(), layers=(unseen,))))["layers"][0]["live"]["credit"] is None
