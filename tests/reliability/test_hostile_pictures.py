"""Every renderer, with every hostile string as every name: the structure of its output is that of harmless names.

A format without a row in `STRUCTURES` fails the first test.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import rnngraph
from rnngraph import Trace
from rnngraph.errors import MissingToolError
from rnngraph.graph.charts.lags_chart import lag_sheet
from rnngraph.render.format import CHARTS as FORMATS
from rnngraph.render.format import RENDERERS, render_bytes
from rnngraph.render.picture import graphviz
from rnngraph.render.picture.charts import chart_bytes, report_bytes
from tests.hostile import AWKWARD, MARKUP, signs_in_company
from tests.reliability.hostile_traces import hostile_decay, hostile_history, hostile_trace
from tests.render.browser import Browser
from tests.typed import strict

HOSTILE = signs_in_company() | MARKUP | AWKWARD
Structure = Callable[[bytes], Any]
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Page(HTMLParser):
    """The elements of a page, each with the names of its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))


def of_svg(data: bytes) -> set[tuple[str, ...]]:
    text = data.decode()
    assert not CONTROLS.search(text)
    found = set()
    for element in ElementTree.fromstring(text).iter():
        name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else "comment"
        attributes = sorted(key.rpartition("}")[2] for key in element.attrib)
        assert not [key for key in attributes if key.startswith("on")]
        links = [value for key, value in element.attrib.items() if key.endswith("href")]
        assert not [value for value in links if not value.startswith(("#", "data:image/png;"))]
        found.add((name, *attributes))
    return found


def of_html(data: bytes) -> set[tuple[str, ...]]:
    text = data.decode()
    assert not CONTROLS.search(text)
    return set(Page(text).elements)


def of_dot(data: bytes) -> tuple[int, int]:
    pygraphviz = pytest.importorskip("pygraphviz")
    graph = pygraphviz.AGraph(string=data.decode())
    assert not [node for node in graph.nodes() if "URL" in dict(node.attr) or "href" in dict(node.attr)]
    return len(graph.nodes()), len(graph.edges())


def of_attributes(data: bytes) -> set[tuple[str, ...]]:
    pygraphviz = pytest.importorskip("pygraphviz")
    graph = pygraphviz.AGraph(string=data.decode())
    parts = [*graph.nodes(), *graph.edges()]
    return {tuple(sorted(key for key, value in dict(part.attr).items() if value)) for part in parts}


def of_json(data: bytes) -> set[str]:
    tree = strict(data.decode())
    return set(tree)


def of_mermaid(data: bytes) -> list[str]:
    title, *lines = data.decode().splitlines()
    assert title.startswith("%% ")
    return [re.sub(r'"[^"]*"', '""', line) for line in lines]


def of_pdf(data: bytes) -> tuple[bytes, bool]:
    return data[:5], any(word in data for word in (b"/JavaScript", b"/JS", b"/Launch", b"/OpenAction"))


# Graphviz makes a PNG of what it makes a PDF of.
STRUCTURES: dict[str, Structure] = {
    "svg": of_svg, "pdf": of_pdf, "dot": of_dot, "json": of_json, "html": of_html, "mermaid": of_mermaid,
}  # fmt: skip


@cache
def comparison(text: str) -> Any:
    return rnngraph.compare(hostile_trace(text), hostile_trace(text))


# What Graphviz makes a PDF of: its nodes and which attributes they have.
CHARTS: dict[str, Structure] = {"svg": of_svg, "html": of_html, "pdf": of_attributes}
# What is drawn of a text, how that is written in a format, and the formats.
DRAWN: dict[str, tuple[Callable[[str], Any], Callable[[Any, str], bytes], dict[str, Structure]]] = {
    "a network": (lambda text: rnngraph.draw(hostile_trace(text)), render_bytes, STRUCTURES),
    "lags": (lambda text: partial(lag_sheet, hostile_trace(text)), chart_bytes, CHARTS),
    "decays": (hostile_decay, report_bytes, CHARTS),
    "a training": (hostile_history, report_bytes, CHARTS),
    "two networks": (comparison, report_bytes, CHARTS),
}


@cache
def harmless(what: str, name: str) -> tuple[Any, ...]:
    """The structure for plain names; of a network also for long ones, which are shown in a tooltip, and with parts."""
    draw, write, structures = DRAWN[what]
    texts = ("a", "a " * 900, "a.b") if what == "a network" else ("a",)
    return tuple(structures[name](write(draw(text), name)) for text in texts)


def test_every_format_has_a_row() -> None:
    assert {*STRUCTURES, "png"} == {row.name for row in RENDERERS}
    assert {*CHARTS, "png"} == {row.name for row in FORMATS}


@pytest.mark.parametrize("what", DRAWN)
@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_name_changes_no_structure(what: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphviz, "find_dot", lambda: None)  # in this process, which is faster
    if what != "a network":
        monkeypatch.setattr(graphviz, "run_graphviz", lambda text, _: text.encode())
    draw, write, structures = DRAWN[what]
    drawn = draw(HOSTILE[key])
    for name, structure in structures.items():
        found, plain = structure(write(drawn, name)), harmless(what, name)
        assert found <= set().union(*plain) if isinstance(found, set) else found in plain, name


@pytest.mark.skipif(graphviz.find_dot() is None, reason="no dot on the PATH")
@pytest.mark.parametrize("key", AWKWARD)
def test_the_program_draws_charts_of_what_is_awkward(key: str) -> None:
    assert report_bytes(comparison(AWKWARD[key]), "png").startswith(b"\x89PNG\r\n\x1a\n")


def charts(text: str, name: str) -> Iterator[bytes]:
    """Draw a history and a comparison of networks with this text for a name."""
    yield report_bytes(hostile_history(text), name)
    yield report_bytes(comparison(text), name)


@pytest.mark.skipif(graphviz.find_dot() is None, reason="no dot on the PATH")
@pytest.mark.parametrize("key", AWKWARD)
@pytest.mark.parametrize("name", ["svg", "pdf"])
def test_the_program_draws_what_is_awkward(name: str, key: str) -> None:
    assert len(render_bytes(rnngraph.draw(hostile_trace(AWKWARD[key])), name)) > 1000


def test_a_long_name_is_whole_in_the_tooltip_of_a_picture() -> None:
    name = "start " + "x" * 1500 + " end"
    texts = render_bytes(rnngraph.draw(hostile_trace(name)), "svg").decode()
    assert f'"{name}' in texts or f">{name}" in texts.replace("&#45;", "-")


@pytest.mark.parametrize("script", ["exit 1", "exit 0", "echo 'three\nlines' >&2; exit 3", "kill -9 $$"])
def test_a_graphviz_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "dot"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    drawing = rnngraph.draw(hostile_trace("a"))
    with pytest.raises(MissingToolError, match=r"^Graphviz cannot draw this as png: .*[^.]; install another") as caught:
        render_bytes(drawing, "png")
    assert "\n" not in str(caught.value)


def pictures(trace: Trace, text: str) -> Iterator[tuple[str, str]]:
    for name in ("svg", "html"):
        yield f"all.{name}", render_bytes(rnngraph.draw(trace, steps="all"), name).decode()
        yield f"lags.{name}", chart_bytes(partial(lag_sheet, trace), name).decode()
        for number, picture in enumerate(charts(text, name)):
            yield f"{number}.{name}", picture.decode()


def runs_nothing(browser: Browser, folder: Path, texts: Iterable[tuple[str, str]]) -> None:
    one = browser.open(folder / "empty.html", "")
    for name, text in texts:
        one.turn_to(folder / name, text)
        one.settle()
        assert one.wrong == [], name


# Of what is meant for others than a browser, one page holds all.
OTHERS = ("dot", "dot escape", "dot html", "dot port", "mermaid", "rich", "format", "json", "shell", "path")
PAGES = {key: text for key, text in MARKUP.items() if key not in OTHERS}
PAGES["others"] = " ".join(MARKUP[key] for key in OTHERS)


@pytest.mark.parametrize("key", PAGES)
def test_a_page_whose_script_writes_it_runs_nothing(browser: Browser, tmp_path: Path, key: str) -> None:
    page = render_bytes(rnngraph.draw(hostile_trace(PAGES[key]), steps="all"), "html").decode()
    runs_nothing(browser, tmp_path, [("page.html", page)])


def test_no_picture_runs_anything(browser: Browser, tmp_path: Path) -> None:
    runs_nothing(browser, tmp_path, pictures(hostile_trace(*HOSTILE.values()), " ".join(MARKUP.values())))


def test_the_canary_sings(browser: Browser, tmp_path: Path) -> None:
    for script in ("<script>alert(1)</script>", '<img src=x onerror="alert(1)">'):
        one = browser.open(tmp_path / "bad.html", script)
        one.settle()
        assert one.wrong
