"""The pictures of the lags: colours, coast line, marks and words against factors that are known exactly."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.graph.charts.lags_chart import lag_sheet
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.sheet import Shape, Sheet
from rnngraph.graph.sizes import ticks
from rnngraph.graph.style.left import tone
from rnngraph.render.format import CHARTS
from rnngraph.render.picture.charts import chart_bytes
from rnngraph.render.picture.svg import svg
from rnngraph.render.report.context import context_sheet
from rnngraph.trace.model import Trace
from rnngraph.trace.used_past import ContextTrace
from tests.render.exact_networks import exact


def cells(sheet: Sheet, number: int = 0) -> list[Shape]:
    return [shape for shape in sheet.shapes if shape.role == "cell" and shape.id.startswith(f"m{number}c")]


def pixels(sheet: Sheet, timesteps: int, losses: int, number: int = 0) -> Any:
    """Read the map back: the name of the colour at every loss and step, "" where nothing is drawn."""
    found = cells(sheet, number)
    left, right = min(one.box.left for one in found), max(one.box.right for one in found)
    high, low = min(one.box.top for one in found), max(one.box.bottom for one in found)
    grid = np.full((losses, timesteps), "", dtype=object)
    for loss in range(losses):
        for t in range(timesteps):
            x, y = left + (t + 0.5) * (right - left) / timesteps, low + (loss + 0.5) * (high - low) / losses
            inside = [one for one in found if one.box.left < x < one.box.right and one.box.top < y < one.box.bottom]
            assert len(inside) <= 1
            grid[loss, t] = inside[0].fill if inside else ""
    return grid


def texts(sheet: Sheet) -> list[str]:
    return [shape.text.replace("\n", " ") for shape in sheet.shapes if shape.text]


@pytest.mark.parametrize("width", [900, 390])
def test_a_cell_has_the_colour_of_the_known_power(width: int) -> None:
    grid = pixels(lag_sheet(exact(0.5, timesteps=20), width=width), 20, 20)
    for loss in range(20):
        for t in range(20):
            assert grid[loss, t] == ("" if t > loss else tone((loss - t) * np.log10(0.5)).name)


def test_in_reverse_a_loss_is_felt_at_later_steps() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=20, both=True), states=["rnn.h_l0_reverse"])
    grid = pixels(sheet, 20, 20)
    assert all(grid[loss, t] == ("" if t < loss else tone((t - loss) * np.log10(0.5)).name)
               for loss in range(20) for t in range(20))  # fmt: skip


def test_the_coast_line_stands_behind_the_last_percent() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=20))
    (coast,) = [curve for curve in sheet.curves if "coast" in curve.id]
    found = cells(sheet)
    left = min(one.box.left for one in found)
    pitch = (max(one.box.right for one in found) - left) / 20
    # 0.5 ** 6 is 1.6 %: the loss at 19 is felt from step 13 on; those up to 6 are felt everywhere
    assert max(x for x, _ in coast.points) == pytest.approx(left + 13 * pitch)
    assert min(x for x, _ in coast.points) == pytest.approx(left + 1 * pitch)
    assert "1 % left: credit ends" in texts(sheet)
    assert "this loss's credit ends at lag 6" in texts(sheet)


def test_what_keeps_has_no_coast_and_what_grows_one_at_a_hundred() -> None:
    assert not [curve for curve in lag_sheet(exact(1.0, timesteps=20)).curves if "coast" in curve.id]
    sheet = lag_sheet(exact(1.3, timesteps=40))
    assert "this loss: ×100 at lag 18" in texts(sheet)  # 1.3 ** 18 = 112
    assert "×100" in texts(sheet)
    assert {one.fill for one in cells(sheet)} >= {"k12", "g0", "g1", "g2", "g3"} - {"g3"}


def test_the_curve_is_the_known_power() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=30))
    dots = {int(one.hint.split()[1].strip(":")): one for one in sheet.shapes if one.id.startswith("c0d")}
    assert sorted(dots) == list(range(20))  # 0.5 ** 20 is below 1e-6
    middles = [dots[lag].box.y for lag in range(20)]
    np.testing.assert_allclose(np.diff(middles), np.diff(middles)[0], atol=1e-6)  # a straight line on a log scale
    assert [dots[lag].fill for lag in range(20)] == [tone(lag * np.log10(0.5)).name for lag in range(20)]
    assert "smaller than 1e-6, down to 2e-9 at lag 29" in texts(sheet)  # 0.5 ** 29 = 1.9e-9


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.3])
def test_no_flag_covers_the_curve(rate: float) -> None:
    sheet = lag_sheet(exact(rate, timesteps=30))
    (flag,) = [one.box for one in sheet.shapes if one.id == "c0f"]
    dots = [one.box for one in sheet.shapes if one.id.startswith("c0d")]
    beside = [one for one in dots if one.right > flag.left and one.left < flag.right]
    assert not [one for one in beside if one.top < flag.bottom and one.bottom > flag.top]
    assert flag.right <= sheet.frame.right


@pytest.mark.parametrize("width", [900, 390])
def test_cells_stand_on_whole_pixels(width: int) -> None:
    edges = {one.box.bottom for one in cells(lag_sheet(exact(0.5, timesteps=20), width=width))}
    assert all(edge == round(edge) for edge in edges)


def test_the_line_of_a_loss_is_outlined() -> None:
    trace = exact(0.5, timesteps=20)
    sheet = lag_sheet(trace, seen_from=4)
    (outline,) = [one for one in sheet.shapes if one.id == "m0o"]
    inside = [one for one in cells(sheet) if abs(one.box.y - outline.box.y) < 1]
    assert {one.hint.split(":")[0] for one in inside} == {"loss at t=4"}
    assert "Outlined: the loss at t=4." in " ".join(texts(sheet))
    with pytest.raises(InputError, match="no loss at t=20"):
        lag_sheet(trace, seen_from=20)


def test_the_first_panel_ends_where_the_title_does() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=20))
    assert "within 7 steps" in sheet.title  # 0.5 ** 6 of what there is a step back
    assert "1 % or more to lag 7" in texts(sheet)
    assert "1 % or more to lag 19 at least" in texts(lag_sheet(exact(0.9, timesteps=20)))


def test_the_curve_is_of_the_loss_that_is_outlined() -> None:
    trace = exact(0.5, timesteps=20)
    alone = replace(trace, lags=tuple(replace(
        one, losses=one.losses[-1:], clocks=one.clocks[-1:], log=one.log[:, -1:], arrivals=one.arrivals[:, -1:],
    ) for one in trace.lags))  # fmt: skip
    assert "this loss's credit ends at lag 6" in texts(lag_sheet(alone))
    assert "how much is left of the loss at t=4, by lag" in texts(lag_sheet(trace, seen_from=4))
    assert not [text for text in texts(lag_sheet(trace, seen_from=4)) if "credit ends at lag" in text]
    narrow = texts(lag_sheet(exact(0.5, timesteps=14), width=250))
    assert "lag 6" in narrow


def test_the_sentences_are_those_of_every_view() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=40))
    assert sheet.title == "The gradient dies within 7 steps: further back, under 1 % of it is left."
    assert sheet.description.startswith("Why: each step back keeps half of it (×0.50)")
    assert "Try: " in sheet.description


@pytest.mark.parametrize("width", [900, 640, 390, 200])
@pytest.mark.parametrize("name", ["a model", "x" * 20_000, "שלום עולם", "e\u0301" * 300, "\u202e\x1b[31m\0"])
def test_everything_lies_inside_and_can_be_read(width: int, name: str) -> None:
    trace = replace(exact(0.5, both=True, timesteps=12), model=name)
    sheet = lag_sheet(trace, width=width)
    frame = sheet.frame
    assert frame.width == width
    for shape in sheet.shapes:
        if shape.text:
            assert shape.size >= 10.5
            wide = max(width_of(line, shape.size, bold=shape.bold) for line in shape.text.split("\n"))
            at = {"left": shape.box.left, "middle": shape.box.x - wide / 2, "right": shape.box.right - wide}[
                shape.align
            ]
            assert at >= frame.left - 1
            assert at + wide <= frame.right + 6, shape.text
        else:
            assert frame.left <= shape.box.left
            assert shape.box.right <= frame.right
        assert frame.top <= shape.box.top
        assert shape.box.bottom <= frame.bottom
    ElementTree.fromstring(svg(sheet))


def test_long_names_of_two_states_are_told_apart() -> None:
    name = "the_recurrent_layer_of_the_policy_" * 3
    x = rg.Tape().input(np.ones((2, 9, 3)))
    trace = rg.record((rg.nn.LSTM(3, 4, name=name)(x) ** 2).sum(), lags=True)
    for width in (900, 390):
        headings = [shape.text for shape in lag_sheet(trace, width=width).shapes if re.fullmatch(r"[cm]\d+h", shape.id)]
        assert len(set(headings)) == len(headings) == 4


def test_a_long_sequence_stays_a_small_file() -> None:
    trace = exact(0.9, timesteps=1500)
    data = chart_bytes(partial(lag_sheet, trace), "svg")
    assert len(data) < 400_000
    assert "32 of 1500 losses" in data.decode()


@pytest.mark.parametrize("name", [row.name for row in CHARTS])
@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_every_format_in_every_theme(name: str, theme: str) -> None:
    data = chart_bytes(partial(lag_sheet, exact(0.5, timesteps=6)), name, theme=theme)
    assert len(data) > 1000
    if name in ("svg", "html"):
        text = data.decode()
        assert 'role="img"' in text
        assert ("prefers-color-scheme" in text) == (theme == "auto")
        assert ("#0d1117" in text) == (theme != "light")
        assert re.search(r"<title>The gradient|<title>It ", text)


def test_one_loss_alone_has_a_curve_and_no_map() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=20, last=True))
    assert not cells(sheet)
    assert "how much is left of the loss at t=19, by lag" in texts(sheet)
    assert "one loss" in " ".join(texts(sheet))


def test_the_axis_of_the_curve_ends_where_the_curve_does() -> None:
    sheet = lag_sheet(exact(0.5, timesteps=300))  # 2**-20 is under 1e-6, the least of the scale
    assert max(int(shape.text) for shape in sheet.shapes if re.fullmatch(r"c0x\d+", shape.id)) == 20
    dots = [shape.hint.partition(":")[0] for shape in sheet.shapes if shape.hint.startswith("lag ")]
    assert dots == [f"lag {lag}" for lag in range(20)]


def test_what_cannot_be_drawn_is_said() -> None:
    trace = exact(0.5, timesteps=6)
    silent = rg.record((rg.nn.RNN(2, 3)(rg.Tape().input(np.ones((1, 4, 2)))) * 0.0).sum(), lags=True)
    broken = replace(trace, lags=tuple(replace(one, log=np.full_like(one.log, np.nan)) for one in trace.lags))
    cases: tuple[tuple[Trace, dict[str, Any], str], ...] = (
        (broken, {}, "no loss of the trace reaches a recurrence with a finite gradient"),
        (replace(trace, lags=()), {}, "the trace holds no lags"),
        (trace, {"states": ["rnn.hh"]}, "no row 'rnn.hh'.*did you mean rnn.h"),
        (trace, {"theme": "pink"}, "the theme 'pink'"),
        (trace, {"width": 100}, "width"),
        (silent, {}, "no gradient of a single loss to look from: none could be measured"),
    )
    for one, options, words in cases:
        with pytest.raises(InputError, match=words):
            lag_sheet(one, **options)
    with pytest.raises(InputError, match="format 'bmp' is unknown here"):
        chart_bytes(partial(lag_sheet, trace), "bmp")


@pytest.mark.parametrize(
    ("count", "room", "found"),
    [
        (60, 360, [0, 10, 20, 30, 40, 50, 59]),
        (6, 300, [0, 1, 2, 3, 4, 5]),
        (1, 100, [0]),
        (0, 100, []),
        (700, 350, [0, 100, 200, 300, 400, 500, 600, 699]),
    ],
)
def test_ticks_are_round(count: int, room: float, found: list[int]) -> None:
    assert ticks(range(count), room) == found


def test_a_context_of_many_lengths_names_every_other_one_and_that_in_use() -> None:
    lags = np.arange(50)
    excess = np.where(lags < 31, 1.0, 0.0)
    trace = ContextTrace("a model", 60, lags, 2 + excess, np.full(50, 2.0), np.ones(50, int), 31, 0.1)
    sheet = context_sheet(trace)
    named = [int(shape.text) for shape in sheet.shapes if shape.id.startswith("x")]
    assert named == sorted({*range(0, 50, 2), 31})
    assert len([shape for shape in sheet.shapes if shape.role == "bar"]) == 50
    assert not [shape for shape in sheet.shapes if shape.role == "number"]  # no room for one a bar
