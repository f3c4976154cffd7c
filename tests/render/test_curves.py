"""Curves over each other: where they are cut, which is pale, which is strong, where the mark stands, light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.graph.layout.geometry import text_width
from rnngraph.render.report.chart.colours import DARK, DARK_TWO, INK, PAPER, ramp
from rnngraph.render.report.chart.document import NARROW, WIDE, chart_document
from rnngraph.render.report.chart.dot import chart_dot
from rnngraph.render.report.chart.panel import Curve, Panel, level_text, panel_shapes, pieces, round_places
from rnngraph.render.report.chart.shapes import Box, Chart, Label, Line
from rnngraph.render.report.chart.sheet import wrapped
from rnngraph.render.report.chart.svg import chart_svg
from rnngraph.render.report.compare.comparison_picture import comparison_chart, comparison_picture
from rnngraph.render.report.history.history_picture import history_chart, history_picture
from rnngraph.render.report.history.history_terminal import sparkline
from tests.contrast import luminance
from tests.history.trainings import network, save

NAN, ZERO = math.nan, -math.inf
RATES = (0.7, 0.8, 0.9, 1.0)


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
@pytest.mark.parametrize("most", [2, 5, 12])
def test_places_on_the_axis(last: int, most: int) -> None:
    found = round_places(1, last, most) if last > 1 else round_places(0, last, most)
    assert found[-1] == last
    assert found == sorted(set(found))
    assert len(found) <= most + 3
    assert all(re.fullmatch(r"[125]?\d?0*|\d+", str(one)) for one in found)


def test_a_level_is_said_as_what_is_left() -> None:
    assert [level_text(level) for level in (4, 2, 0, -1, -2, -3, -6)] == [
        "×1e4", "×100", "100 %", "10 %", "1 %", "0.1 %", "1e-6",
    ]  # fmt: skip


def test_the_ramp_goes_from_pale_to_strong_on_either_paper() -> None:
    for count in (1, 2, 5, 50):
        colours = ramp(count)
        assert len(set(colours)) == count
        for side, paper in ((0, PAPER), (1, DARK[PAPER])):
            contrasts = [abs(luminance(one[side]) - luminance(paper)) for one in colours]
            assert contrasts == sorted(contrasts)
    assert ramp(1) == ramp(9)[-1:]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return rg.history(save(tmp_path_factory.mktemp("runs") / "a", RATES))


def test_a_history_draws_every_measurement_early_ones_pale_and_below(history: Any) -> None:
    chart = history_chart(history)
    curves = [one for one in chart.shapes if isinstance(one, Line) and one.title.startswith("step ")]
    panels = len(history.series)
    assert len(curves) == panels * len(RATES)
    for panel in range(panels):
        drawn = curves[panel * len(RATES) : (panel + 1) * len(RATES)]
        assert [one.stroke for one in drawn] == [light for light, _ in ramp(len(RATES))]
        assert drawn[-1].width > drawn[0].width
        assert [one.title.split(":")[0] for one in drawn] == ["step 0", "step 100", "step 200", "step 300"]


def test_what_is_drawn_is_what_is_left(history: Any) -> None:
    shapes = history_chart(history).shapes
    levels = {one.text: one.y - 4 for one in shapes if isinstance(one, Label) and one.text in ("100 %", "1 %")}
    decade = (levels["1 %"] - levels["100 %"]) / 2
    curves = [one for one in shapes if isinstance(one, Line) and one.title.startswith("step ")]
    for rate, curve in zip(RATES, curves, strict=False):
        (x0, y0), (x1, y1) = curve.points[0], curve.points[5]
        assert y0 == pytest.approx(levels["100 %"], abs=0.01)
        assert (y1 - y0) / decade == pytest.approx(-5 * math.log10(rate), abs=1e-6)
        assert x1 > x0


def test_the_horizon_is_marked_where_it_is() -> None:
    values = np.zeros(39)
    for place in (1, 20, 39):
        panel = Panel("a", (Curve(values, INK),), "lag", mark=(place, "here"))
        shapes = list(panel_shapes(panel, 0, 0, 400, 300))
        (curve,) = [one for one in shapes if isinstance(one, Line) and len(one.points) == 39]
        mark = next(one for one in shapes if isinstance(one, Line) and one.width == 1.75)
        assert mark.points[0][0] == mark.points[1][0] == pytest.approx(curve.points[place - 1][0])
        (flag,) = [one for one in shapes if isinstance(one, Box) and one.fill == INK]
        assert flag.x >= 0
        assert flag.x + flag.width <= 401
        assert min(abs(flag.x - mark.points[0][0]), abs(flag.x + flag.width - mark.points[0][0])) < 0.01


def test_what_is_smaller_than_the_axis_is_named() -> None:
    def texts(values: list[float]) -> list[str]:
        panel = Panel("a", (Curve(np.array(values), INK),), "lag")
        return [one.text for one in panel_shapes(panel, 0, 0, 400, 300) if isinstance(one, Label)]

    assert "smaller than 1e-6, down to 1e-16" in texts([0, -5, -16])
    assert "smaller than 1e-6, down to exactly zero" in texts([0, ZERO])
    assert not [text for text in texts([0, -5]) if text.startswith("smaller")]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_stands_beside_the_sheet(history: Any, width: int) -> None:
    charts = [history_chart(history, width), comparison_chart(rg.compare(network(0.9), network(0.7)), width)]
    for chart in charts:
        assert chart.width == width
        for one in chart.shapes:
            if isinstance(one, Label):
                wide = text_width(one.text, one.size) * 0.85
                left = one.x - {"start": 0, "middle": wide / 2, "end": wide}[one.anchor]
                assert left >= 0, one.text
                assert left + wide <= width, one.text
                assert one.y <= chart.height
            elif isinstance(one, Line):
                assert all(0 <= x <= width and 0 <= y <= chart.height for x, y in one.points)


def test_every_colour_has_its_dark_side(history: Any) -> None:
    for chart in (history_chart(history), comparison_chart(rg.compare(network(0.9), network(0.7)))):
        used = {one.stroke if isinstance(one, Line) else one.fill for one in chart.shapes} | {chart.paper}
        assert used <= chart.dark.keys()
        root = ElementTree.fromstring(chart_svg(chart))
        style = root.find("{http://www.w3.org/2000/svg}style")
        assert style is not None
        assert style.text is not None
        assert style.text.startswith("@media (prefers-color-scheme:dark){")
        for light, dark in chart.dark.items():
            assert f".f{light[1:]}{{fill:{dark}}}" in style.text
            assert f".s{light[1:]}{{stroke:{dark}}}" in style.text
        for element in root.iter():
            for key in ("fill", "stroke"):
                if element.get(key) in chart.dark and element is not root:
                    assert element.get("class") == key[0] + element.attrib[key][1:]
    assert not DARK.keys() & DARK_TWO.keys()


def test_two_are_told_apart_without_colours(history: Any) -> None:
    chart = comparison_chart(rg.compare(network(0.9), network(0.7)))
    curves = [one for one in chart.shapes if isinstance(one, Line) and one.title in ("A", "B")]
    assert {(one.title, one.dashed) for one in curves} == {("A", True), ("B", False)}
    names = [one.text for one in chart.shapes if isinstance(one, Label) and one.text in ("A", "B") and one.bold]
    panels = 3  # at the input, in the states, and the norms
    assert sorted(names) == ["A"] * panels + ["B"] * panels
    assert any(isinstance(one, Label) and one.text == "they part at t = 34" for one in chart.shapes)


def test_a_page_has_both_widths_and_the_numbers(history: Any) -> None:
    page = history_picture(history, "html").decode()
    assert re.findall(r'<svg [^>]* width="(\d+)"', page) == [str(WIDE), str(NARROW)]
    assert page.count("<tr>") == 1 + len(RATES)
    assert '<th class="n">step</th>' in page
    assert "<th>flags</th>" in page


def test_both_ways_out_know_dashes_and_the_paper() -> None:
    chart = Chart("t", 10, 10, (Line(((0, 0), (5, 5)), "#123456", dashed=True, title="x < y"),), {}, "#fefefe")
    assert "stroke-dasharray" in chart_svg(chart)
    assert "<title>x &lt; y</title></polyline>" in chart_svg(chart)
    assert 'style="dashed"' in chart_dot(chart, 72)
    assert "#fefefe" in chart_dot(chart, 72)
    assert "#fefefe" in chart_svg(chart)
    assert "<style>" not in chart_svg(chart)


def test_unknown_formats(history: Any) -> None:
    comparison = rg.compare(network(0.9), network(0.7))
    drawn: list[Callable[[str], bytes]] = [
        partial(history_picture, history),
        partial(comparison_picture, comparison),
        partial(_document, Chart("t", 1, 1, ())),
    ]
    for draw in drawn:
        with pytest.raises(InputError, match="format 'pdf' is unknown here; use one of svg, png, html"):
            draw("pdf")


def _document(chart: Chart, name: str) -> bytes:
    return chart_document(name, chart)


def test_text_is_broken_into_lines_that_fit() -> None:
    lines = list(wrapped("one two three four five six " * 3, 120, 12))
    assert " ".join(lines).split() == ("one two three four five six " * 3).split()
    assert all(text_width(line, 12) <= 120 for line in lines)
    assert list(wrapped("", 100, 12)) == []
    (cut,) = wrapped("a" * 50_000, 100, 12)
    assert cut.endswith("…")


def test_a_sparkline() -> None:
    assert sparkline([0, 1, 4, 8, None, 8], 60) == "▁▁▄█ █"
    assert sparkline([0, 0], 60) == "▁▁"
    assert sparkline([None], 60) == " "
    assert len(sparkline(list(range(1000)), 30)) == 30
    assert sparkline(list(range(1000)), 30)[0] == "▁"
    assert sparkline(list(range(1000)), 30)[-1] == "█"
    assert sparkline([1, 8], 60, ascii_only=True).isascii()


def test_one_measurement_and_one_step(tmp_path: Path) -> None:
    for trace in (network(0.9), network(0.9, time=2)):
        folder = tmp_path / str(trace.timesteps)
        folder.mkdir()
        trace.save(folder / "step-1.npz")
        chart = history_chart(rg.history(folder))
        assert "step 1" in [one.text for one in chart.shapes if isinstance(one, Label)]
