"""Tracing every n-th step of a training loop: which steps, how many files, how large, and what a failure does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import rnngraph
from rnngraph.errors import InputError

torch = pytest.importorskip("torch")


def train(every: Any, layer: Any, steps: int) -> None:
    for _ in range(steps):
        with every:
            layer(torch.randn(5, 2, 3))[0].square().sum().backward()


def test_every_third_step_and_the_newest_two(tmp_path: Path) -> None:
    layer = torch.nn.GRU(3, 4)
    every = rnngraph.torch.watch(layer).every(3, tmp_path / "traces", keep=2)
    train(every, layer, 10)
    names = ["step_00000006.npz", "step_00000009.npz"]
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == names
    assert [path.name for path in every.files] == names
    assert rnngraph.Trace.load(every.files[0]).states[0].name == "gru.h"


def test_the_size_is_bounded(tmp_path: Path) -> None:
    layer = torch.nn.GRU(3, 4)
    every = rnngraph.torch.watch(layer).every(1, tmp_path)
    train(every, layer, 1)
    size = every.files[0].stat().st_size
    every = rnngraph.torch.watch(layer).every(1, tmp_path / "small", megabytes=2.5 * size / 1e6)
    train(every, layer, 4)
    assert len(every.files) == len(list((tmp_path / "small").iterdir())) == 2
    every = rnngraph.torch.watch(layer).every(1, tmp_path / "none", megabytes=1e-6)
    with pytest.warns(RuntimeWarning, match="larger than megabytes allows"):
        train(every, layer, 1)
    assert not list((tmp_path / "none").iterdir())


def test_a_step_that_cannot_be_traced_is_a_warning(tmp_path: Path) -> None:
    layer = torch.nn.GRU(3, 4)
    every = rnngraph.torch.watch(layer).every(1, tmp_path)
    with pytest.warns(RuntimeWarning, match="step 0 was not traced: no recurrent layer was called"), every:
        pass
    train(every, layer, 1)
    assert [path.name for path in every.files] == ["step_00000001.npz"]


def test_an_exception_of_the_loop_passes_and_leaves_no_hooks(tmp_path: Path) -> None:
    layer = torch.nn.GRU(3, 4)
    every = rnngraph.torch.watch(layer).every(1, tmp_path)
    with pytest.raises(KeyError), every:
        raise KeyError
    assert not layer._forward_hooks
    train(every, layer, 1)
    assert len(every.files) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "every is 0"),
        ({"keep": 0}, "keep is 0"),
        ({"megabytes": 0}, "megabytes is 0"),
        ({"megabytes": "x"}, "megabytes is 'x'; it must be a number"),
        ({"megabytes": float("nan")}, "megabytes is nan"),
        ({"folder": None}, "folder is None; pass the path"),
        ({"ranks": "some"}, "ranks is 'some'; choose one of first, all"),
        ({"lagz": True}, "a trace has no option 'lagz'"),
        ({"lags": 3}, "lags is 3; pass True"),
        ({"spectrum": -1}, "spectrum is -1"),
        ({"layer": "encoder"}, "no watched layer is called 'encoder'; there is gru"),
        ({"call": 1.5}, "call is 1.5; pass a whole number"),
        ({"tolerance": "small"}, "tolerance is 'small'; pass a number"),
        ({"labels": "word"}, "labels is 'word'; pass a list"),
    ],
)
def test_bounds(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rnngraph.torch.watch(torch.nn.GRU(3, 4)).every(**{"steps": 1, "folder": tmp_path, **options})


def test_no_exception_of_the_trace_ends_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.GRU(3, 4)
    every = rnngraph.torch.watch(layer).every(1, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(rnngraph.Trace, "save", lambda *_: 1 / 0)
        with pytest.warns(RuntimeWarning, match="step 0 was not traced: division by zero"):
            train(every, layer, 1)
    train(every, layer, 1)
    assert [path.name for path in every.files] == ["step_00000001.npz"]


def test_a_folder_of_an_earlier_run_is_pointed_out(tmp_path: Path) -> None:
    layer = torch.nn.GRU(3, 4)
    train(rnngraph.torch.watch(layer).every(1, tmp_path), layer, 2)
    with pytest.warns(RuntimeWarning, match="holds 2 traces of an earlier run already"):
        rnngraph.torch.watch(layer).every(1, tmp_path)
