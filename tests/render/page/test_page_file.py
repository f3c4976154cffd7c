from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rnngraph.graph.build.graph import build
from rnngraph.graph.compose import compose
from rnngraph.graph.draw import draw
from rnngraph.render.format import render_bytes, renderer_of
from rnngraph.render.notebook import bundle, frame
from rnngraph.render.page.html import embedded, html
from rnngraph.render.page.prototype import WIDTH
from rnngraph.trace.model import LagTrace, Trace
from tests.traces import CELLS, every_status, make_trace

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]> & &amp; \"quoted\" 'single' \\ \\u003c",
    "\u2028\u2029\x00\x1b\n\t",
    "日本語 Größe 🜚 \u202e {{data}} {{script}} ${x} `y`",
    "\ud800 alone",
)


class Page(HTMLParser):
    """Reads a page as a browser does: its elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[dict[str, str | None], str, str]] = []
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag in {"script", "style"}:
            self.raw.append((dict(attrs), tag, ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in {"script", "style"}:
            attributes, tag, text = self.raw[-1]
            self.raw[-1] = attributes, tag, text + data

    @property
    def data(self) -> Any:
        (found,) = [text for attributes, tag, text in self.raw if attributes.get("id") == "data"]
        return json.loads(found)


def with_lags(trace: Trace, log: Any = None) -> Trace:
    steps = trace.timesteps
    if log is None:
        log = np.full((2, steps, steps + 1), np.nan)
        for s in range(steps):
            log[:, s, : s + 2] = (np.arange(s + 2) - s - 1) * np.log(10)
    shape = log.shape[0], steps
    none = np.zeros(shape, dtype=np.bool_)
    found = LagTrace(
        trace.states[0].name, np.arange(log.shape[1]), np.zeros(log.shape[1], dtype=np.int64), np.arange(shape[0]), log,
        none, none, np.tile(np.arange(log.shape[1]), (shape[0], 1)), steps, trace.batch, None,
    )  # fmt: skip
    return replace(trace, lags=(found,))


def page_of(trace: Trace, **options: Any) -> Page:
    return Page(html(draw(trace, **options)))


def source_hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else() -> None:
    page = page_of(make_trace())
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    script = [source_hash(text) for attributes, tag, text in page.raw if tag == "script" and "type" not in attributes]
    style = [source_hash(text) for _, tag, text in page.raw if tag == "style"]
    assert rules == {
        "default-src": ["'none'"], "base-uri": ["'none'"], "form-action": ["'none'"],
        "script-src": script, "style-src": style,
    }  # fmt: skip
    assert (len(script), len(style)) == (1, 2)


def test_the_policy_comes_before_what_it_governs() -> None:
    tags = [
        tag if tag != "meta" else attributes.get("http-equiv", "") for tag, attributes in page_of(make_trace()).elements
    ]
    assert tags.index("Content-Security-Policy") < min(tags.index("style"), tags.index("script"))


def test_nothing_is_loaded_and_no_attribute_runs() -> None:
    page = page_of(with_lags(every_status()))
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"link", "img", "iframe", "object", "embed", "base", "audio", "video", "image", "use"})
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "style", "srcdoc"}}
        assert (attributes.get("href") or "#").startswith("#")
    for _, tag, text in page.raw:
        assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(|eval\(|innerHTML|insertAdjacent", text), (
            tag
        )
        addresses = set(re.findall(r"https?://[^\"'\s]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of the SVG namespace, which nothing loads


def test_hostile_names_stay_data() -> None:
    trace = make_trace(timesteps=len(HOSTILE), labels=HOSTILE, model=HOSTILE[0], notes=HOSTILE)
    text = html(draw(trace))
    text.encode()
    page = Page(text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in page_of(make_trace()).elements]
    assert page.data["labels"] == list(HOSTILE)
    assert page.data["title"] == HOSTILE[0]
    assert page.data["notes"] == list(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE)
def test_embedded_json_cannot_end_its_element(text: str) -> None:
    written = embedded({"text": text, text: 1})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"text": text, text: 1}


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_trace_gives_the_same_bytes(cell: str) -> None:
    first, second = (
        render_bytes(draw(with_lags(make_trace(cell, 9, layers=2, bidirectional=True))), "html") for _ in "ab"
    )
    assert first == second


def test_numbers_are_logarithms_or_say_why_not() -> None:
    trace = every_status()
    state = page_of(trace).data["states"][0]
    # statuses of the first four steps: not observed, not finite, exactly zero, underflow
    assert state["grad"]["log"][:4] == [None, "n", "0", "u"]
    # the fixture's gradient at t is 2 · 0.1^(8 - t)
    assert state["grad"]["log"][4:] == pytest.approx([np.log10(2) - (8 - t) for t in range(4, 9)], abs=1e-5)
    assert state["cuts"] == [0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_the_pages_columns_are_those_of_the_drawing() -> None:
    """Put the page's columns side by side, and every box and arrow is where the layout of the whole has it."""
    trace = make_trace("lstm", 6, layers=2, bidirectional=True)
    drawing = compose(build(trace, "all"), least=WIDTH)
    data = page_of(trace).data
    scene = data["scenes"]["step"]
    boxes: list[tuple[float, ...]] = []
    curves: list[list[float]] = []
    of = [group for group, count in data["groups"] for _ in range(count)]
    kinds, x = ["L", *map(str, of), "R"], 0.0
    for number, kind in enumerate(kinds):
        pair: Any = scene["pairs"][f"{kinds[number - 1]} {kind}"] if number else {"gap": 0.0, "edges": []}
        x += pair["gap"]
        column = scene["columns"][kind]
        boxes += [(x + one["x"], one["y"], one["width"], one["height"]) for one in column["vertices"]]
        for edge in (*pair["edges"], *column["edges"]):
            curves.append([value + x if place % 2 == 0 else value for place, value in enumerate(edge["points"])])
        x += column["width"]
    placed = [one.box for one in drawing.shapes if one.role == "vertex"]
    left, top = drawing.grid.columns[0].start, min(one.top for one in placed)
    wanted = [(one.left - left, one.top - top, one.width, one.height) for one in placed]
    # positions are written to a tenth of a point, so that each is off by 0.05 and a sum of columns by a little more
    assert np.abs(np.array(sorted(boxes)) - np.array(sorted(wanted))).max() < 0.35
    arrows = [[n for px, py in one.points for n in (px, py - top)] for one in drawing.curves]
    assert sorted(map(len, curves)) == sorted(map(len, arrows))
    assert {round(min(one[1::2])) for one in curves} == {round(min(one[1::2])) for one in arrows}


@pytest.mark.parametrize("cell", CELLS)
def test_every_neighbour_that_can_occur_has_its_arrows(cell: str) -> None:
    data = page_of(make_trace(cell, 8, layers=2, bidirectional=True)).data
    of = [str(group) for group, count in data["groups"] for _ in range(count)]
    for name in ("step", "op"):
        scene = data["scenes"].get(name, data["scenes"]["step"])
        needed = {f"{a} {b}" for a, b in pairwise(of)}
        needed |= {f"{group} F" for group in of} | {f"F {group}" for group in of}
        needed |= {f"L {of[0]}", f"{of[-1]} R", "L F", "F R"}
        assert needed <= set(scene["pairs"])
        heights = {pair: {one["points"][-1] for one in scene["pairs"][pair]["edges"] if one["kind"] == "r"}
                   for pair in needed}  # fmt: skip
        assert heights["L F"] <= heights[f"{of[0]} F"]  # a fold is as tall beside the initial state as elsewhere
        assert heights["F R"] <= heights[f"F {of[0]}"]


def test_a_thousand_steps_fit_in_half_a_megabyte() -> None:
    page = html(draw(make_trace("tanh", 1000)))
    assert len(page.encode()) < 500_000
    assert Page(page).data["atoms"] == 1000


def test_of_a_very_long_sequence_the_shown_steps_are_kept_and_the_rest_are_ranges() -> None:
    trace = make_trace("tanh", 30_000, decay=0.999)
    page = html(draw(trace, steps="0:3,29990:30000"))
    data = Page(page).data
    assert len(page) < 250_000
    assert data["atoms"] == [[0, 1], [1, 2], [2, 3], [3, 29_990], *([t, t + 1] for t in range(29_990, 30_000))]
    low, high, *counts = data["states"][0]["grad"]["log"][3]
    assert counts == [29_987, 0, 0, 0, 0]
    assert (low, high) == pytest.approx((np.log10(2 * 0.999**29_996), np.log10(2 * 0.999**10)), abs=1e-4)


def test_the_format_is_chosen_by_its_suffix() -> None:
    assert {renderer_of(name).name for name in ("a.html", "A.HTM")} == {"html"}


def test_a_notebook_gets_the_page_in_a_frame_without_an_origin() -> None:
    drawing = draw(make_trace(model=HOSTILE[0]))
    ((tag, attributes),) = Page(frame(drawing)).elements
    assert tag == "iframe"
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["srcdoc"] == html(drawing)


def test_a_notebook_is_offered_page_picture_and_text() -> None:
    for shown in (make_trace(), draw(make_trace())):
        found = bundle(shown)
        assert found == shown._repr_mimebundle_(include=None, exclude=None)
        assert found["text/html"] == frame(draw(make_trace()))
        assert found["text/plain"] == repr(shown)
        assert set(found) <= {"text/html", "text/plain", "image/svg+xml"}


def test_a_notebook_shows_a_line_of_a_trace_without_timesteps() -> None:
    trace = replace(make_trace("tanh", 3), states=(), recurrences=(), timesteps=0)
    assert bundle(trace) == {"text/plain": repr(trace)}
