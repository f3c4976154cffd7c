"""Curves over each other: where they are cut, which is pale, which is strong, where the mark stands, light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.graph.charts.axes import pieces
from rnngraph.graph.charts.overlay import Curve, Panel, draw_panels
from rnngraph.graph.layout.metrics import width_of
from rnngraph.graph.paper import Paper
from rnngraph.graph.sheet import FLAG, Sheet
from rnngraph.graph.sheet import Curve as Drawn
from rnngraph.graph.sizes import ticks
from rnngraph.graph.style.left import COLOURS, colour, ends_of, level_text
from rnngraph.graph.style.palette import step_of, strengths
from rnngraph.render.picture.charts import report_bytes
from rnngraph.render.picture.dot import dot
from rnngraph.render.picture.svg import svg
from rnngraph.render.report.comparison_report import comparison_sheet
from rnngraph.render.report.history_report import history_sheet, sparkline
from tests.contrast import luminance
from tests.history.trainings import network, save

NAN, ZERO = math.nan, -math.inf
RATES = (0.7, 0.8, 0.9, 1.0)
WIDTHS = (900, 390, 200)


def texts(sheet: Sheet) -> list[str]:
    return [shape.text.replace("\n", " ") for shape in sheet.shapes if shape.text]


def hinted(sheet: Sheet, start: str) -> list[Drawn]:
    return [curve for curve in sheet.curves if curve.hint.startswith(start) and not curve.id.startswith("key")]


def panel(values: Sequence[float], **options: Any) -> Sheet:
    """Draw one curve from lag 1 on."""
    paper = Paper(390, "light")
    draw_panels(paper, [Panel("a", (Curve(np.array(values, dtype=float), "ink", {"hint": "it"}),), "lag", **options)])
    return paper.finish("a", "")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, -1, -2], [[(1, 0), (2, -1), (3, -2)]]),
        ([0, -4, -8], [[(1, 0), (2, -4), (2.5, -6)]]),
        ([-8, -4, NAN, -5], [[(1.5, -6), (2, -4)], [(4, -5)]]),
        ([0, ZERO, 0], [[(1, 0), (1, -6)], [(3, -6), (3, 0)]]),
        ([0, -8, -9, -4], [[(1, 0), (1.75, -6)], [(3.6, -6), (4, -4)]]),
        ([9, 1], [[(1, 2), (2, 1)]]),
        ([-7, -8], []),
        ([NAN, NAN], []),
        ([], []),
    ],
)
def test_a_curve_is_cut_where_it_leaves_the_axis(values: list[float], found: list[list[tuple[float, float]]]) -> None:
    points = list(enumerate(map(float, values), start=1))
    cut = [list(one) for one in pieces([(float(place), value) for place, value in points], -6, 2)]
    assert len(cut) == len(found)
    for one, two in zip(cut, found, strict=True):
        np.testing.assert_allclose(one, two)


@pytest.mark.parametrize("last", [1, 2, 3, 7, 39, 59, 99, 100, 783, 99_999])
@pytest.mark.parametrize("room", [60, 200, 480])
@pytest.mark.parametrize("first", [0, 1])
def test_places_on_the_axis(first: int, last: int, room: int) -> None:
    found = ticks(range(first, last + 1), room)
    assert found[0] == first
    assert found[-1] == last
    assert found == sorted(set(found))
    pitch = room / max(last - first, 1)
    assert all((two - one) * pitch >= 34 * 0.7 for one, two in pairwise(found)) or len(found) < 3
    assert (found[-1] - found[-2]) * pitch >= 8 * len(str(last)) if len(found) > 2 else True  # 1400 beside 1499
    assert all(re.fullmatch(r"[125]?\d?0*|\d+", str(one)) for one in found)


def test_a_level_is_said_as_what_is_left() -> None:
    assert [level_text(level) for level in (4, 2, 0, -1, -2, -3, -6)] == [
        "×1e4", "×100", "100 %", "10 %", "1 %", "0.1 %", "1e-6",
    ]  # fmt: skip


def test_the_colours_go_from_pale_to_strong_on_either_paper() -> None:
    for count in (1, 2, 5, 50):
        colours = [step_of(name) for name in strengths(count)]
        assert len(set(colours)) == count
        for side in (0, 1):
            contrasts = [abs(luminance(one[side]) - luminance(COLOURS["paper"][side])) for one in colours]
            assert contrasts == sorted(contrasts)
    assert strengths(1) == strengths(9)[-1:]


def test_the_ends_of_an_axis() -> None:
    assert ends_of(np.array([0.2, -1])) == (-6, 0)  # ×1.6 is no growth
    assert ends_of(np.array([0.5, -1.5, NAN])) == (-2, 1)
    assert ends_of(np.array([-3.5]), -12) == (-4, 0)
    assert ends_of(np.array([ZERO, NAN])) == (-6, 0)
    assert ends_of(np.array([0.6, -0.4])) == (-1, 1)  # what there is less than 100 % is seen beside what grew
    assert ends_of(np.array([1.5, -1e-16])) == (0, 2)
    assert ends_of(np.array([-9.0]), floor=-3) == (-3, 0)


def test_a_little_growth_has_its_room_and_a_lot_no_more_than_eight_decades() -> None:
    sheet = panel([0, 0.2, 0.1, -2])
    levels = {one.text: one.box.y for one in sheet.shapes if one.text in ("100 %", "1 %")}
    (curve,) = hinted(sheet, "it")
    decade = (levels["100 %"] - levels["1 %"]) / 2
    heights = [(y - levels["100 %"]) / decade for _, y in curve.points[::3]]
    np.testing.assert_allclose(heights, [0, 0.2, 0.1, -2], atol=1e-9)
    grown = texts(panel([0, 30, -2]))
    assert "×1e8" in grown
    assert "×1e10" not in grown


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return rg.history(save(tmp_path_factory.mktemp("runs") / "a", RATES))


def test_a_history_draws_every_measurement_early_ones_pale_and_below(history: Any) -> None:
    curves = hinted(history_sheet(history), "step ")
    assert len(curves) == len(history.series) * len(RATES)
    for start in range(0, len(curves), len(RATES)):
        drawn = curves[start : start + len(RATES)]
        assert [one.stroke for one in drawn] == strengths(len(RATES))
        assert drawn[-1].thickness > drawn[0].thickness
        assert [one.hint.split(":")[0] for one in drawn] == ["step 0", "step 100", "step 200", "step 300"]


def test_what_is_drawn_is_what_is_left(history: Any) -> None:
    sheet = history_sheet(history)
    levels = {one.text: one.box.y for one in sheet.shapes if one.text in ("100 %", "1 %")}
    decade = (levels["100 %"] - levels["1 %"]) / 2
    for rate, curve in zip(RATES, hinted(sheet, "step "), strict=False):
        (x0, y0), (x1, y1) = curve.points[0], curve.points[3 * 5]  # three points to the next lag
        assert y0 == pytest.approx(levels["100 %"], abs=0.01)
        assert (y1 - y0) / decade == pytest.approx(5 * math.log10(rate), abs=1e-6)
        assert x1 > x0


def test_the_horizon_is_marked_where_it_is() -> None:
    for place in (1, 20, 39):
        sheet = panel([0.0] * 39, flag=(place, "here"))
        (curve,) = hinted(sheet, "it")
        (mark,) = [one for one in sheet.curves if one.thickness == 1.75]
        assert mark.points[0][0] == mark.points[-1][0] == pytest.approx(curve.points[3 * (place - 1)][0])
        (flag,) = [one.box for one in sheet.shapes if one.role == "mark" and one.fill == "ink"]
        assert flag.left >= 0
        assert flag.right <= sheet.frame.right
        assert min(abs(flag.left - mark.points[0][0]), abs(flag.right - mark.points[0][0])) < 0.01
        assert flag.height == FLAG
        assert flag.bottom < min(y for _, y in curve.points)  # it covers no curve


def test_the_axis_goes_as_far_as_the_curve() -> None:
    sheet = panel([-lag for lag in range(3000)], flag=(2000, "far"))  # at lag 7 it leaves the scale
    assert max(int(shape.text) for shape in sheet.shapes if re.fullmatch(r"p0x\d+", shape.id)) == 8
    assert "smaller than 1e-6, down to 1e-2999 at lag 3000" in texts(sheet)
    assert "far" not in texts(sheet)
    assert "far" in texts(panel([-lag for lag in range(3000)], flag=(7, "far")))


def test_what_is_smaller_than_the_axis_is_named() -> None:
    assert "smaller than 1e-6, down to 1e-16 at lag 3" in texts(panel([0, -5, -16]))
    assert "smaller than 1e-6, down to 0 at lag 2" in texts(panel([0, ZERO]))
    assert not [text for text in texts(panel([0, -5])) if text.startswith("smaller")]


def test_one_known_place_is_a_dot() -> None:
    sheet = panel([NAN, -1, NAN, -2, -3])
    dots = [one for one in sheet.shapes if one.form == "ellipse"]
    (curve,) = hinted(sheet, "it")
    assert [one.hint for one in dots] == ["it"]
    assert dots[0].box.x < curve.points[0][0]


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_stands_beside_the_sheet(history: Any, width: int) -> None:
    for sheet in (history_sheet(history, width=width), comparison_sheet(two(), width=width)):
        frame = sheet.frame
        assert frame.width == width
        for one in sheet.shapes:
            wide = max((width_of(line, one.size, bold=one.bold) for line in one.text.split("\n")), default=0)
            at = {"left": one.box.left, "middle": one.box.x - wide / 2, "right": one.box.right - wide}[one.align]
            assert at >= frame.left - 1, one.text
            assert at + wide <= frame.right + 6, one.text
            assert one.box.bottom <= frame.bottom
        points = [point for curve in sheet.curves for point in curve.points]
        assert all(frame.left <= x <= frame.right and frame.top <= y <= frame.bottom for x, y in points)


def two() -> Any:
    return rg.compare(network(0.9), network(0.7))


def test_every_colour_has_its_dark_side(history: Any) -> None:
    for sheet in (history_sheet(history), comparison_sheet(two())):
        used = {one.stroke for one in sheet.curves} | {one.fill or one.ink for one in sheet.shapes}
        assert all(colour(name) != colour(name, dark=True) for name in used)
        style = ElementTree.fromstring(svg(sheet)).findtext("{http://www.w3.org/2000/svg}style")
        assert style is not None
        assert style.startswith("@media (prefers-color-scheme:dark){")
        for curve in sheet.curves:
            assert f".rnngraph .s-{curve.stroke}{{stroke:{colour(curve.stroke, dark=True)}}}" in style


def test_two_are_told_apart_without_colours() -> None:
    sheet = comparison_sheet(two())
    curves = [one for one in sheet.curves if one.hint in ("A", "B")]
    assert {(one.hint, one.line) for one in curves} == {("A", "dashed"), ("B", "solid")}
    names = [one.text for one in sheet.shapes if one.text in ("A", "B") and one.bold]
    panels = 3  # at the input, in the states, and the norms
    assert sorted(names) == ["A"] * panels + ["B"] * panels
    assert "they part at t = 34" in texts(sheet)
    assert "stroke-dasharray" in svg(sheet)
    assert 'style="dashed"' in dot(sheet)


def test_a_page_has_both_widths_and_the_numbers(history: Any) -> None:
    page = report_bytes(history, "html").decode()
    assert re.findall(r'<svg [^>]* width="(\d+)px"', page) == ["900", "390"]
    assert page.count("<tr>") == 1 + len(RATES)
    assert '<th class="n">step</th>' in page
    assert "<th>flags</th>" in page
    assert re.findall(r'<svg [^>]* width="(\d+)px"', report_bytes(history, "html", width=500).decode()) == ["500"]


def test_unknown_formats(history: Any) -> None:
    for report in (history, two()):
        with pytest.raises(InputError, match="format 'bmp' is unknown here; use one of svg, png, pdf, html"):
            report_bytes(report, "bmp")


def test_a_sparkline() -> None:
    assert sparkline([0, 1, 4, 8, None, 8], 60) == "▁▂▅█ █"
    assert sparkline([0, 0], 60) == "▁▁"
    assert sparkline([None], 60) == " "
    assert len(sparkline(list(range(1000)), 30)) == 30
    assert sparkline(list(range(1000)), 30)[0] == "▁"
    assert sparkline(list(range(1000)), 30)[-1] == "█"


def test_one_measurement_and_one_step(tmp_path: Path) -> None:
    for trace in (network(0.9), network(0.9, time=2)):
        folder = tmp_path / str(trace.timesteps)
        folder.mkdir()
        trace.save(folder / "step-1.npz")
        assert "step 1" in texts(history_sheet(rg.history(folder)))
