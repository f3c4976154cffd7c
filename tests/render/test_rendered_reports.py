"""`rg.render` of a report writes what the command's `-o` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import rnngraph as rg
from rnngraph.cli.app import app
from rnngraph.errors import FileError, InputError
from rnngraph.sources.demo import DemoOptions, build
from tests.history.trainings import network, save

MAKERS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "decay": (lambda: rg.decay("model.safetensors"), ("decay", "model.safetensors")),
    "history": (lambda: rg.history("a"), ("history", "a")),
    "context": (lambda: rg.context(build(DemoOptions(timesteps=8))), ("context", "--timesteps", "8")),
    "compare": (lambda: rg.compare("one.npz", "a"), ("compare", "one.npz", "a")),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"mixer.A_log": np.zeros(3, np.float32), "mixer.dt_bias": np.ones(3, np.float32)}, "model.safetensors")
    save(Path("a"), (0.7, 0.8))
    network(0.5).save("one.npz")


@pytest.mark.parametrize("suffix", ["svg", "html"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_report_is_drawn_as_by_its_command(name: str, suffix: str) -> None:
    make, command = MAKERS[name]
    for options in ({}, {"width": 390, "theme": "dark"}):
        assert rg.render(make(), f"here.{suffix}", **options) == Path(f"here.{suffix}")  # type: ignore[arg-type]
        said = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        assert CliRunner().invoke(app, [*command, "-o", f"there.{suffix}", *said]).exit_code == 0
        assert Path(f"here.{suffix}").read_bytes() == Path(f"there.{suffix}").read_bytes()


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_report_is_not_drawn_as(name: str) -> None:
    report = MAKERS[name][0]()
    with pytest.raises(InputError, match=r"'here\.bmp' has no suffix that .* can be drawn in; use one of \.svg"):
        rg.render(report, "here.bmp")
    with pytest.raises(InputError, match="only a trace is drawn with steps: leave that out for"):
        rg.render(report, "here.svg", steps="all", width=390)
    Path("mine.svg").write_text("a letter")
    with pytest.raises(FileError, match="mine"):
        rg.render(report, "mine.svg")
    assert Path("mine.svg").read_text() == "a letter"
    assert not Path("here.svg").exists()
