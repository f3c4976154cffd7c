"""A small search with a fixed seed, and every input that a larger one has found to break something."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("h5py")

from tests import programs
from tests.fuzz.check import Outcome, failures
from tests.fuzz.makers import MAKERS, case_of
from tests.fuzz.search import good_files
from tests.programs import ROOT


def test_some_hundred_inputs_break_nothing(tmp_path: Path) -> None:
    words = ("--seed", "0", "--count", "120", "--keep", str(tmp_path))
    done = programs.run(str(ROOT / "tests/fuzz/__main__.py"), *words, folder=ROOT, loaded="torch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 0: 120 inputs in ")
    assert done.stdout.endswith("; 0 failures\n")


def test_a_number_gives_the_same_case_again() -> None:
    with good_files() as good:
        for number in range(30):
            first, second = case_of(3, number, good), case_of(3, number, good)
            assert first.arguments == second.arguments
            assert first.kind == second.kind
        kinds = {maker(Random(0), good).kind for maker in MAKERS}
    assert {"traces", "torch", "safetensors", "npz", "folder", "hdf5", "keras", "data", "text"} <= kinds


SENTENCE = "rnngraph: it is so.\n"


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"stderr": "Traceback (most recent call last):\n" + SENTENCE}, "a traceback"),
        ({"status": 70}, "status 70"),
        ({"status": 1}, "status 1"),
        ({"status": -11}, "status -11"),
        ({"stderr": SENTENCE * 2}, "2 sentences"),
        ({"stderr": SENTENCE + "and so on\n"}, "1 sentences"),
        ({"stderr": "rnngraph: no end\n"}, "a sentence without an end"),
        ({"stderr": "rnngraph: set allow_pickle=True.\n"}, "advice to trust the file"),
        ({"stderr": "rnngraph: \x1b[31m.\n"}, r"'\x1b' on stderr"),
        ({"stdout": "\u202e"}, r"'\u202e' on stdout"),
        ({"seconds": 21.0}, "21 s of CPU"),
        ({"memory": 2**31}, "2048 MB"),
        ({"appeared": ("canary",)}, "a file 'canary' beside the output"),
        ({"changed": ("run.npz",)}, "'run.npz' changed"),
        ({"appeared": ("o.svg",)}, "an output although it failed"),
    ],
)
def test_every_property_can_be_broken(changes: dict[str, object], failure: str) -> None:
    good = {"status": 3, "stdout": "", "stderr": SENTENCE, "seconds": 0.1, "memory": 2**20}
    output = None if "stdout" in changes or "\x1b" in str(changes.get("stderr")) else "o.svg"
    assert failures(Outcome(**good), ("norms",), output) == []  # type: ignore[arg-type]
    assert failures(Outcome(**{**good, **changes}), ("norms",), output) == [failure]  # type: ignore[arg-type]
