"""`rnngraph history` as a shell sees it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rnngraph.errors import FileError, InputError
from rnngraph.render.format import CHARTS
from tests.history.trainings import gain, half_life, network, reach, save, save_step
from tests.typed import strict, typed

run = partial(typed, "history", width=120)

RATES = (0.7, 0.76, 0.82, 0.88, 0.94, 1.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a training that opens, in `a`."""
    monkeypatch.chdir(tmp_path)
    return save(tmp_path / "a", RATES)


def test_the_document_is_that_of_the_issue(folder: Path) -> None:
    (folder / "step-000000250.npz").write_bytes(b"no")
    document = strict(run("a", "--json"))
    assert document["schema"] == 1
    assert [one["step"] for one in document["checks"]] == [0, 100, 200, 300, 400, 500]
    for one, rate in zip(document["checks"], RATES, strict=True):
        assert set(one) >= {"step", "loss", "states", "flags"}
        assert one["loss"] == 1 / (1 + one["step"])
        (state,) = one["states"]
        assert state["name"] == "relu"
        assert state["reach"] == one["reach"] == reach(rate)
        assert state["gain"] == pytest.approx(gain(rate, 39), abs=1e-9)
        assert state["half_life"] == (None if rate == 1 else pytest.approx(half_life(rate)))
        assert one["inputs"][0]["name"] == "x into relu"
    assert [one["flags"] for one in document["checks"]][::5] == [["vanishing"], ["healthy"]]
    assert document["trend"] == {"trend": "opening", "since": 0, "text": run("a").split(". ")[0].splitlines()[0]}
    assert [one["trend"] for one in document["checks"]] == [None] * 4 + ["opening"] * 2
    assert [(one["name"], one["trend"]) for one in document["trends"]] == [
        ("x into relu", "opening"), ("relu", "opening"),
    ]  # fmt: skip
    assert [one["name"] for one in document["skipped"]] == ["step-000000250.npz"]


def test_the_report_has_a_row_a_measurement_and_a_sparkline_a_place(folder: Path) -> None:
    lines = run("a").splitlines()
    assert lines[0].startswith("Opening since step 0: the reach went from lag 13 to lag 39 at least")
    assert lines[1].startswith("Now, at step 500: It remembers")
    spark = next(line for line in lines if line.startswith("relu"))
    assert spark.split()[1] == "▃▄▅███"  # eighths of 39, rounded up: 13, 17, 24, 37, 39, 39
    assert "lag 13 to 39+" in spark
    assert "opening" in spark
    table = lines[lines.index(next(line for line in lines if line.startswith("step"))) :]
    assert table[0].split() == ["step", "loss", "reach", "gain", "at", "lag", "39", "half-life", "flags"]
    assert table[1].split() == ["0", "1.000", "13", "1e-6", "1.94", "vanishing"]
    assert table[6].split() == ["500", "0.0020", "39+", "100", "%", "-", "healthy"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_report_is_as_wide_as_the_page(folder: Path, width: int) -> None:
    printed = run("a", width=width)
    assert max(map(len, printed.splitlines())) <= width
    assert "\x1b" not in printed


def test_what_was_passed_by_is_said(folder: Path) -> None:
    (folder / "other.npz").write_bytes(b"no")
    assert "Passed by: other.npz: " in run("a")


@pytest.mark.parametrize("suffix", [row.name for row in CHARTS])
def test_pictures(folder: Path, suffix: str) -> None:
    assert run("a", "-o", f"h.{suffix}") == ""
    data = Path(f"h.{suffix}").read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!doctype html>"}[suffix])
    run("a", "-o", f"h.{suffix}")  # the same kind of file is replaced
    Path(f"h.{suffix}").write_text("something else")
    with pytest.raises(FileError, match="exists"):
        run("a", "-o", f"h.{suffix}")
    run("a", "-o", f"h.{suffix}", "--force")


def test_a_picture_to_stdout(folder: Path) -> None:
    ElementTree.fromstring(run("a", "-o", "-"))


def test_a_need(folder: Path) -> None:
    assert json.loads(run("a", "--json", "--horizon", "20"))["horizon"] == 20


def test_one_trace_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_step(tmp_path, network(0.8), 5)
    assert run(".").startswith("Too early to tell: 1 measurement with credit")
    assert json.loads(run(".", "--json"))["trend"]["trend"] is None
    run(".", "-o", "h.svg")
    assert "step 5" in Path("h.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("missing",), FileError, "is not there; name the folder"),
        (("a/step-000000000.npz",), FileError, "is a file"),
        (("empty",), FileError, "holds no trace"),
        (("a", "--horizon", "0"), InputError, "the horizon is 0"),
        (("a", "--horizon", "40"), InputError, "the horizon is 40, but the longest"),
        (
            ("a", "-o", "h.bmp"),
            InputError,
            "no suffix that a history can be drawn in; use one of .svg, .png, .pdf",
        ),
        (("a", "-o", "no/h.svg"), FileError, "does not exist"),
        (("a", "--json", "-o", "h.svg"), InputError, "leave one of them out"),
    ],
)
def test_bad_input_leaves_no_file(folder: Path, arguments: tuple[str, ...], kind: type, words: str) -> None:
    (folder.parent / "empty").mkdir()
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(kind, match=words):
        run(*arguments)
    assert sorted(folder.parent.rglob("*")) == before
