"""`rnngraph lags` as a shell sees it."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import FileError, InputError
from rnngraph.measure.lag_options import LagOptions
from rnngraph.sources.demo import DemoOptions, build
from tests.typed import strict, typed

run = partial(typed, "lags")

SMALL = ("--hidden-size", "5", "--batch", "3", "--timesteps", "12")


def test_the_document_is_the_lag_matrix() -> None:
    document = strict(run("--json", "--cell", "lstm", "--losses", "all", "--samples", "all", *SMALL))
    assert document["schema"] == 1
    loss = build(DemoOptions(cell="lstm", hidden_size=5, batch=3, timesteps=12))
    traces = rg.record(loss, lags=LagOptions("all", "all")).lags
    assert [state["name"] for state in document["states"]] == ["lstm.h", "lstm.c"]
    for state, trace in zip(document["states"], traces, strict=True):
        assert set(state) >= {"layer", "direction", "kind", "rate", "half_life", "memory_horizon", "curve", "matrix"}
        matrix = state["matrix"]
        assert matrix["losses"] == list(range(12))
        assert matrix["timesteps"] == list(range(-1, 12))
        for s, values in enumerate(matrix["log10"]):
            assert values[s + 2 :] == [None] * (11 - s)
            expected = np.log10(np.sqrt((np.exp(trace.log[:, s, : s + 2]) ** 2).sum(axis=0)))
            np.testing.assert_allclose(values[: s + 2], expected, rtol=1e-9)
        curve = state["curve"]
        assert [entry["lag"] for entry in curve] == list(range(1, 12))
        assert [entry["pairs"] for entry in curve] == [3 * (12 - lag) for lag in range(1, 12)]
        assert all(entry["q10"] <= entry["q90"] for entry in curve)
        assert state["half_life"] == pytest.approx(math.log(2) / -state["rate"])


def test_the_largest_lag_is_taken_and_told() -> None:
    wanted = ("--hidden-size", "5", "--batch", "3", "--timesteps", "60", "--losses", "all")
    (state,) = json.loads(run("--json", "--max-lag", "20", *wanted))["states"]
    assert state["floor"] is None
    assert state["max_lag"] == 20
    assert [entry["lag"] for entry in state["curve"] if entry["pairs"]] == list(range(1, 21))
    loss = build(DemoOptions(hidden_size=5, batch=3, timesteps=60))
    (trace,) = rg.record(loss, lags=LagOptions("all", max_lag=20)).lags
    for row, values in zip(trace.log[0], state["matrix"]["log10"], strict=True):
        assert [value is None for value in values] == (~np.isfinite(row)).tolist()
    assert "all loss steps, all samples, up to lag 20" in run("--max-lag", "20", *wanted).replace("\n", "")


def test_the_terminal_shows_curve_and_matrix() -> None:
    text = run("--cell", "gru", *SMALL)
    for words in (
        "Each step back keeps",
        "all losses together, of what is there a step back",
        "embedding into gru",
        "gru.h: what is left of each loss",
    ):
        assert words in text
    assert text.startswith("The gradient ")
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "nats" not in text


def test_one_state_only() -> None:
    text = run("--cell", "lstm", "--state", "lstm.c", *SMALL)
    assert "lstm.c" in text
    assert "lstm.h " not in text


def test_bounds_are_said() -> None:
    assert "4 of 12 loss steps, 2 of 3 samples" in run("--losses", "4", "--samples", "2", *SMALL)


STARTS = {"svg": b"<?xml", "html": b"<!doctype html", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", STARTS)
def test_pictures(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"lags.{suffix}"
    assert run("-o", str(target), "--cell", "relu", *SMALL) == ""
    assert target.read_bytes().startswith(STARTS[suffix])
    if suffix in ("svg", "html"):
        text = target.read_text()
        assert text.count("<svg") == (2 if suffix == "html" else 1)  # and one for a phone
        assert "which step feels which loss" in text
    run("-o", str(target), "--width", "390", "--theme", "dark", "--from", "3", *SMALL)  # its own kind is replaced
    target.write_text("something else")
    with pytest.raises(FileError, match="exists"):
        run("-o", str(target), *SMALL)


def test_a_saved_run(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    typed("trace", "-o", str(path), *SMALL)
    assert json.loads(run(str(path), "--json")) == json.loads(run("--json", *SMALL))
    with pytest.raises(InputError, match="--losses chooses what is recorded"):
        run(str(path), "--losses", "all")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--losses", "0"), "--losses is '0'"),
        (("--max-lag", "0"), "max_lag is 0"),
        (("--samples", "few"), "--samples is 'few'"),
        (("--state", "rnn.c"), "no state 'rnn.c'.*choose among rnn.h"),
        (("-o", "lags.bmp"), "no suffix that lags can be drawn in"),
        (("--json", "-o", "lags.svg"), "leave one of them out"),
        (("--width", "390"), "--width is of a picture"),
        (("-o", "lags.svg", "--width", "20"), "width"),
        (("-o", "lags.svg", "--theme", "drak"), "theme 'drak' is unknown; choose auto, light, dark"),
        (("-o", "lags.svg", "--from", "99"), "no loss at t=99"),
        (("--from", "lsat"), "--from is 'lsat'.*did you mean last"),
        (("--from", "total"), "--from is total"),
        (("--state", "rnn.hh"), "did you mean rnn.h"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(*arguments, *SMALL)


def test_a_run_without_lags_says_how_to_record_them(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    rg.record(build(DemoOptions(hidden_size=4, batch=2))).save(path)
    with pytest.raises(InputError, match=r"record\(loss, lags=True\)"):
        run(str(path))
