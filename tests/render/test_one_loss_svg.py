"""The SVG of a picture that is seen from one loss: text in a real browser, themes, and what a screen reader finds."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from rnngraph.graph.style.left import COLOURS
from rnngraph.render.format import render_bytes
from rnngraph.trace.model import Trace
from tests.graph import mock_networks as networks
from tests.graph.seen_traces import seen
from tests.graph.test_one_loss_view import WORDS
from tests.render.browser import Browser

SVG = "{http://www.w3.org/2000/svg}"
TRACES: dict[str, Callable[[], Trace]] = {
    **{name: networks.MOCKS[name] for name in ("from-one-loss", "exploding", "encoder-decoder")},
    "lstm-three-layers": lambda: networks.three_layers(rg.nn.LSTM),
    "lstm-both-ways": lambda: networks.bidirectional(rg.nn.LSTM),
    "words": lambda: seen(timesteps=9, labels=WORDS),
    "long": lambda: seen("lstm", 300, 0.997, model="m" * 20_000),
    "short": lambda: seen(timesteps=1),
    "lstm-encoder-decoder": lambda: networks.encoder_decoder(rg.nn.LSTM),
    "gru-three-layers-both-ways": lambda: networks.one_layer(
        rg.nn.GRU(16, 24, num_layers=3, bidirectional=True, seed=1), timesteps=40
    ),
}
MEASURE = """
(font) => {
  document.documentElement.setAttribute("font-family", font);
  const wrong = [], boxes = [];
  const frame = document.documentElement.viewBox.baseVal;
  for (const text of document.querySelectorAll("text")) {
    const box = text.getBBox(), size = parseFloat(text.getAttribute("font-size"));
    if (size < 10) wrong.push(`small: ${text.textContent}`);
    if (box.x < -0.5 || box.x + box.width > frame.width + 0.5 || box.y < 0 || box.y + box.height > frame.height)
      wrong.push(`outside: ${text.textContent}`);
    boxes.push([text.textContent, box.x + 0.5, box.x + box.width - 0.5, box.y + 3, box.y + box.height - 3]);
  }
  for (let i = 0; i < boxes.length; i++)
    for (let j = i + 1; j < boxes.length; j++) {
      const [a, left, right, top, bottom] = boxes[i], [b, from, to, above, below] = boxes[j];
      if (left < to && from < right && top < below && above < bottom) wrong.push(`over each other: ${a} | ${b}`);
    }
  for (const group of document.querySelectorAll("g.vertex")) {
    const text = group.querySelector("text"), form = group.querySelector("rect, ellipse");
    if (text && form && text.getBBox().width > form.getBBox().width) wrong.push(`too wide: ${text.textContent}`);
  }
  const drawn = [...document.querySelectorAll("text")].map((text) => [text, text.getBBox()]);
  for (const path of document.querySelectorAll(".backward path, .line path")) {
    if (parseFloat(path.getAttribute("stroke-width")) < 1.7) continue; // what is thin may go through a halo
    for (let far = 0; far < path.getTotalLength(); far += 4) {
      const { x, y } = path.getPointAtLength(far);
      for (const [text, box] of drawn)
        if (text.compareDocumentPosition(path) & 4 && !path.parentNode.contains(text) && x > box.x + 0.5
          && x < box.x + box.width - 0.5 && y > box.y + 3 && y < box.y + box.height - 3)
          wrong.push(`crossed out: ${text.textContent}`);
    }
  }
  return wrong;
}
"""


@pytest.mark.parametrize("name", TRACES)
def test_no_text_is_cut_small_or_over_another(browser: Browser, tmp_path: Path, name: str) -> None:
    trace, one = TRACES[name](), browser.open(tmp_path / "empty.html", "")
    for width in (390, 900):
        one.turn_to(tmp_path / "a.svg", render_bytes(rg.draw(trace, width=width), "svg").decode())
        # The narrow fonts that most systems have, and the widest one that may stand in for them.
        for font in ("Liberation Sans", "DejaVu Sans"):
            assert one.page.evaluate(MEASURE, font) == [], (width, font)
        assert one.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_file_is_light_or_dark_as_the_reader_wishes(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    text = render_bytes(rg.draw(seen()), "svg").decode()
    one = browser.open(tmp_path / "a.svg", text, color_scheme=scheme)
    red, green, blue = (int(COLOURS["paper"][scheme == "dark"][at : at + 2], 16) for at in (1, 3, 5))
    paper = one.page.evaluate("getComputedStyle(document.querySelector('rect')).fill")
    assert paper == f"rgb({red}, {green}, {blue})"
    fills = one.page.evaluate("[...document.querySelectorAll('g.vertex rect')].map((r) => getComputedStyle(r).fill)")
    shown = {"rgb({}, {}, {})".format(*(int(two[scheme == "dark"][at : at + 2], 16) for at in (1, 3, 5)))
             for two in COLOURS.values()}  # fmt: skip
    assert set(fills) <= shown


def test_a_theme_that_is_chosen_needs_no_style_sheet() -> None:
    pictures = {theme: render_bytes(rg.draw(seen(), theme=theme), "svg").decode() for theme in ("light", "dark")}
    assert not any("<style>" in text for text in pictures.values())
    for theme, text in pictures.items():
        own, other = COLOURS["paper"][theme == "dark"], COLOURS["paper"][theme == "light"]
        assert f'fill="{own}"' in text
        assert other not in text
    assert f'bgcolor="{COLOURS["paper"][1]}"' in render_bytes(rg.draw(seen(), theme="dark"), "dot").decode()


def test_a_screen_reader_hears_the_sentence_the_reason_and_every_box() -> None:
    drawing = rg.draw(seen())
    root = ElementTree.fromstring(render_bytes(drawing, "svg"))
    assert root.attrib["role"] == "img"
    title, described = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text == drawing.graph.title
    assert described is not None
    assert drawing.graph.seen is not None
    assert described.text is not None
    assert described.text.startswith(drawing.graph.seen.why)
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "vertex"]
    assert len(groups) == len(drawing.graph.vertices)
    said = [found.text for group in groups if (found := group.find(f"{SVG}title")) is not None]
    assert len(said) == len(groups)
    assert any(str(text).startswith("h at t=28, lag 1: 50 % of this loss's gradient is left") for text in said)
