"""Command lines that nobody means: the options of every command, with values of every kind."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import typer

from rnngraph.cli.app import app
from tests.fuzz.case import Case
from tests.fuzz.values import text

# Sizes that are allowed and large take as long as they must; the search asks for small ones and for impossible ones.
WORDS = ("0", "-1", "1", "2", "3", "9" * 5000, "1e3", "0x10", "٣", "1.5", "nan", "inf", "-inf", "1e400", "", " ",
         "all", "None", "true", "99999999999999999999", "2,3", "0:2", ":", "-1:", "1:1", "0:3,1:2", "5:1", "²",
         "vanishing=-3", "vanishing=nan", "a=b", "=", "last", "lstm", "gru", "rnn.h", "embedding=words", "core",
         "core,core", "op", "gain", "rolled", "float32", "orthogonal", "svg", "png", "dot", "json", "html", "-",
         "/dev/null", "/dev/full")  # fmt: skip
OUTPUTS = ("o.svg", "o.png", "o.pdf", "o.dot", "o.json", "o.html", "o.mmd", "o.npz")


@cache
def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    return {name: group.resolve_command(context, [name])[1] for name in group.commands}


def make(random: Random, good: Path) -> Case:
    """Choose a command, a source and some options, most of them wrong."""
    name = random.choice(list(_commands()))
    files, arguments = {}, [name]
    source = random.choice(["", "run.npz", "weights", "nothing"])
    if source == "run.npz":
        files["run.npz"] = (good / random.choice(["tanh.npz", "lstm.npz", "gru.npz"])).read_bytes()
        arguments.append("run.npz")
    elif source == "weights":
        files["w.safetensors"] = (good / random.choice(["RNN.safetensors", "GRU.safetensors"])).read_bytes()
        files["d.npz"] = (good / "tokens-data.npz").read_bytes()
        arguments += ["--weights", "w.safetensors", "--data", "d.npz"]
    elif source == "nothing":
        arguments.append(_as_argument(text(random)))
    output = "unrolled.svg" if name == "render" else None
    if name in ("render", "trace", "lags") and random.random() < 0.5:
        output = random.choice(OUTPUTS)
        arguments += ["-o", output]
    parameters = [one for one in _commands()[name].params if getattr(one, "opts", None)]
    for parameter in random.sample(parameters, min(random.choice([1, 1, 2, 3, 5]), len(parameters))):
        option = parameter.opts[0]
        if not option.startswith("-") or "help" in option or "--output" in parameter.opts:
            continue
        arguments.append(option)
        if not getattr(parameter, "is_flag", False):
            arguments.append(_as_argument(random.choice(WORDS) if random.random() < 0.8 else text(random)))
    if random.random() < 0.1:
        random.shuffle(arguments)
    if "/dev/full" in arguments or "/dev/null" in arguments or "-o" in arguments[-1:]:
        output = None
    return Case("options", tuple(arguments), files, output=output)


def _as_argument(word: str) -> str:
    """Write a word as a shell could give it: without NUL, which no argument can hold."""
    return os.fsdecode(word.replace("\0", "").encode("utf-8", "replace"))[:100_000]
