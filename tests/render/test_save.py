from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph.errors import FileError, InputError
from rnngraph.graph.build.graph import build_columns
from rnngraph.graph.draw import draw
from rnngraph.render import render
from rnngraph.render.format import RENDERERS, Renderer, render_bytes
from tests.traces import make_trace

TRACE = make_trace("tanh", 3)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [suffix for row in RENDERERS for suffix in row.suffixes])
def test_a_picture_is_written_and_its_path_returned(tmp_path: Path, suffix: str) -> None:
    path = render(TRACE, str(tmp_path / f"a{suffix}"))
    assert path.stat().st_size > 500
    assert left_over(tmp_path) == [f"a{suffix}"]
    assert render(TRACE, path) == path, "the same kind of file may be overwritten"


def test_a_drawing_is_written_as_a_trace_is(tmp_path: Path) -> None:
    render(draw(TRACE, steps="0:2"), tmp_path / "a.dot")
    render(TRACE, tmp_path / "b.dot", steps="0:2")
    assert (tmp_path / "a.dot").read_bytes() == (tmp_path / "b.dot").read_bytes()
    with pytest.raises(InputError, match="only a trace is drawn with"):
        render(draw(TRACE), tmp_path / "c.dot", steps="0:2")


def test_a_file_of_another_kind_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.svg"
    path.write_text("my notes")
    with pytest.raises(FileError, match=r"notes\.svg.*is no svg file.*force"):
        render(TRACE, path)
    assert path.read_text() == "my notes"
    render(TRACE, path, force=True)
    assert "<svg" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", RENDERERS, ids=lambda row: row.name)
def test_a_renderer_recognises_its_own_files_and_no_notes(row: Renderer) -> None:
    data = render_bytes(draw(TRACE), row.name)
    assert row.recognises(data[:4096])
    assert not row.recognises(b"my notes on the flow of gradients")
    others = [one.name for one in RENDERERS if one is not row and one.recognises(data[:4096])]
    assert others == []


def test_an_empty_file_may_be_filled(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.touch()
    assert render(TRACE, path).stat().st_size > 500


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.svg").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        render(TRACE, tmp_path / "a.svg")


def test_a_folder_without_suffix_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"):
        render(TRACE, tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"folder .*nowhere.* does not exist"):
        render(TRACE, tmp_path / "nowhere" / "a.svg")
    assert left_over(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="cannot be written"):
        render(TRACE, tmp_path / "a.svg")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(FileError, match="No space left"):
        render(TRACE, tmp_path / "a.json")
    assert left_over(tmp_path) == []


def test_bad_options_leave_nothing(tmp_path: Path) -> None:
    for options in ({"steps": "0:99"}, {"detail": "x"}, {"view": "x"}, {"color": "x"}):
        with pytest.raises(InputError):
            render(TRACE, tmp_path / "a.svg", **options)  # type: ignore[arg-type]
    assert left_over(tmp_path) == []


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ndarray"):
        render(np.zeros(3), tmp_path / "a.svg")


def test_the_page_does_without_a_drawing_of_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = make_trace("tanh", 60)
    widths: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Any:
        found = build_columns(*arguments, **options)
        widths.append(len(found.columns))
        return found

    monkeypatch.setattr(sys.modules["rnngraph.graph.build.graph"], "build_columns", counting)
    monkeypatch.setattr(sys.modules["rnngraph.render.page.prototype"], "build_columns", counting)
    path = render(trace, tmp_path / "a.html", steps="all", color="gain")
    assert '"color":"gain"' in path.read_text(encoding="utf-8")
    assert 0 < max(widths) < 20
    with pytest.raises(InputError, match="outside"):
        render(trace, tmp_path / "b.html", steps="50:70")
