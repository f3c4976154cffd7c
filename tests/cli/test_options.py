"""The commands run in this process: help, completion, and what reaches the demo's model."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache

import pytest
from typer.testing import CliRunner

import rnngraph
from rnngraph.cli.app import COMMANDS, app
from rnngraph.cli.options.demo import DEMO_OPTIONS
from rnngraph.cli.options.source import MODEL_OPTIONS
from rnngraph.sources.demo import DemoOptions
from tests.reliability.commands import run_here

NAMES = [command.__name__ for command, _ in COMMANDS]


def invoke(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@cache
def told(*arguments: str) -> str:
    """Ask for help, once each."""
    return invoke(*arguments)


def test_every_choice_of_the_demo_is_an_option() -> None:
    assert set(DEMO_OPTIONS) == {field.name for field in fields(DemoOptions)}


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_examples_of_the_command_and_the_demo_options(name: str) -> None:
    brief, text = told(name, "--help"), told(name, "--help-all")
    for one in (brief, text):
        assert re.search(rf"^ *rnngraph {name}( |$)", one.partition("Examples:")[2], re.M)
    if name in ("decay", "history", "compare"):  # they read files and run no demo
        assert brief == text
        return
    for option in (*DEMO_OPTIONS, *MODEL_OPTIONS):
        assert f"--{option.replace('_', '-')} " in text
        assert f"--{option.replace('_', '-')} " not in brief.partition("Examples:")[0], option
    assert re.search(r"--hidden-size .*default: 64", text)
    assert "--help-all" in brief
    assert "<bool>" not in text, "a flag takes nothing"
    assert "SOURCE" in brief
    assert told("help", name) == brief
    assert told("help", name, "--help-all") == text


@pytest.mark.parametrize(("name", "examples"), [(command.__name__, examples) for command, examples in COMMANDS])
def test_examples_use_options_that_exist(name: str, examples: tuple[str, ...]) -> None:
    for example in examples:
        words = example.split(" | ")[0].split()
        assert words[0] == "rnngraph"
        text = told(words[1], "--help-all")
        for word in words[2:]:
            if word.startswith("-") and word != "-":
                assert f"{word} " in text, example


def test_the_top_level_help_lists_every_command() -> None:
    text = invoke("--help")
    assert all(re.search(rf"\b{name}\b", text) for name in NAMES)
    assert invoke("help") == text


def test_version() -> None:
    assert invoke("--version") == f"rnngraph {rnngraph.__version__}\n"


def test_options_reach_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DemoOptions] = []

    def stop(options: DemoOptions) -> None:
        seen.append(options)
        raise SystemExit(0)

    monkeypatch.setattr("rnngraph.sources.demo.build", stop)
    line = (
        "norms --cell lstm --hidden-size 5 --layers 2 --bidirectional --timesteps 7 --batch 3 --init xavier "
        "--gain 0.5 --forget-bias 2 --seed 9 --dtype float32"
    )
    invoke(*line.split())
    invoke("norms")
    assert seen == [DemoOptions("lstm", 5, 2, True, 7, 3, "xavier", 0.5, 2.0, 9, "float32"), DemoOptions()]


def test_the_plain_cell_has_two_names() -> None:
    assert DemoOptions(cell="tanh") == DemoOptions(cell="rnn")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nroms", "no such command 'nroms'. Did you mean 'norms'? See rnngraph --help."),
        ("norms --timesteps ten", "'ten'"),
        ("norms --gain much", "'much'"),
        ("qqqqqq", "no such command 'qqqqqq'; see rnngraph --help."),
        ("help nroms", "no such command 'nroms'. Did you mean 'norms'?"),
        ("norms --tabel", "--tabel (Possible options: --state, --table, --text); see rnngraph norms --help."),
        ("norms --hiden-size 4", "no such option: --hiden-size (Possible options: --hidden-size); see"),
        ("norms --cell lsmt", "the cell 'lsmt' is not known: choose one of rnn, relu, lstm, gru; did you mean lstm?"),
        ("norms --init orthogonl", "did you mean orthogonal?"),
        ("norms --from lats", "--from is 'lats'; give last, total or the timestep of a loss; did you mean last?"),
        ("render --format svgg", "did you mean svg?"),
        ("render --color gian", "did you mean gain?"),
        ("render --detail steps", "did you mean step?"),
        ("render -o a.svgg", "did you mean .svg?"),
        ("diagnose --fail-on vanishin", "did you mean vanishing?"),
        ("diagnose --threshold vanishng=-3", "did you mean vanishing?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_one(line: str, words: str) -> None:
    said = run_here(*line.split())
    assert said.status == 2
    assert words in said.stderr.splitlines()[-1]


def test_without_a_command_the_commands_are_shown() -> None:
    said = run_here()
    assert (said.status, said.stdout) == (2, "")
    assert all(re.search(rf"^  {name} ", said.stderr, re.MULTILINE) for name in NAMES)
    assert said.stderr.endswith("\nrnngraph: name a command.\n")


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("norms --cell l", ["lstm"]),
        ("render --color ga", ["gain"]),
        ("render --detail ", ["layer", "step", "op"]),
        ("render --view r", ["rolled"]),
    ],
)
def test_choices_complete_in_the_shell(line: str, choices: list[str]) -> None:
    environment = {
        "_RNNGRAPH_COMPLETE": "complete_bash",
        "COMP_WORDS": f"rnngraph {line}",
        "COMP_CWORD": "3",
        "_TYPER_COMPLETE_ARGS": f"rnngraph {line}",
    }
    result = CliRunner(env=environment).invoke(app, [], prog_name="rnngraph")
    assert result.stdout.split() == choices
