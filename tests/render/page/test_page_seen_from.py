"""The first view of the page: one state, the loss that is looked from, which everything sets and everything follows."""

from __future__ import annotations

import base64
import math
import re
import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.graph.style.left import tone
from tests.graph import mock_networks as mocks
from tests.render.browser import Browser, Opened
from tests.render.exact_networks import exact
from tests.render.page.opened import UNLIKE, Open, bare, halving, network, replace_labels, show, written
from tests.render.page.test_page_file import HOSTILE
from tests.traces import make_trace

__all__ = ["show"]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def looked_from(one: Opened) -> str:
    one.settle()
    return str(one.page.inner_text("#slider-text"))


def test_it_begins_at_the_last_loss_with_what_each_step_keeps(show: Open) -> None:
    one = show(halving())
    assert looked_from(one) == "t = 59"
    texts = one.shown("#picture text")
    # every step keeps a half: 50 %, 25 %, 13 %, ..., and 1.6 % after six steps, 0.8 % after seven
    for wanted in ("100 %", "50 %", "25 %", "1.6 %", "0.8 %", "×0.50", "lag 6"):
        assert wanted in texts
    assert "◂ this loss's credit ends at lag 6: under 1 % beyond" in texts
    assert one.page.inner_text("#say") == (
        "From the loss at t=59: half is left as far as lag 1, under 1 % from lag 7 on, 9e-19 in the initial state."
    )
    assert one.page.inner_text("h1") == one.page.title().partition(".")[0].replace(" %", "\xa0%") + "."
    assert one.page.inner_text("#meta").startswith("Seen from the loss at t=59; median of 2 samples.")


def test_each_direction_ends_at_its_own_end(show: Open) -> None:
    one = show(exact(0.99, both=True, timesteps=20), context={"viewport": {"width": 1900, "height": 900}})
    said = [text for text in one.shown("#picture text") if "reaches" in text]
    assert [text.partition(" left")[0].rpartition(":")[0] for text in said] == [
        "forward: this loss reaches the start", "reverse: this loss reaches the end",
    ]  # fmt: skip


@pytest.mark.parametrize(("keeps", "width", "said"), [
    (0.99, 600, ["forward: 90 % left", "reverse: 91 % left"]),
    (0.5, 390, ["◂ forward to lag 6", "reverse to lag 6 ▸"]),
])  # fmt: skip
def test_the_flags_of_two_directions_do_not_meet(show: Open, keeps: float, width: int, said: list[str]) -> None:
    one = show(exact(keeps, both=True, timesteps=20), context={"viewport": {"width": width, "height": 900}})
    assert one.shown("#picture .flag-text") == said
    first, second = (one.page.locator("#picture .flag").nth(place).bounding_box() for place in (0, 1))
    assert first
    assert second
    assert first["x"] + first["width"] <= second["x"]


def test_the_map_and_the_curve_stand_where_the_numbers_are(show: Open) -> None:
    one = show(halving())
    one.settle()
    at = """(pairs) => { const canvas = document.getElementById('map'), ratio = devicePixelRatio;
        const wide = parseFloat(canvas.style.width) - 34 - 4, tall = parseFloat(canvas.style.height) - 22;
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return pairs.map(([loss, step]) => {
            const x = 34 + (step + 0.5) * wide / 60, y = tall * (1 - (loss + 0.5) / 60);
            const first = 4 * (Math.round(y * ratio) * canvas.width + Math.round(x * ratio));
            return '#' + [...data.slice(first, first + 3)].map((part) => part.toString(16).padStart(2, '0')).join('');
        }); }"""
    lags = (0, 1, 4, 10, 25)
    *found, after = one.page.evaluate(at, [*([30, 30 - lag] for lag in lags), [30, 31]])
    assert found == [tone(lag * math.log10(0.5)).light for lag in lags]
    assert after == "#000000"  # nothing: what comes after a loss
    x = {text: float(one.page.locator("#curve text", has_text=re.compile(f"^{text}$")).get_attribute("x"))
         for text in ("0", "lag 20")}  # fmt: skip
    assert "lag 30" not in one.shown("#curve text")  # of 60 lags: at lag 20 under 1e-6 is left
    mark = re.match(r"M([\d.]+) ", one.page.get_attribute("#curve .end-mark", "d"))
    assert mark is not None
    assert float(mark[1]) == pytest.approx(x["0"] + 6.5 * (x["lag 20"] - x["0"]) / 20, abs=0.2)


@pytest.mark.parametrize("width", [1280, 390])
def test_no_dot_lies_under_the_name_of_a_curve(show: Open, width: int) -> None:
    one = show(mocks.three_layers(), context={"viewport": {"width": width, "height": 900}})
    one.settle()
    (end, starts) = one.page.evaluate("""() => {
        const box = (one) => one.getBoundingClientRect();
        const all = (kind) => [...document.querySelectorAll('#curve ' + kind)];
        const dots = all('path').filter((one) => one.getAttribute('d').includes('a'));
        const names = all('text').filter((one) => one.textContent.startsWith('layer'));
        return [Math.max(...dots.map((one) => box(one).right)), names.map((one) => box(one).left)]; }""")
    assert len(starts) == 3
    assert min(starts) >= end


def test_the_sentence_is_of_the_row_that_is_reached(show: Open) -> None:
    tape = rg.Tape()
    encoder, decoder = (rg.nn.RNN(2, 4, name=name, init="identity") for name in ("encoder", "decoder"))
    for layer in (encoder, decoder):
        layer.parameter("Wh").value[...] = 0.5 * np.eye(4)
    begun = encoder(tape.input(np.zeros((2, 5, 2))))[:, 4]
    trace = rg.record(decoder(tape.input(np.zeros((2, 12, 2))), begun).sum(), lags=True)
    said = show(trace).page.inner_text("#say")
    # A half a step: 1.6 % at lag 6; the encoder, from lag 12 on, gets less than 1 % of it.
    assert said.startswith("From the loss at t=11: decoder h: half is left as far as lag 1, under 1 % from lag 7 on")


def test_recurrences_that_feed_no_other_hand_nothing_over(show: Open) -> None:
    tape = rg.Tape()
    one, other = (rg.nn.RNN(2, 4, name=name)(tape.input(np.ones((2, steps, 2))))
                  for name, steps in (("one", 5), ("other", 7)))  # fmt: skip
    assert "handover" not in show(rg.record(one.sum() + other.sum(), lags=True)).page.inner_html("#picture")


def test_an_encoders_own_loss_is_handed_over_by_nobody(show: Open) -> None:
    tape = rg.Tape()
    encoder, decoder = (rg.nn.RNN(2, 4, seed=1, name=name) for name in ("encoder", "decoder"))
    h = encoder(tape.input(np.ones((2, 5, 2))))
    trace = rg.record(h.sum() + decoder(tape.input(np.ones((2, 7, 2))), h[:, 4]).sum(), lags=True)
    for address, there in (("", True), ("#loss=4,0", False)):
        assert ("handover" in show(trace, address=address).page.inner_html("#picture")) is there


def test_text_on_a_box_is_told_from_it_in_the_dark(show: Open) -> None:
    one = show(halving(), context={"color_scheme": "dark"})
    fill = "(element) => getComputedStyle(element).fill"
    wanted = {"100 %": "rgb(13, 17, 23)", "1.6 %": "rgb(5, 8, 15)", "0.8 %": "rgb(167, 179, 196)"}
    for text, colour in wanted.items():
        found = one.page.locator("#picture text", has_text=re.compile(f"^{re.escape(text)}$"))
        assert found.evaluate(fill) == colour


def test_slider_map_circles_words_and_keys_set_one_loss(show: Open) -> None:
    one = show(halving(), address="#loss=33")
    assert looked_from(one) == "t = 33"
    one.page.keyboard.press("ArrowLeft")
    assert looked_from(one) == "t = 32"
    pressed = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
    assert one.page.evaluate(f"() => {{ {pressed}; return document.getElementById('slider').value; }}") == "33"
    one.page.focus("#slider")
    one.page.keyboard.press("ArrowRight")
    assert looked_from(one) == "t = 34"
    assert one.page.get_attribute("#slider", "aria-valuetext") == "t = 34"
    one.page.click('#picture .other[data-loss="31"] circle')
    assert looked_from(one) == "t = 31"
    one.settle()
    box = one.page.locator("#map").bounding_box()
    one.page.mouse.click(box["x"] + 60, box["y"] + (box["height"] - 22) * (1 - 20.5 / 60))  # the 21st row from below
    assert looked_from(one) == "t = 20"
    one.page.keyboard.press("ArrowUp")
    assert looked_from(one) == "t = 21"
    assert one.page.evaluate("location.hash") == "#loss=21"
    assert "t=21" in one.page.inner_text("#say")
    one.settle()
    assert "t=21" in one.page.get_attribute("#curve svg", "aria-label")
    assert one.page.get_attribute("#map", "aria-valuetext") == "loss at t=21"


def test_the_address_is_followed_and_a_wrong_one_is_not(show: Open) -> None:
    one = show(halving(), address="#loss=7")
    assert looked_from(one) == "t = 7"
    one.page.evaluate("location.hash = '#loss=40'")
    one.settle()
    assert looked_from(one) == "t = 40"
    for wrong in ("#loss=abc", "#loss=3,99", "#nothing", "#loss=99999"):
        one.turn_to(one.path.with_name(f"{wrong[1:]}.html"), written(halving(20)), wrong)
        assert looked_from(one) == "t = 19"


def test_playing_walks_back_and_stops_behind_the_mark(show: Open) -> None:
    one = show(halving(20), stopped=True)
    one.page.click("#play")
    assert one.page.inner_text("#play") == "■ Stop"
    assert one.page.locator("#picture .state.empty").count() > 5  # the walk has not come so far
    assert one.count("#picture .flag") == 0  # nor to its end
    one.page.clock.run_for(900)  # two steps of 420 ms
    assert one.page.inner_text("#say") == "Walking back from t=19: at t=17 25 % is left."
    assert one.page.get_attribute("#say", "aria-live") == "polite"
    one.page.clock.run_for(12_000)
    assert one.page.inner_text("#play") == "▶ Walk back"
    assert one.page.inner_text("#say").startswith("From the loss at t=19")
    one.page.click("#play")
    one.page.keyboard.press("Space")
    assert one.page.inner_text("#play") == "▶ Walk back"


def test_without_motion_every_press_is_a_step(show: Open) -> None:
    one = show(halving(20), stopped=True, context={"reduced_motion": "reduce"})
    for wanted in ("at t=19", "at t=18", "at t=17"):
        one.page.click("#play")
        assert wanted in one.page.inner_text("#say")
        one.page.clock.run_for(5_000)
        assert wanted in one.page.inner_text("#say")


@pytest.mark.parametrize("name", UNLIKE)
def test_every_network_is_drawn_from_every_loss(show: Open, name: str) -> None:
    one = show(network(name))
    count = int(one.page.get_attribute("#slider", "max"))
    for number in sorted({0, 1, count}):
        one.page.evaluate("""(number) => { const slider = document.getElementById('slider');
            slider.value = number; slider.dispatchEvent(new Event('input')); }""", number)  # fmt: skip
        one.settle()
        assert not re.search("NaN|undefined|null", one.page.inner_html("#first"))
        outside = """[...document.querySelectorAll('#picture text, #picture rect:not(.target)')].filter((element) => {
            const box = element.getBoundingClientRect();
            const frame = document.querySelector('#picture svg').getBoundingClientRect();
            return box.left < frame.left - 6 || box.right > frame.right + 6 || box.bottom > frame.bottom + 2;
        }).map((element) => element.textContent || element.getAttribute('class'))"""
        assert one.page.evaluate(outside) == []


def test_a_loss_on_one_step_only_draws_one_loss(show: Open) -> None:
    one = show(network("one-loss"))
    assert one.count("#picture .other") == 0
    assert one.page.is_disabled("#slider")
    assert not one.page.is_visible("#map")


def test_an_encoder_hands_over_to_its_decoder(show: Open) -> None:
    texts = show(network("encoder-decoder")).shown("#picture text")
    assert "handover" in texts
    assert {"t=39", "t=0", "t=7", "lag 8"} <= set(texts)  # time begins anew, lags go on


def test_touching_a_word_shows_which_words_it_teaches(show: Open) -> None:
    labels = tuple(f"word{t}" for t in range(20))
    one = show(replace_labels(halving(20), labels))
    assert one.page.get_by_text("word19", exact=True).first.is_visible()
    one.page.click("#word-list button:has-text('word12')")
    assert looked_from(one) == "t = 12"
    assert one.page.inner_text("#word-note") == (
        "The loss at “word12” still teaches " + ", ".join(f"“word{t}”" for t in range(6, 12))
        + ": 1 % or more is left there."
    )  # fmt: skip
    assert one.page.locator("#word-list [aria-pressed=true]").inner_text() == "word12"


def test_a_word_a_little_wider_than_its_step_is_whole_on_a_phone(show: Open) -> None:
    one = show(replace_labels(halving(20), ("<START>", *["a"] * 18, "<END>")), context=PHONE)
    one.settle()
    words = one.page.evaluate(
        "[...document.querySelectorAll('#picture text')].map((text) => text.firstChild?.nodeValue)"
    )
    assert {"<START>", "<END>"} <= set(words)


def test_the_losses_that_the_map_names_are_round_where_some_were_measured(browser: Browser, tmp_path: Path) -> None:
    one = bare(browser, tmp_path / "a.html", mocks.dies(), "map.js", ("lossTicks",))
    (last, top), *found = one.page.evaluate("lossTicks(0, 256)")
    assert last == 59
    assert [t for t, _ in found] == list(range(found[0][0], found[-1][0] + 1, 10))
    assert found[0][0] % 10 == 0
    places = [y for _, y in found]
    assert min(np.abs(np.diff([*places, top]))) >= 15
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0], rtol=0.2)  # spread evenly, but for rounding
    assert one.page.evaluate("lossTicks(0, 480).length") == 32


def test_a_factor_of_nothing_is_no_number_that_is_none(show: Open) -> None:
    layer = rg.nn.RNN(16, 4, nonlinearity="relu", seed=1)
    layer.parameter("b").value[...] = -30
    one = show(mocks.one_layer(layer, timesteps=6))
    assert "this loss ×0" in one.page.inner_text("#factors")
    assert "NaN" not in one.page.inner_text("main")


@pytest.mark.parametrize(("t", "marked", "texts"), [(58, ".state.broken", []), (20, ".fold.broken", ["NaN/inf t=20"])])
def test_where_nan_first_comes_up_is_marked(show: Open, t: int, marked: str, texts: list[str]) -> None:
    trace = halving()
    node = int(trace.states[0].nodes[t])
    wide = {"viewport": {"width": 1400, "height": 900}}  # where a fold has room for the words
    one = show(replace(trace, graph=replace(trace.graph, first_nonfinite_forward=node)), context=wide)
    one.settle()
    assert one.count("#picture .broken:not(text)") == one.count(f"#picture {marked}") == 1
    assert one.shown("#picture text.broken") == texts


def test_two_steps_have_two_marks_of_time(show: Open) -> None:
    one = show(halving(2))
    one.settle()
    assert [text for text in one.shown("#factors text") if text.startswith("t=")] == ["t=0", "t=1"]
    assert one.shown("#picture text").count("t=1") == 2  # under the boxes, and under the strips


def test_awkward_words_are_shown_as_text(show: Open) -> None:
    texts = (*HOSTILE, "x" * 20_000, "שלום עולם", "e\u0301" * 50)
    one = show(replace_labels(halving(len(texts)), texts))
    assert one.count("img") == 0
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 1300
    for number in range(len(texts)):
        one.page.click(f"#word-list button >> nth={number}")
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 1300
        assert len(one.page.inner_text("#word-note")) < 1000  # the words that it quotes are cut


def test_what_is_seen_is_exported(show: Open, tmp_path: Path) -> None:
    one = show(halving(), address="#loss=33", context={"color_scheme": "dark"})
    with one.page.expect_download() as event:
        one.page.click("#svg")
    assert event.value.suggested_filename == "credit-from-t33.svg"
    event.value.save_as(tmp_path / "a.svg")
    tree = ElementTree.parse(tmp_path / "a.svg").getroot()
    texts = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"100 %", "50 %", "t=33"} <= set(texts)
    assert texts[0] is not None
    assert texts[0].replace("\xa0", " ") in one.page.inner_text("h1").replace("\xa0", " ")
    assert "#0d1117" in (tmp_path / "a.svg").read_text(encoding="utf-8")  # in the colours that are seen
    with one.page.expect_download() as event:
        one.page.click("#png")
    event.value.save_as(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width == 2 * round(float(tree.get("width") or 0))
    assert height == 2 * round(float(tree.get("height") or 0))
    # the boxes that keep all, and above them the title, are on it in their colours
    (boxes, paper), (title,) = pixels(one, data, ["#d6e9ff", "#0d1117"], height), pixels(one, data, ["#f0f4f9"], 110)
    assert boxes > 3_000
    assert paper > width * height / 2
    assert title > 1_000


def test_a_wide_title_stays_on_what_is_exported(show: Open, tmp_path: Path) -> None:
    one = show(halving(), title=" ".join(["W" * 9] * 12))
    with one.page.expect_download() as event:
        one.page.click("#svg")
    event.value.save_as(tmp_path / "a.svg")
    tree = ElementTree.parse(tmp_path / "a.svg").getroot()
    lines = [element.text or "" for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    longest = max(len(line) for line in lines if "WW" in line)
    assert 18 * longest <= float(tree.get("width") or 0)  # in bold and 20 pixels high, no such letter is narrower


def pixels(one: Opened, data: bytes, colours: list[str], rows: int) -> list[int]:
    """Count the pixels of a picture's upper rows that have these colours, in a page of their own."""
    count = """async ([data, colours, rows]) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        await image.decode();
        const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const found = new Map(), { data: bytes } = context.getImageData(0, 0, image.width, rows);
        for (let at = 0; at < bytes.length; at += 4) {
            const key = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
            found.set(key, (found.get(key) ?? 0) + 1);
        }
        return colours.map((colour) => found.get(parseInt(colour.slice(1), 16)) ?? 0);
    }"""
    blank = one.context.new_page()
    return list(blank.evaluate(count, [base64.b64encode(data).decode(), colours, rows]))


def test_a_link_to_what_is_seen_is_copied(show: Open) -> None:
    one = show(halving(), address="#loss=33", stopped=True)
    one.page.click("#link")
    one.page.locator("#toast.on").wait_for()
    assert re.search("Link copied|#loss=33", one.page.inner_text("#toast"))


def test_who_listens_or_has_colours_of_their_own_finds_what_is_seen(show: Open) -> None:
    one = show(replace_labels(halving(20), tuple("abcdefghijklmnopqrst")), context={"forced_colors": "active"})
    one.settle()
    ends = "this loss's credit ends at lag 6: under 1 % beyond"
    for place, over in (("#picture", "at every step back"), ("#curve", "by lag")):
        assert (
            one.page.get_attribute(f"{place} svg", "aria-label") == f"What is left of the loss at t=19 {over}: {ends}"
        )
    paints = one.page.evaluate(
        "[...document.querySelectorAll('.word')].map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(paints)) > 5  # their colours say what is left
    outline = "getComputedStyle(document.querySelector('.word[aria-pressed=true]')).outline"
    at_rest = one.page.evaluate(outline)
    one.page.keyboard.press("Tab")
    one.page.focus(".word[aria-pressed=true]")
    assert one.page.evaluate(outline) != at_rest


def test_help_explains_the_words_and_closes(show: Open) -> None:
    one = show(halving(8))
    one.page.keyboard.press("?")
    assert one.page.is_visible("#help")
    for word in ("lag", "saturated", "handover"):
        assert word in one.page.inner_text("#help dl")
    one.page.keyboard.press("ArrowLeft")
    assert looked_from(one) == "t = 7"  # nothing moves under it
    one.page.keyboard.press("Escape")
    assert not one.page.is_visible("#help")


@pytest.mark.parametrize("name", UNLIKE)
def test_a_phone_never_scrolls_sideways(show: Open, name: str) -> None:
    one = show(network(name), context=PHONE)
    one.settle()
    assert one.page.evaluate("document.documentElement.scrollWidth") == 390
    small = """[...document.querySelectorAll('button, input:not([type=checkbox]), summary, select')]
        .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 40)
        .map((element) => element.id || element.textContent)"""
    assert one.page.evaluate(small) == []
    bar = one.page.locator("#player").bounding_box()
    assert bar["y"] + bar["height"] == 844  # where the thumb is
    tiny = """[...document.querySelectorAll('#first svg text')]
        .filter((text) => parseFloat(getComputedStyle(text).fontSize) < 10).length"""
    assert one.page.evaluate(tiny) == 0


def test_a_trace_without_lags_shows_the_sum_and_says_how_to_get_the_other(show: Open) -> None:
    one = show(make_trace(timesteps=5))
    assert not one.page.is_visible("#first")
    assert "rg.record(loss, lags=True)" in one.page.inner_text("#without")
    assert one.count("#columns .column") > 0
    total = show(halving(8), seen_from="total")
    assert "--from total" in total.page.inner_text("#whole")
    assert total.count("#columns .column") > 0


def test_a_theme_that_was_asked_for_is_the_pages_own(show: Open) -> None:
    one = show(halving(), theme="dark")
    assert one.page.get_attribute("html", "data-theme") == "dark"
    assert one.page.input_value("#theme") == "dark"
