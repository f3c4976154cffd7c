"""How long the page takes at 5,000 steps, in time of its main thread alone, so that a busy machine does not count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import rnngraph as rg
from rnngraph.graph.draw import draw
from rnngraph.render.page.html import html
from tests.graph.mock_networks import every_step, fed
from tests.render.browser import Browser, Opened

STEPS, FRAMES, MOST = 5_000, 12, 16.0  # milliseconds a frame
FRAME = """async ([source, frames]) => {
    const act = eval(source);
    for (let frame = 0; frame < frames; frame += 1) { act(frame); await new Promise(requestAnimationFrame); }
}"""
WHEEL = "(frame) => document.getElementById('view').dispatchEvent(new WheelEvent('wheel', {%s, clientX: 500,"
WHEEL += " clientY: 400, bubbles: true, cancelable: true}))"
PAN, ZOOM = WHEEL % "deltaX: frame < 6 ? -60 : 60", WHEEL % "deltaY: frame % 2 ? 25 : -25"


@cache
def page() -> str:
    h = rg.nn.RNN(8, 16, init="orthogonal", gain=0.999, seed=1)(fed(rg.Tape(), STEPS, 8, scale=0.05, batch=2))
    return html(draw(rg.record(every_step(h), lags=True), steps="all"))


@pytest.fixture(scope="module")
def opened(running_browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    one = running_browser.open(tmp_path_factory.mktemp("speed") / "long.html", page(), bypass_csp=True)
    yield one
    running_browser.take_back(one)


def time_of(one: Opened) -> Callable[[], float]:
    """Measure what the main thread has been busy, in milliseconds."""
    session = one.context.new_cdp_session(one.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def total() -> float:
        found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(found["TaskDuration"])

    return total


def busy(one: Opened, move: str) -> float:
    """Move the drawing for some frames; give how long each kept the main thread busy, in milliseconds."""
    total = time_of(one)
    before = total()
    one.page.evaluate(FRAME, [move, FRAMES])
    return (total() - before) / FRAMES


@pytest.mark.parametrize("away", [0, 30], ids=["near", "far"])
def test_a_frame_of_panning_and_zooming(opened: Opened, away: int) -> None:
    one = opened
    one.open_every_step()
    one.page.click("#every")
    for _ in range(away):
        one.page.click("#out")
    one.settle()
    for move in (PAN, ZOOM):
        assert any(busy(one, move) < MOST for _ in range(3)), move  # another program's work is none of the page's
    assert one.count("#world *") < 3_000
    one.page.click("#fit")


def test_the_first_paint_takes_less_than_a_second_of_the_main_thread(browser: Browser, tmp_path: Path) -> None:
    def painted() -> float:
        one = browser.open(tmp_path / "empty.html", "")
        total = time_of(one)
        one.turn_to(tmp_path / "long.html", page())
        for _ in range(600):  # frames; the page lets Playwright evaluate no string again and again
            if one.page.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
                break
            one.settle()
        return total()

    assert any(0 < painted() < 1_000 for _ in range(3))
