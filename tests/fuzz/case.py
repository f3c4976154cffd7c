"""One input of the search: a command and the files that it is given, made from a seed and a number alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CANARY = "canary"  # nothing may ever make a file of this name


@dataclass(frozen=True, slots=True)
class Case:
    """What is run: `arguments` of the command line, in a folder with `files` by name.

    `tricks` put into the folder what is no file's content, such as a pipe. `whole` says that the case needs a process
    of its own, because it runs foreign code.
    """

    kind: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    tricks: tuple[Callable[[Path], object], ...] = ()
    whole: bool = False
    output: str | None = None  # the one file that the command may write

    def write(self, folder: Path) -> None:
        """Lay the files out."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for trick in self.tricks:
            trick(folder)


Maker = Callable[[Random, Path], Case]  # from chance and a folder of good files


def reader(random: Random, *source: str) -> tuple[tuple[str, ...], str | None]:
    """Choose a command that reads a source, and give the file that it may write."""
    name, output = random.choice(
        [("norms", None), ("norms --json", None), ("norms --steps all", None), ("lags", None), ("lags --json", None),
         ("lags -o", "o.svg"), ("lags -o", "o.html"), ("diagnose", None), ("diagnose --json", None),
         ("render -o", "o.dot"), ("render -o", "o.json"), ("render -o", "o.html"), ("render -o", "o.mmd"),
         ("render -o", "o.svg"), ("render --detail op -o", "o.dot"), ("render --view rolled -o", "o.json"),
         ("trace -o", "o.npz")]
    )  # fmt: skip
    words = name.split()
    return (words[0], *source, *words[1:], *([output] if output else [])), output
