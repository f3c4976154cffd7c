"""`rnngraph diagnose` as a shell sees it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

import rnngraph as rg
from rnngraph.errors import InputError
from rnngraph.sources.demo import DemoOptions, build
from tests import programs
from tests.typed import strict, typed

run = partial(typed, "diagnose")

SMALL = ("--hidden-size", "16", "--batch", "2", "--timesteps", "40")


def test_the_report() -> None:
    brief, full = run(*SMALL), run("--verbose", *SMALL)
    for words in (
        "The gradient dies within",
        "Why  ",
        "Try  ",
        "from the loss at t=39",
        "Verdict: vanishing at lag 35: ",
    ):
        assert words in brief.replace("\n", " ")
        assert words in full.replace("\n", " ")
    assert brief.startswith("The gradient dies within")
    for words in ("no credit beyond lag", "cause: ", "Thresholds:", "halved every"):
        assert words in full.replace("\n", " ")
    assert "Thresholds:" not in brief
    assert "nats" not in brief + full
    assert "\x1b" not in brief
    assert max(map(len, brief.splitlines())) <= 100


def test_the_document() -> None:
    document = strict(run("--json", *SMALL))
    assert set(document) >= {
        "schema", "verdict", "flags", "horizon", "decades", "rate", "half_life", "memory_horizon", "thresholds",
        "findings", "spectrum", "reach", "asked", "by_layer", "participation",
    }  # fmt: skip
    assert document["schema"] == 2
    assert document["verdict"] == "vanishing"
    assert document["spectrum"] is None
    for finding in document["findings"]:
        assert set(finding) >= {"rule", "severity", "where", "evidence", "cause", "advice"}
    expected = rg.diagnose(rg.record(build(DemoOptions(hidden_size=16, batch=2, timesteps=40)), lags=True))
    assert document["decades"] == pytest.approx(expected.decades)
    assert document["rate"] == pytest.approx(expected.rate)


def test_fail_on_for_ci() -> None:
    run("--fail-on", "exploding", *SMALL)
    run("--fail-on", "exploding,vanishing", *SMALL, status=1)
    run("--fail-on", "vanishing", "--json", *SMALL, status=1)
    run("--fail-on", "vanishing", "--horizon", "3", *SMALL)
    run("--fail-on", "error", *SMALL)  # no lag is said to be needed
    run("--fail-on", "error", "--horizon", "20", *SMALL, status=1)
    run("--fail-on", "attenuating", "--horizon", "20", *SMALL, status=1)


def test_thresholds_and_horizon() -> None:
    document = json.loads(run("--json", "--horizon", "10", "--threshold", "vanishing=-20", *SMALL))
    assert document["horizon"] == 10
    assert document["asked"] == 10
    assert document["verdict"] == "attenuating"
    assert document["by_layer"][0]["G"] <= document["by_layer"][0]["G1"]
    assert document["thresholds"]["vanishing"] == -20


def test_the_spectrum() -> None:
    document = json.loads(run("--json", "--spectrum", "4", "--init", "orthogonal", "--gain", "0.5", *SMALL))
    exponents = document["spectrum"]["lyapunov"]
    assert len(exponents) == 4
    assert exponents == sorted(exponents, reverse=True)
    assert document["spectrum"]["weights"]["rnn.Wh"]["spectral_radius"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(["--spectrum", "--json"], 8), (["--json", "--spectrum"], 8), (["--json", "--spectrum=3"], 3)],
)
def test_the_spectrum_without_a_number(arguments: list[str], count: int) -> None:
    assert len(json.loads(run(*SMALL, *arguments))["spectrum"]["lyapunov"]) == count


def test_a_saved_run(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    typed("trace", "-o", str(path), *SMALL)
    assert json.loads(run(str(path), "--json")) == json.loads(run("--json", "--no-try", *SMALL))
    assert "No remedy was tried: a trace alone" in run(str(path)).replace("\n", " ")
    assert "as --no-try says" in run("--no-try", *SMALL)
    with pytest.raises(InputError, match="--spectrum chooses what is recorded"):
        run(str(path), "--spectrum", "2")


def test_remedies_are_tried() -> None:
    document = json.loads(run("--json", "--horizon", "30", *SMALL))
    (finding,) = [one for one in document["findings"] if one["rule"] == "vanishing"]
    assert document["able_to_try"]
    assert finding["evidence"]["after_decades"] > -2 > -4 > finding["evidence"]["before_decades"]
    assert finding["evidence"]["remedy"] in [one["remedy"] for one in document["tried"] if one["helps"]]
    text = run("--verbose", "--horizon", "30", *SMALL).replace("\n", " ")
    assert "Tried: start the recurrent weight orthogonal" in text
    assert ", in vain" in text
    assert ", in vain" not in run("--horizon", "30", *SMALL)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fail-on", "vanish"), "--fail-on names 'vanish'"),
        (("--fail-on", ""), "--fail-on names ''"),
        (("--horizon", "40"), "horizon is 40"),
        (("--horizon", "1.5"), "--horizon is '1.5'; give a whole number of steps, or context"),
        (("--horizon", "9" * 20), "--horizon is '9+'; give a whole number of steps"),
        (("--threshold", "vanishing"), "write a name and a number"),
        (("--threshold", "vanishing=low"), "write a name and a number"),
        (("--threshold", "vanishing=-1"), "must rise"),
        (("--threshold", "speed=1"), "no threshold 'speed'"),
        (("--spectrum", "0"), "--spectrum is 0"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(*arguments, *SMALL)


def test_status_and_streams(tmp_path: Path) -> None:
    def shell(*arguments: str) -> programs.Ended:
        return programs.run("diagnose", *arguments, folder=tmp_path, warnings="error")

    wrong = shell("--horizon", "400", *SMALL)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1
    failing = shell("--fail-on", "vanishing", *SMALL)
    assert failing.returncode == 1
    assert "Verdict: vanishing" in failing.stdout
    assert failing.stderr == "rnngraph: failed, as --fail-on vanishing asks: vanishing.\n"
    assert shell("missing.npz").returncode == 3
