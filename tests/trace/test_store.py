"""The file format: a round trip is exact, and what is not a whole trace is refused with a sentence."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import GenericAlias
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnngraph as rg
from rnngraph import archive
from rnngraph.errors import FileError, InputError
from rnngraph.trace import store
from rnngraph.trace.consistent import check_trace
from rnngraph.trace.magnitudes import Booleans, Floats, Integers


@pytest.fixture(scope="module")
def trace() -> rg.Trace:
    tape = rg.Tape()
    tape.step_labels = ["a", None, 'q"<&>\\\n', "é"]
    x = tape.input(np.random.default_rng(0).normal(size=(2, 4, 3)))
    h = rg.nn.LSTM(3, 4, num_layers=2, bidirectional=True)(x)
    return rg.record(rg.nn.temporal_softmax_loss(rg.nn.Linear(8, 5)(h), np.ones((2, 4), int)), lags=True)


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, float):
        np.testing.assert_equal(one, other)
    else:
        assert one == other


def test_round_trip(trace: rg.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "run.npz")
    assert_same(trace, rg.Trace.load(tmp_path / "run.npz"))
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_the_declared_types_may_be_opaque_aliases(
    trace: rg.Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NumPy's own are from 2.5 on, which needs a later Python than the oldest that is supported."""
    columns = store._columns

    def opaque(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
        hints, needed = columns(kind)
        aliases = {Floats: np.float64, Integers: np.int64, Booleans: np.bool_, NDArray[np.uint8]: np.uint8}
        return {
            key: GenericAlias(NDArray, (aliases[one],)) if one in aliases else one for key, one in hints.items()
        }, needed

    path = tmp_path / "run.npz"
    trace.save(path)
    monkeypatch.setattr(store, "_columns", opaque)
    assert_same(rg.Trace.load(path), trace)


@pytest.mark.parametrize("loss", [None, 0.25, float("nan")])
def test_where_in_a_training_a_trace_stands_is_kept(trace: rg.Trace, tmp_path: Path, loss: float | None) -> None:
    placed = replace(trace, training_step=1200, training_loss=loss)
    placed.save(tmp_path / "run.npz")
    assert_same(placed, rg.Trace.load(tmp_path / "run.npz"))
    assert (trace.training_step, trace.training_loss) == (None, None)


@pytest.mark.parametrize("step", [-1, 10**400])
def test_a_training_step_that_there_cannot_be_is_refused(trace: rg.Trace, tmp_path: Path, step: int) -> None:
    odd = replace(trace, training_step=step)
    with pytest.raises(InputError, match="training_step"):
        check_trace(odd)
    odd.save(tmp_path / "run.npz")
    with pytest.raises(FileError, match="training_step"):
        rg.Trace.load(tmp_path / "run.npz")


def _rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with np.load(path) as data:
        arrays = dict(data)
    header = json.loads(bytes(arrays["header"]))
    change(header)
    np.savez(path, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)})


def test_a_file_of_the_schema_before_is_read(trace: rg.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "run.npz")

    def age(header: dict[str, Any]) -> None:
        header["schema"] = 3
        del header["trace"]["training_step"], header["trace"]["training_loss"]

    _rewritten(tmp_path / "run.npz", age)
    assert_same(trace, rg.Trace.load(tmp_path / "run.npz"))


@pytest.mark.parametrize("step", [1.5, "12", True, [1]])
def test_a_training_step_of_another_type_is_refused(trace: rg.Trace, tmp_path: Path, step: object) -> None:
    trace.save(tmp_path / "run.npz")
    _rewritten(tmp_path / "run.npz", lambda header: header["trace"].update(training_step=step))
    with pytest.raises(FileError, match="belongs"):
        rg.Trace.load(tmp_path / "run.npz")


def test_a_column_without_a_default_must_be_there(trace: rg.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "run.npz")
    _rewritten(tmp_path / "run.npz", lambda header: header["trace"].pop("model"))
    with pytest.raises(FileError, match=r"\['model'\] too many or too few"):
        rg.Trace.load(tmp_path / "run.npz")


@pytest.mark.parametrize("keep", [0, 1, 30, 500, -1, -40])
def test_a_cut_file_is_refused(trace: rg.Trace, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run.npz"
    trace.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileError, match=r"run\.npz"):
        rg.Trace.load(path)


def test_a_flipped_byte_never_loads_as_something_else(trace: rg.Trace, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    trace.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            loaded = rg.Trace.load(path)
        except FileError:
            continue
        assert_same(trace, loaded)  # a byte of a time stamp or the like


def test_foreign_and_newer_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    np.savez(path, weights=np.ones(3))
    with pytest.raises(FileError, match="weights"):
        rg.Trace.load(path)
    header = json.dumps({"format": "rnngraph trace", "schema": 99, "trace": {}})
    np.savez(path, header=np.frombuffer(header.encode(), dtype=np.uint8))
    with pytest.raises(FileError, match="99"):
        rg.Trace.load(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    np.savez(path, header=np.array([{"format": "rnngraph trace"}], dtype=object), allow_pickle=True)
    with pytest.raises(FileError):
        rg.Trace.load(path)


def test_columns_that_do_not_fit_are_refused(trace: rg.Trace, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    trace.save(path)
    with np.load(path) as data:
        arrays = dict(data)
    arrays["trace.states.0.gain"] = arrays["trace.states.0.gain"][:-1]
    np.savez(path, **arrays)
    with pytest.raises(FileError, match="is needed"):
        rg.Trace.load(path)


def test_places_that_cannot_be_written(trace: rg.Trace, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        trace.save(tmp_path / "nowhere" / "run.npz")
    with pytest.raises(FileError, match="folder"):
        trace.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_packs_too_well_to_be_believed_is_saved_as_it_is(
    trace: rg.Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vanished gradient is all zeros; what `load` would refuse as a bomb, `save` must not write."""
    monkeypatch.setattr(archive, "UNPACKED_FREELY", 1000)
    monkeypatch.setattr(archive, "HONEST_RATIO", 0)
    trace.save(tmp_path / "run.npz")
    with zipfile.ZipFile(tmp_path / "run.npz") as packed:
        assert {entry.compress_type for entry in packed.infolist()} == {zipfile.ZIP_STORED}
    monkeypatch.undo()
    assert rg.Trace.load(tmp_path / "run.npz").model == trace.model


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_member_that_is_unpacked_in_parts(tmp_path: Path, order: Any) -> None:
    wanted = np.random.default_rng(0).normal(size=(300, 1001)).copy(order)  # more than two megabytes
    np.savez_compressed(tmp_path / "a.npz", a=wanted)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(archive.read_member(tmp_path / "a.npz", file, "a"), wanted)
