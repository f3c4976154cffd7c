from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph.graph.draw import draw
from rnngraph.render.notebook import frame
from rnngraph.trace.model import Trace
from tests.render.browser import Browser, Opened
from tests.render.page.opened import Open
from tests.render.page.opened import show as first_view
from tests.render.page.test_page_file import HOSTILE, with_lags
from tests.traces import every_status, make_trace, with_state

__all__ = ["first_view"]


@pytest.fixture
def show(first_view: Open) -> Open:
    def start(trace: Trace, **options: Any) -> Opened:
        one = first_view(trace, **options)
        one.open_every_step()
        return one

    return start


def box(timestep: int, label: str = "tanh step") -> str:
    return f'.box[aria-label^="{label}"][aria-label*="t={timestep},"]'


def test_every_step_is_drawn_with_its_arrows(show: Open) -> None:
    one = show(make_trace(timesteps=5))
    assert one.shown(".head-name") == [f"t={t}" for t in range(5)]
    assert one.shown(".head-word") == [f"w{t}" for t in range(5)]
    # carried into t is 0.1^(4 - t), into the initial state 0.1^5
    assert one.shown(".back text") == ["1e-5", "1e-4", "1e-3", "0.01", "0.1"]
    assert one.count(".kind-state") == 5
    assert one.count(".bar") == 5
    assert one.count(".cell") == 2 * 5


def test_hostile_names_are_shown_as_text(show: Open) -> None:
    one = show(make_trace(timesteps=len(HOSTILE), labels=HOSTILE, model=HOSTILE[0], notes=HOSTILE))
    assert one.shown("h1") == [HOSTILE[0]]
    assert one.count("img") == 0
    one.page.hover(box(0))
    one.page.fill("#search", "onerror")
    assert one.count("#found li") == 1
    one.page.keyboard.press("Enter")
    assert HOSTILE[0] in one.shown("#selection .note")[0]


def test_a_box_tells_op_shape_formula_values_and_norms(show: Open) -> None:
    one = show(make_trace(timesteps=5))
    one.page.click(box(2))
    text = one.page.inner_text("#selection")
    for wanted in (
        "h[t] = tanh(x[t]·Wx + b + h[t-1]·Wh)",
        "tanh.h",
        "(3, 4)",
        "rnn.0/forward",
        "rnn.Wh",
        "0.02\n",
    ):
        assert wanted in text  # the gradient at t=2 is 2 · 0.1^2
    assert one.page.get_attribute(box(2), "class").split()[-1] == "selected"
    one.page.click("#selection .ways button >> nth=0")
    assert one.shown("#selection h2")[0].startswith("embedding")


def test_an_arrow_a_bar_and_a_cell_tell_their_numbers(show: Open) -> None:
    one = show(make_trace(timesteps=5))
    one.page.dispatch_event(".back >> nth=2", "click")
    assert "back in time" in one.page.inner_text("#selection h2")
    assert "1e-3" in one.page.inner_text("#selection")
    one.page.click('.cell[data-band="rnn.Wh"] >> nth=1')
    assert "0.325" in one.page.inner_text("#selection")  # the second of five from 0.1 to 1
    one.page.hover(".bar >> nth=3")
    assert one.page.inner_text("#hint") == "rnn.h\nt=3: 0.2"


def test_the_keyboard_alone_reaches_everything(show: Open) -> None:
    one = show(make_trace(timesteps=5))
    press = one.page.keyboard.press
    one.page.focus("#view")
    press("Enter")
    assert one.focused().startswith("tanh step, rnn, t=0")
    press("ArrowRight")
    press("ArrowRight")
    assert one.focused().startswith("tanh step, rnn, t=2")
    press("ArrowUp")
    assert one.focused().startswith("linear")
    press("End")
    assert "t=4" in one.focused()
    press("Enter")
    assert one.shown("#selection h2")[0].startswith("linear")
    assert one.count('#columns [tabindex="0"]') == 1
    press("Escape")
    assert one.page.evaluate("document.activeElement.id") == "view"
    before = one.scale()
    press("+")
    one.settle()
    assert one.scale() == pytest.approx(1.25 * before, rel=1e-3)
    press("u")
    one.settle()
    assert one.scale() == pytest.approx(before, rel=1e-3)
    press("0")
    one.settle()
    view, whole = (one.page.locator(name).bounding_box() for name in ("#view", "#columns"))
    assert whole["x"] >= view["x"]  # all of it is in view
    assert whole["y"] >= view["y"]
    assert whole["x"] + whole["width"] <= view["x"] + view["width"]
    assert whole["y"] + whole["height"] <= view["y"] + view["height"]
    at = one.page.get_attribute("#world", "transform")
    press("ArrowRight")
    one.settle()
    assert one.page.get_attribute("#world", "transform") != at


def test_the_wheel_zooms_at_the_pointer_and_dragging_moves(show: Open) -> None:
    one = show(make_trace(timesteps=5))
    before = one.page.locator(box(1)).bounding_box()
    middle = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    one.page.mouse.move(*middle)
    one.page.mouse.wheel(0, -120)
    one.settle()
    after = one.page.locator(box(1)).bounding_box()
    assert after["width"] > before["width"] * 1.1
    assert after["x"] + after["width"] / 2 == pytest.approx(middle[0], abs=1.5)
    one.page.mouse.down()
    one.page.mouse.move(middle[0] - 40, middle[1] + 25, steps=4)
    one.page.mouse.up()
    one.settle()
    moved = one.page.locator(box(1)).bounding_box()
    assert (moved["x"] - after["x"], moved["y"] - after["y"]) == pytest.approx((-40, 25), abs=1.5)
    assert one.shown("#selection h2") == ["Nothing chosen"]  # letting go of a drag is no click


def test_the_range_of_steps(show: Open) -> None:
    one = show(make_trace("lstm", 40, decay=0.5))
    assert one.page.input_value("#steps") == "0:5,35:40"
    (fold,) = one.page.evaluate(
        "columns => [...document.querySelectorAll('.kind-fold')].map((e) => e.getAttribute('aria-label'))"
    )
    assert fold.startswith("30 steps, t=5 … 34")
    one.page.fill("#steps", "3:5, -1")
    one.page.keyboard.press("Enter")
    assert set(one.shown(".head-name")) == {"t=0 … 2", "t=3", "t=4", "t=5 … 38", "t=39"}
    one.page.fill("#steps", "7:99")
    one.page.keyboard.press("Enter")
    assert "outside" in one.page.inner_text("#wrong")
    one.page.click("#folded")
    one.page.dispatch_event(".kind-fold", "click")
    one.page.click("text=Show these 30 steps")
    assert one.page.input_value("#steps") == "all"
    assert one.page.inner_text("#wrong") == ""


def test_what_is_shown_can_be_chosen(show: Open) -> None:
    one = show(make_trace("lstm", 5))
    whole = one.count(".box")
    one.page.uncheck("#backward")
    one.page.uncheck("#weight-rows")
    assert one.count(".back") == one.count(".cell") == 0
    one.page.select_option("#detail", "op")
    assert one.count(".box") > 2 * whole
    one.page.check("#rolled")
    assert one.shown(".head-name") == ["each of 5 steps"]
    one.page.select_option("#detail", "layer")
    assert any("LSTM layer × 5 steps" in text for text in one.shown(".kind-layer"))


def test_boxes_and_arrows_follow_the_loss_that_is_looked_from(show: Open) -> None:
    one = show(with_lags(make_trace(timesteps=6)))
    assert one.page.input_value("#color") == "loss"
    # the fixture's loss leaves a tenth a step
    assert one.shown(f"{box(5)} text")[0].endswith("100 %")
    assert one.shown(f"{box(3)} text")[0].endswith("1.0 %")
    assert one.shown(".back text") == ["×0.10"] * 6
    one.page.focus("#map")
    one.page.keyboard.press("ArrowDown")
    one.page.keyboard.press("ArrowDown")
    one.settle()
    assert one.shown(f"{box(3)} text")[0].endswith("100 %")
    assert "%" not in one.shown(f"{box(4)} text")[0]  # a step that comes after the loss
    assert one.count(".back") == 4
    wide = [float(width) for width in one.page.locator(".back .line").evaluate_all(
        "lines => lines.map((line) => line.getAttribute('stroke-width'))")]  # fmt: skip
    assert wide == sorted(wide)  # the nearer to the loss, the wider


def test_search_unfolds_and_opens_a_step(show: Open) -> None:
    one = show(make_trace(timesteps=100, decay=0.9))
    one.page.keyboard.press("/")
    one.page.keyboard.type("t=57")
    one.page.keyboard.press("Enter")
    assert one.page.input_value("#steps") == "0:5,55:60,95:100"
    assert one.focused().startswith("tanh step, rnn, t=57")
    one.page.fill("#search", "w42")
    assert one.shown("#found li") == ["“w42” — t=42"]
    one.page.fill("#search", "tanh.h")
    assert one.count("#found li") == 1
    one.page.fill("#search", "no such thing")
    assert one.shown("#found li") == ["nothing found"]


def test_a_finding_leads_to_its_place(show: Open) -> None:
    # one loss at the end, felt 0.1 less at every step back, as far as 40 lags
    log = np.full((3, 1, 41), 0.0)
    log[:] = (np.arange(41) - 40) * np.log(10)
    one = show(with_lags(make_trace(timesteps=40), log))
    assert one.page.title().startswith(one.page.inner_text("h1").replace("\xa0", " "))
    one.page.click("#findings > summary")
    one.page.click("#findings li button >> nth=0")
    assert one.count(".box.selected") == 1
    assert one.focused().startswith("tanh step, rnn, t=")


def test_statuses_are_told_apart(show: Open) -> None:
    one = show(every_status(), context={"viewport": {"width": 2200, "height": 800}})
    assert one.count(".bar.is-zero") == one.count(".bar.is-underflow") == one.count(".bar.is-nonfinite") == 1
    assert one.count(".back.is-cut") == 1
    assert "cut" in one.shown(".back text")
    assert one.count(".box.nonfinite") == 1
    assert one.count(".box.marked") == 1
    assert one.count(".column.padding") == 1
    assert set(one.shown(".mark")) == {
        "exactly zero", "underflow", "not finite", "not observed", "cut", "saturated", "first non-finite value",
    }  # fmt: skip


def test_the_reverse_direction_is_cut_where_it_enters(show: Open) -> None:
    trace = with_state(make_trace(timesteps=4, bidirectional=True), 1, cut=np.arange(4) == 1)
    one = show(trace)
    # the reverse recurrence runs 3, 2, 1, 0; the one that leads into t=1 comes from t=2
    assert one.count(".back.is-cut") == 1
    assert one.page.locator(".column[data-column='3'] .back.is-cut").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(show: Open, scheme: str) -> None:
    one = show(make_trace(timesteps=4), context={"color_scheme": scheme})
    assert one.page.get_attribute("html", "data-theme") == scheme
    other = "dark" if scheme == "light" else "light"
    one.page.select_option("#theme", other)
    assert one.page.get_attribute("html", "data-theme") == other


def test_a_summary_is_there_for_those_who_cannot_see(show: Open) -> None:
    one = show(make_trace(timesteps=4))
    assert one.shown("#table tbody tr") == ["t=0 w02e-3", "t=1 w10.02", "t=2 w20.2", "t=3 w32"]
    unnamed = """[...document.querySelectorAll('button, input, select, canvas, [tabindex]')]
        .filter((element) => element.checkVisibility() &&
        !element.getAttribute('aria-label') && !element.textContent.trim() && !element.labels?.length)
        .map((element) => element.id)"""
    assert one.page.evaluate(unnamed) == []


def test_a_notebooks_frame_runs_without_an_origin(browser: Browser, tmp_path: Path) -> None:
    one = browser.open(tmp_path / "notebook.html", f"<!doctype html>{frame(draw(make_trace(timesteps=4)))}")
    inside = one.page.frame_locator("iframe")
    inside.locator(".kind-state").first.wait_for()
    assert inside.locator(".head-name").all_text_contents() == ["t=0", "t=1", "t=2", "t=3"]
    assert [said for said in one.wrong if said != "about:srcdoc"] == []
