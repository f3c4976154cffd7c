"""The commands run in this process: help, completion, and what reaches the demo's model."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from typer.testing import CliRunner

import rnngraph
from rnngraph.cli.app import COMMANDS, app
from rnngraph.cli.options.demo import DEMO_OPTIONS
from rnngraph.sources.demo import DemoOptions

NAMES = [command.__name__ for command, _ in COMMANDS]


def invoke(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_choice_of_the_demo_is_an_option() -> None:
    assert set(DEMO_OPTIONS) == {field.name for field in fields(DemoOptions)}


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_examples_of_the_command_and_the_demo_options(name: str) -> None:
    text = invoke(name, "--help")
    assert re.search(rf"^ *rnngraph {name}( |$)", text.partition("Examples:")[2], re.M)
    if name == "decay":  # it reads weights and runs no demo
        return
    for option in DEMO_OPTIONS:
        assert f"--{option.replace('_', '-')} " in text
    assert re.search(r"--hidden-size .*default: 64", text)


@pytest.mark.parametrize(("name", "examples"), [(command.__name__, examples) for command, examples in COMMANDS])
def test_examples_use_options_that_exist(name: str, examples: tuple[str, ...]) -> None:
    for example in examples:
        words = example.split(" | ")[0].split()
        assert words[0] == "rnngraph"
        text = invoke(words[1], "--help")
        for word in words[2:]:
            if word.startswith("-") and word != "-":
                assert f"{word} " in text, example


def test_the_top_level_help_lists_every_command() -> None:
    text = invoke("--help")
    assert all(re.search(rf"\b{name}\b", text) for name in NAMES)


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
