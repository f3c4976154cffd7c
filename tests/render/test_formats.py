from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rnngraph.errors import InputError, MissingToolError
from rnngraph.graph.draw import Drawing, draw
from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.one_loss import appearance as look
from rnngraph.render.format import RENDERERS, render_bytes, renderer_of
from rnngraph.render.notebook import bundle
from rnngraph.render.picture import dot, graphviz, mermaid
from rnngraph.trace.model import Trace
from tests.graph.seen_traces import seen
from tests.traces import every_status, make_trace

SAMPLES = {
    "one": make_trace("tanh", 1),
    "folded": make_trace("lstm", 40),
    "deep": make_trace("gru", 3, layers=3, bidirectional=True),
    "bare": make_trace("relu", 4, graph=False),
    "custom": make_trace("custom", 4),
    "statuses": every_status(),
}
BEGINNINGS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "json": b"{", "mermaid": b"%%",
              "html": b"<!"}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["dot", "pygraphviz"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Draw once with the program and once without it."""
    if request.param == "pygraphviz":
        monkeypatch.setenv("PATH", "")
        pytest.importorskip("pygraphviz")
    elif graphviz.find_dot() is None:
        pytest.skip("no dot on the PATH")
    return str(request.param)


def texts(data: bytes) -> list[str]:
    return ["".join(node.itertext()).replace("\u00a0", " ") for node in ElementTree.fromstring(data).iter(f"{SVG}text")]


@cache
def twice(sample: str) -> tuple[Drawing, Drawing]:
    return draw(SAMPLES[sample]), draw(SAMPLES[sample])


BY_GRAPHVIZ = ("svg", "png", "pdf")


@pytest.mark.parametrize(
    ("name", "sample"),
    [(name, one) for name in BY_GRAPHVIZ for one in (SAMPLES if name == "svg" else ["deep"])],
)
def test_every_format_that_graphviz_draws(name: str, sample: str, backend: str) -> None:
    begins_and_is_the_same(name, sample)


@pytest.mark.parametrize("name", [row.name for row in RENDERERS if row.name not in BY_GRAPHVIZ])
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_other_format(name: str, sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    begins_and_is_the_same(name, sample)


def begins_and_is_the_same(name: str, sample: str) -> None:
    one, another = (render_bytes(drawing, name) for drawing in twice(sample))
    assert one.startswith(BEGINNINGS[name])
    assert one == another, "the same input gives the same bytes"


def test_the_svg_keeps_the_positions() -> None:
    drawing = draw(SAMPLES["deep"])
    root = ElementTree.fromstring(render_bytes(drawing, "svg"))
    width, height = (float(size) for size in root.attrib["viewBox"].split()[2:])
    assert width == pytest.approx(drawing.frame.width, abs=0.01)
    assert height == pytest.approx(drawing.frame.height, abs=0.01)
    assert root.attrib["width"] == f"{root.attrib['viewBox'].split()[2]}px"
    found: dict[str, set[tuple[float, float]]] = {}
    for element in root.iter(f"{SVG}text"):
        at = float(element.attrib["x"]), float(element.attrib["y"])
        found.setdefault("".join(element.itertext()), set()).add(at)
    boxes = [shape for shape in drawing.shapes if shape.align == "middle" and shape.text and "\n" not in shape.text]
    assert len(boxes) > 60
    for shape in boxes:
        x, y = shape.box.x - drawing.frame.left, shape.box.y - drawing.frame.top
        assert any(a == pytest.approx(x, abs=0.01) and 0 < b - y < shape.size for a, b in found[shape.text]), shape.id


def test_every_label_is_in_the_svg() -> None:
    drawing = draw(SAMPLES["statuses"])
    found = texts(render_bytes(drawing, "svg"))
    for shape in drawing.shapes:
        for line in shape.text.split("\n"):
            assert not line or line in found, line
    for curve in drawing.curves:
        assert not curve.text or curve.text in found


# Graphviz collapses or trims blanks, and a font may lack a glyph, but what was written must come back.
LABELS = st.text(st.characters(codec="utf-8", exclude_characters=" \u00a0"), min_size=1, max_size=8)


@settings(max_examples=5, deadline=None)
@given(labels=st.lists(LABELS, min_size=15, max_size=15))
@example(labels=["&lt;", "&#65;", "&amp;", '"', "\\N", "<b>x</b>"])
def test_any_label_survives_dot_and_svg(labels: list[str]) -> None:
    shown = [one_line(label) for label in labels]
    quoted = [dot.quote(one) for one in shown]
    nodes = [f'n{at} [pos="{at},0" label={one} tooltip={one}];' for at, one in enumerate(quoted)]
    source = f"digraph {{ {' '.join(nodes)} }}"
    for data in (graphviz.run_graphviz(source, "svg"), graphviz.run_in_process(source, "svg")):
        assert texts(data) == shown


@settings(max_examples=200)
@given(label=st.text(max_size=20))
def test_any_label_stays_inside_its_mermaid_quotes(label: str) -> None:
    quoted = mermaid.quote(one_line(label))
    assert re.fullmatch(r'"[^"<>&`\n]*"', quoted)
    decoded = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), quoted[1:-1])
    assert decoded == one_line(label)


@pytest.mark.parametrize(
    "label",
    [
        "<START>",
        "<b>x</b>",
        "a\\Nb",
        "\\",
        '"',
        "&amp;",
        "&#65;",
        "&lt;",
        "a:b",
        "\t",
        "x\ny",
        "\x00",
        "\x1b[31m",
        "\ud800",
        "\uffff",
    ],
)
def test_labels_that_mean_something_to_graphviz(label: str, backend: str) -> None:
    trace = make_trace("tanh", 1, labels=(label,), model=label)
    found = texts(render_bytes(draw(trace), "svg"))
    assert found.count(one_line(label)) == 2  # the title and the word under the step
    assert json.loads(render_bytes(draw(trace), "json"))["columns"][1]["label"] == label


def test_json_holds_the_graph_with_positions_and_magnitudes() -> None:
    drawing = draw(every_status())
    found = json.loads(render_bytes(drawing, "json"))
    assert found["schema"] == 1
    assert len(found["vertices"]) == len(drawing.graph.vertices)
    assert len(found["edges"]) == len(drawing.graph.edges)
    statuses = {edge["carried"]["status"]: edge["carried"] for edge in found["edges"] if edge["carried"]}
    assert set(statuses) == {"ok", "zero", "underflow", "nonfinite", "unobserved"}
    assert statuses["zero"]["value"] is None
    assert statuses["zero"]["log10"] is None
    vertex = next(vertex for vertex in found["vertices"] if vertex["kind"] == "state")
    assert {"x", "y", "width", "height", "grad", "nodes"} <= set(vertex)


def test_mermaid_has_every_vertex_and_arrow() -> None:
    drawing = draw(SAMPLES["deep"])
    text = render_bytes(drawing, "mermaid").decode()
    arrows = re.findall(r"(?m)^  (\w+) [-=]{2}>(?:\|\"[^\"]*\"\|)? (\w+)$", text)
    assert sorted(arrows) == sorted((curve.source, curve.target) for curve in drawing.curves)
    defined = set(re.findall(r"(?m)^    (\w+)\(", text))
    assert defined == {vertex.id for vertex in drawing.graph.vertices}


def test_dot_writes_a_position_for_everything() -> None:
    text = render_bytes(draw(SAMPLES["folded"]), "dot").decode()
    lines = [line for line in text.splitlines() if re.match(r"\w+ (-> \w+ )?\[", line)]
    lines = [line for line in lines if not line.startswith(("graph ", "node ", "edge "))]
    assert len(lines) > 100
    assert all('pos="' in line for line in lines)


def test_no_graphviz_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    drawing = draw(SAMPLES["one"])
    with pytest.raises(MissingToolError, match=r"pip install pygraphviz.*\.svg"):
        render_bytes(drawing, "png")
    for name in ("svg", "dot", "json"):
        assert render_bytes(drawing, name)


def test_a_bitmap_that_must_shrink_says_so() -> None:
    drawing = draw(make_trace("tanh", 220), steps="all")
    with pytest.warns(UserWarning, match="dots an inch"):
        data = render_bytes(drawing, "png")
    assert int.from_bytes(data[16:20], "big") <= 32_767  # cairo draws no more


@pytest.mark.parametrize(
    ("path", "name"), [("a.svg", "svg"), ("b.PNG", "png"), ("c.tar.gv", "dot"), ("d.mmd", "mermaid")]
)
def test_the_suffix_chooses(path: str, name: str) -> None:
    assert renderer_of(path).name == name


@pytest.mark.parametrize("path", ["a", "a.jpeg", "svg", ".svg", "a.svg~"])
def test_other_suffixes_are_refused_with_the_known_ones(path: str) -> None:
    with pytest.raises(InputError, match=r"\.svg, \.png"):
        renderer_of(Path(path))


def test_a_drawing_shows_itself_in_a_notebook() -> None:
    drawing = draw(SAMPLES["one"])
    assert bundle(drawing)["image/svg+xml"] == render_bytes(drawing, "svg").decode()


GOLDENS = {
    "tanh-3": (make_trace("tanh", 3), {}),
    "lstm-fold": (make_trace("lstm", 30), {"steps": "0:1,29"}),
    "gru-both-ways": (make_trace("gru", 2, bidirectional=True), {}),
    "tanh-rolled": (make_trace("tanh", 8), {"view": "rolled"}),
    "one-loss": (seen("tanh", 30), {}),
    "one-loss-390": (seen("lstm", 30), {"width": 390, "theme": "dark"}),
}


@pytest.mark.parametrize("suffix", ["dot", "json"])
@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The sentences are the diagnosis's own, and tested there.
    monkeypatch.setattr(look, "title_and_why", lambda *_: ("It dies there.", "Why: of this. Try that."))
    trace, options = GOLDENS[name]
    expected = Path(__file__).parent / "goldens" / f"{name}.{suffix}"
    assert_same(render_bytes(draw(trace, **options), suffix).decode(), expected.read_text(encoding="utf-8"))  # type: ignore[arg-type]


def assert_same(found: str, expected: str) -> None:
    assert found.splitlines() == expected.splitlines()


def test_a_pdf_is_paper_to_its_edge() -> None:
    drawing = draw(seen("tanh", 8), width=390, theme="dark")
    found = re.search(rb"/MediaBox \[ 0 0 (\d+) (\d+) \]", render_bytes(drawing, "pdf"))
    assert found is not None
    frame = drawing.sheet.frame
    assert [int(size) for size in found.groups()] == pytest.approx([frame.width, frame.height], abs=2)


def test_options_change_the_picture() -> None:
    trace: Trace = make_trace("lstm", 5)
    pictures = {
        render_bytes(draw(trace, color=color, backward=backward), "dot")
        for color in ("grad", "gain", "saturation", "activation")
        for backward in (True, False)
    }
    assert len(pictures) >= 6


def test_without_graphviz_a_notebook_still_gets_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    found = bundle(draw(SAMPLES["one"]))
    assert set(found) == {"text/html", "text/plain", "image/svg+xml"}


def test_drawing_in_process_prints_nothing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    render_bytes(draw(make_trace("tanh", 150), steps="all"), "pdf")
    assert "Warning" not in capfd.readouterr().err


@pytest.mark.skipif(graphviz.find_dot() is None, reason="no dot on the PATH")
def test_the_dot_file_keeps_its_positions_under_a_bare_dot(tmp_path: Path) -> None:
    drawing = draw(SAMPLES["deep"])
    (tmp_path / "a.dot").write_bytes(render_bytes(drawing, "dot"))
    done = subprocess.run(["dot", "-Tsvg", "a.dot"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == graphviz.run_graphviz(render_bytes(drawing, "dot").decode(), "svg")


@pytest.mark.parametrize("title", ['%%{init: {"securityLevel": "loose"}}%%', "}%%{wrap"])
def test_a_title_is_no_mermaid_directive(title: str) -> None:
    text = mermaid.mermaid(draw(SAMPLES["one"], title=title))
    assert "%%{" not in text
    assert text.count("%%") == 1, "only the comment that holds the title"


@pytest.mark.parametrize(
    ("label", "shown"),
    [("+", '"#43;"'), ("+  cell c", '"#43;  cell c"'), ("1. one\n- two", '"1#46; one<br/>#45; two"'),
     ("0.02", '"0.02"'), ("3e-7", '"3e-7"'), ("$$x$$", '"#36;#36;x#36;#36;"')],
)  # fmt: skip
def test_no_mermaid_label_is_read_as_a_list_or_a_formula(label: str, shown: str) -> None:
    assert mermaid.quote(label) == shown
