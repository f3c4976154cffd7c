"""A saved trace with a column, a status or an index changed is refused, and never met by a reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import FileError
from rnngraph.trace.model import Trace


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, tape = np.random.default_rng(0), rg.Tape()
    x = tape.input(rng.normal(size=(2, 4, 3)))
    loss = rg.nn.temporal_softmax_loss(rg.nn.GRU(3, 5)(x), np.zeros((2, 4), int))
    path = tmp_path_factory.mktemp("runs") / "run.npz"
    rg.record(loss, lags=True).save(path)
    return path


CHANGES: dict[str, Any] = {
    "shorter": lambda a: a[:-1],
    "an axis more": lambda a: a[None],
    "out of range": lambda a: np.full_like(a, 200),
}
COLUMNS = {
    "trace.states.0.grad.status": CHANGES,
    "trace.states.0.saturated": {"shorter": CHANGES["shorter"], "an axis more": CHANGES["an axis more"]},
    "trace.states.0.nodes": CHANGES,
    "trace.gates.0.mean": {"shorter": CHANGES["shorter"]},
    "trace.parameters.0.steps.status": CHANGES,
    "trace.inputs.0.steps.status": CHANGES,
    "trace.graph.inputs": CHANGES,
    "trace.lags.0.losses": CHANGES,
    "trace.lags.0.log": {"shorter": CHANGES["shorter"], "an axis more": CHANGES["an axis more"]},
    "trace.lags.0.copied": {"shorter": CHANGES["shorter"]},
}


@pytest.mark.parametrize(("column", "change"), [(column, name) for column, names in COLUMNS.items() for name in names])
def test_a_changed_column_is_refused(saved: Path, tmp_path: Path, column: str, change: str) -> None:
    arrays = dict(np.load(saved))
    arrays[column] = COLUMNS[column][change](arrays[column])
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FileError, match="is damaged: "):
        Trace.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "path", [("dtype",), ("states", 0, "direction"), ("graph", "first_nonfinite_forward"), ("lags", 0, "state")]
)
def test_a_changed_word_is_refused(saved: Path, tmp_path: Path, path: tuple[Any, ...]) -> None:
    arrays = dict(np.load(saved))
    header = json.loads(bytes(arrays["header"]))
    place = header["trace"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = 10**6 if isinstance(place[path[-1]], int) else "x"
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FileError, match="is damaged: "):
        Trace.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("name", ["a" * 300 + ".npz", "a\0b.npz"])
def test_a_name_that_no_file_can_have_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    trace = Trace.load(saved)
    for action in (trace.save, Trace.load, lambda path: rg.render(trace, path.with_suffix(".svg"))):
        with pytest.raises(FileError):
            action(tmp_path / name)
    assert not list(tmp_path.iterdir())
