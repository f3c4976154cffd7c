"""What a Python target is called with: the texts of `--set`, and the arrays of a file.

In: texts, a path, and a function. Out: arguments by name, or one sentence that says which does not fit.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import read_npz


def settings_from(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` texts; a value is a Python literal where it looks like one, else text.

    Raises:
        InputError: no `=`, a key that is no name, or a key twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--set {pair} is not of the form key=value, with a name for the key.")
        if key in found:
            raise InputError(f"--set gives {key} twice; leave one of them out.")
        try:
            found[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[key] = text
    return found


def read_arrays(path: str) -> dict[str, Any]:
    """Read arguments by name; `params.Wh` is the entry "Wh" of a dict, and an array without axes a number.

    Raises:
        FileError: there is no such file, or it is no NumPy archive.
        InputError: a name is both an array and a dict.
    """
    if not Path(path).is_file():
        raise FileError(f"there is no data file {path}.")
    found: dict[str, Any] = {}
    for one in read_npz(Path(path)):
        array = one.read()
        value = array.item() if not array.ndim else array
        owner, dot, key = one.name.partition(".")
        inside = found.setdefault(owner, {}) if dot else found
        if not isinstance(inside, dict) or (not dot and owner in found):
            raise InputError(f"{path} holds both {owner} and {owner}.{key or '*'}; name the arrays of a dict alone.")
        inside[key if dot else owner] = value
    return found


def arguments_of(
    source: str, function: Callable[..., Any], settings: Mapping[str, Any], data: str | None
) -> tuple[list[Any], dict[str, Any]]:
    """Give the arguments of a call, by position as far as that goes, and by name.

    Raises:
        InputError: an argument that nothing gives, or one that the function does not take.
        FileError: the file of arrays cannot be read.
    """
    given = {**(read_arrays(data) if data is not None else {}), **settings}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a built-in without a signature
        return [], given
    named = [one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    names = [one.name for one in named]
    takes = f"it takes {', '.join(names) or 'nothing'}"
    variable = any(one.kind is one.VAR_KEYWORD for one in parameters)
    for name in given if not variable else ():
        if name not in names:
            giver = "--set" if name in settings else data
            raise InputError(f"{source} has no parameter {name!r}, which {giver} gives; {takes}.")
    for one in named:
        if one.default is one.empty and one.name not in given:
            where = "which neither --set nor --data gives" if data is None else f"which {data} does not hold"
            raise InputError(f"{source} needs a value for {one.name}, {where}; {takes}.")
    plain: list[Any] = []
    for one in parameters:
        if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) or one.name not in given:
            break
        plain.append(given.pop(one.name))
    return plain, given
