"""What reports and the page say of recurrences of their own length and batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnngraph.graph.draw import draw
from rnngraph.render.page.html import html
from rnngraph.render.report.norms.norms_json import norms_json
from tests.render.browser import Browser
from tests.render.page.test_page_file import page_of
from tests.render.test_norms_terminal import report
from tests.uneven_traces import LONG, SHORT, uneven_trace

TRACE = uneven_trace()
TITLES = [[label] for label in TRACE.labels]


def test_the_document_has_a_states_own_steps_and_samples() -> None:
    found = {one["name"]: one["steps"] for one in json.loads(norms_json(TRACE))["states"]}
    assert [one["valid"] for one in found["enc.h"]] == [2, 2, 2, 0]
    assert [one["valid"] for one in found["dec.h"]] == [3] * LONG
    assert {one["grad"]["status"] for one in found["enc.h"]} == {"ok"}


def test_the_table_ends_with_the_recurrence() -> None:
    text = report(TRACE, states=("enc.h_l0_reverse",))
    lines = [line.split()[0] for line in text.splitlines() if line.split()[1:2] in (*TITLES, ["initial"])]
    assert lines == ["0", "1", "2", "3", "h0"]
    assert "batch 2 and 3" in text
    assert "not observed at" not in text
    assert "w5" not in report(TRACE, states=("enc.h",), steps="5:6"), "no step of it was asked for"


def test_padding_of_one_recurrence_is_no_padding_of_the_batch() -> None:
    assert "are padding" not in report(TRACE)


def test_the_page_knows_every_recurrence() -> None:
    data = page_of(TRACE).data
    assert [one["name"] for one in data["recurrences"]] == ["enc", "enc_l0_reverse", "dec"]
    assert data["recurrences"][0]["valid"]["plain"] == [2, 2, 2, *[0] * (LONG - SHORT + 1)]
    assert data["valid"]["plain"] == [3]
    of = [group for group, count in data["groups"] for _ in range(count)]
    boxes = [
        sum(one["kind"] == "state" for one in data["scenes"]["step"]["columns"][str(group)]["vertices"]) for group in of
    ]
    assert boxes == [5] * SHORT + [1] * (LONG - SHORT)
    assert of[SHORT] != of[SHORT + 1], "the encoder's start in reverse stands behind its end, and there alone"


@pytest.mark.parametrize("steps", ["all", "0:5", "0:4", "0:2"])
def test_the_browser_draws_what_the_picture_has(browser: Browser, tmp_path: Path, steps: str) -> None:
    drawing = draw(TRACE, steps=steps)
    one = browser.open(tmp_path / "a.html", html(drawing))
    one.open_every_step()
    backward = [curve for curve in drawing.curves if curve.kind == "backward"]
    if steps == "all":  # an arrow a step, the first step's to the initial state
        assert len(backward) == 4 * SHORT + LONG
    assert sorted(one.shown(".back text")) == sorted(curve.text for curve in backward)
    for role in ("bar", "vertex"):
        wanted = [shape for shape in drawing.shapes if shape.role == role]
        assert one.count("#columns .bar" if role == "bar" else ".box") == len(wanted)
    # three boxes a direction at the encoder's last step, where it is not folded away
    assert one.count(".box.padding") == (0 if steps == "0:2" else 6)
    assert one.wrong == []
