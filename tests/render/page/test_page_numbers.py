"""The page's numbers are those of the diagnosis, and its colours, widths and texts those of the pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph.diagnosis.one_loss import Losses
from rnngraph.diagnosis.sentences import factor_text, share_text
from rnngraph.graph.draw import draw
from rnngraph.graph.style.left import is_dotted, tone, width
from rnngraph.render.page import losses as page_losses
from rnngraph.render.page.payload import payload
from tests.render.browser import Browser
from tests.render.page.opened import UNLIKE, bare, halving, network

READ = """JSON.stringify(Array.from({ length: lossCount }, (_, number) => {
    const seen = seenFrom(number), text = (values) => Array.from(values, (value) => String(value));
    return { t: seen.t, clock: seen.clock, samples: seen.samples, walks: seen.walks.map((walk) => walk && {
        steps: [...walk.steps], lag: walk.lag, cut: walk.cut, initial: walk.initial, decades: text(walk.decades) }) };
}))"""


@pytest.mark.parametrize("name", UNLIKE)
def test_every_walk_is_that_of_the_diagnosis(browser: Browser, tmp_path: Path, name: str) -> None:
    trace = network(name)
    one = bare(browser, tmp_path / "a.html", trace, "walks.js", ("seenFrom", "lossCount"))
    found = {(seen["clock"], seen["t"]): seen for seen in json.loads(one.page.evaluate(READ))}
    losses = Losses(trace)
    assert set(found) == set(losses.timesteps)
    for number, (clock, t) in enumerate(losses.timesteps):
        wanted, seen = losses.seen_from(number), found[clock, t]
        assert seen["samples"] == wanted.samples
        walks = [walk for walk in seen["walks"] if walk is not None]
        by_start: dict[tuple[Any, int], list[Any]] = {}
        for walk in walks:
            by_start.setdefault((tuple(walk["steps"]), walk["lag"]), []).append(walk)
        assert len(walks) == len(wanted.walks)
        for walk in wanted.walks:
            known = not math.isnan(walk.initial)
            left = np.append(walk.decades, [walk.initial] if known else [])
            decades = [
                [float(value.replace("Infinity", "inf")) for value in other["decades"]]
                for other in by_start[tuple(walk.steps.tolist()), int(walk.lags[0])]
                if (other["cut"], other["initial"]) == (walk.cut, known)
            ]
            assert any(np.allclose(one, left, atol=5.1e-4, rtol=0, equal_nan=True) for one in decades)


def test_the_rows_are_in_the_order_of_the_pictures(browser: Browser, tmp_path: Path) -> None:
    trace = network("encoder-decoder")
    one = bare(browser, tmp_path / "a.html", trace, "walks.js", ("rows", "axis"))
    assert one.page.evaluate("rows.map((row) => row.name)") == ["decoder h", "encoder h"]
    assert one.page.evaluate("axis.map((part) => [part.name, part.offset])") == [["encoder", 0], ["decoder", 40]]


DECADES = [*np.arange(-20, 12, 0.037).round(4).tolist(), -6.0, -2.0, -0.301, 0.0, math.log10(3), 1.0, 2.0, 4.0]


def test_colours_and_widths_are_those_of_the_pictures(browser: Browser, tmp_path: Path) -> None:
    one = bare(browser, tmp_path / "a.html", halving(8), "scale.js", ("toneOf", "widthOf", "isFaint", "inkOn"))
    found = one.page.evaluate("(all) => all.map((v) => [toneOf(v), inkOn(toneOf(v)), widthOf(v), isFaint(v)])", DECADES)
    for decades, (name, ink, wide, faint) in zip(DECADES, found, strict=True):
        assert (name, ink, faint) == (tone(decades).name, tone(decades).text, is_dotted(decades))
        assert wide == pytest.approx(width(decades), abs=1e-9)


def test_numbers_are_written_as_in_the_pictures(browser: Browser, tmp_path: Path) -> None:
    one = bare(browser, tmp_path / "a.html", halving(8), "scale.js", ("shareText", "factorText"))
    found = one.page.evaluate("(all) => all.map((v) => [shareText(v), factorText(10 ** v)])", DECADES)
    for decades, texts in zip(DECADES, found, strict=True):
        assert texts == [share_text(decades), factor_text(10**decades)]
    assert one.page.evaluate("[shareText(-2.01), shareText(-Infinity), shareText(NaN)]") == ["0.98 %", "0", "?"]


def test_of_more_losses_than_fit_some_are_left_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_losses, "NUMBERS", 60 * 7)
    found = payload(draw(halving()))["losses"]
    kept = [one["t"] for one in found["seen"]]
    assert len(kept) == 7
    assert found["measured"] == 60
    assert kept[found["start"]] == 59  # the one to begin with is always there
    assert np.diff(kept).min() >= 9


def test_the_loss_that_is_asked_for_is_the_first_one() -> None:
    found = payload(draw(halving(), seen_from=12))["losses"]
    assert found["seen"][found["start"]]["t"] == 12
    assert payload(draw(halving(), seen_from="total"))["losses"] is None
