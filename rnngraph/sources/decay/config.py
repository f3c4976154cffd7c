"""A model's configuration: the `config.json` beside the weights, or the `config` of a module.

In: JSON, or plain dictionaries. Out: a `Config` that finds a key wherever it stands. Nothing in it is executed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnngraph.errors import FileError, InputError

NAME = "config.json"
LARGEST = 16 * 2**20  # bytes
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration as a table; `source` names it in messages. An empty table says nothing."""

    table: Mapping[str, Any]
    source: str = "the configuration"

    def find(self, *keys: str, default: Any = None) -> Any:
        """Give the value of the first key that stands in the table or in a table inside it, the outermost first."""
        for key in keys:
            for table in self._tables():
                if key in table:
                    return table[key]
        return default

    def says(self, key: str, *values: str) -> bool:
        """Tell whether any table gives the key one of these texts; upper and lower case are the same."""
        return any(str(table[key]).lower() in values for table in self._tables() if key in table)

    def number(self, *keys: str, default: float) -> float:
        """Give a number.

        Raises:
            InputError: there is something else.
        """
        value = self.find(*keys, default=default)
        return default if value is None else self._number(value, " or ".join(keys))

    def pair(self, *keys: str, default: tuple[float, float]) -> tuple[float, float]:
        """Give two numbers.

        Raises:
            InputError: there is something else.
        """
        value = self.find(*keys)
        if value is None:
            return default
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise InputError(f"{keys[0]} in {self.source} is {value!r}, but it must be two numbers.")
        return self._number(value[0], keys[0]), self._number(value[1], keys[0])

    def _number(self, value: Any, key: str) -> float:
        if isinstance(value, Mapping):  # how some libraries write infinity into strict JSON
            value = value.get("__float__")
        try:
            number = float(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or math.isnan(number):
            raise InputError(f"{key} in {self.source} is {value!r}, but it must be a number.")
        return number

    def _tables(self) -> Iterator[Mapping[str, Any]]:
        pending = [(self.table, 0)]
        while pending:
            table, depth = pending.pop(0)
            yield table
            if depth < DEEPEST:
                pending += [(one, depth + 1) for one in table.values() if isinstance(one, Mapping)]


def read_config(path: Path) -> Config:
    """Read a configuration.

    Raises:
        FileError: there is none, it is far too large, or it is no JSON table.
    """
    if not path.is_file():
        raise FileError(f"there is no configuration {path}.")
    if path.stat().st_size > LARGEST:
        raise FileError(f"{path} has {path.stat().st_size} bytes, more than a configuration may have ({LARGEST}).")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no JSON: {str(error).splitlines()[0]}.") from None
    if not isinstance(table, dict):
        raise FileError(f"{path} holds a {type(table).__name__}, but a configuration is a table.")
    return Config(table, str(path))


def config_of(given: object) -> Config:
    """Take a configuration that was handed in: a table, a path, or an object with `to_dict`.

    Raises:
        InputError: it is none of these.
        FileError: the file cannot be read.
    """
    if isinstance(given, Mapping):
        return Config(given)
    if isinstance(given, str | Path):
        return read_config(Path(given))
    to_dict = getattr(given, "to_dict", None)
    table = to_dict() if callable(to_dict) else None
    if not isinstance(table, Mapping):
        raise InputError(f"config is a {type(given).__name__}; pass a table, the path of a config.json, or None.")
    return Config(table)
