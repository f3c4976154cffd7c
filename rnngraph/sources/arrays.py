"""A user's NumPy function, as the command line names it: called by trace_function with arrays from a file or its own.

In: a function and an `.npz`, or the tuple `(forward, *arrays)` that a target returned. Out: a traced loss.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rnngraph.errors import FileError, InputError
from rnngraph.numpy.traced import Traced, trace_function
from rnngraph.sources.checkpoint.files import read_npz
from rnngraph.sources.endless import left_out
from rnngraph.sources.target.importing import shielded


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


def trace_with_data(source: str, function: Callable[..., Any], path: str, settings: Mapping[str, Any]) -> Traced:
    """Call a function with the arrays of a file as its arguments, by their names.

    Raises:
        InputError: an argument that neither the file nor the settings give, or one that the function does not take.
        FileError: the file cannot be read.
        TargetError: the function failed.
    """
    given = {**read_arrays(path), **settings}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise InputError(f"{source} has no named arguments, which --data needs; wrap it in a function.") from None
    variable = any(one.kind is one.VAR_KEYWORD for one in parameters)
    names = [one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    takes = f"it takes {', '.join(names)}" if names else "it takes nothing"
    for name in given:
        if name not in names and not variable:
            raise InputError(f"{path} holds {name!r}, which {source} does not take; {takes}.")
    for one in parameters:
        if one.name in names and one.default is one.empty and one.name not in given:
            raise InputError(f"{path} holds no {one.name!r}, which {source} needs; {takes}.")
    plain: list[Any] = []
    for one in parameters:
        if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) or one.name not in given:
            break
        plain.append(given.pop(one.name))
    return _traced(source, functools.partial(function, **given) if given else function, plain)


def trace_returned(source: str, returned: Any) -> Traced | None:
    """Trace the forward of `(forward, *arrays)` or `(forward, backward, *arrays)`; None where it is neither."""
    if not is_function_and_arrays(returned):
        return None
    return _traced(source, returned[0], returned[2:] if callable(returned[1]) else returned[1:])


def is_function_and_arrays(returned: Any) -> bool:
    """Tell a function and its arguments from whatever else a target returns."""
    if not isinstance(returned, tuple | list) or len(returned) < 2 or not callable(returned[0]):
        return False
    torch = sys.modules.get("torch")  # a module can only be one where torch was imported
    return torch is None or not isinstance(returned[0], torch.nn.Module)


def _traced(source: str, function: Callable[..., Any], arguments: Any) -> Traced:
    with shielded(source), contextlib.redirect_stdout(sys.stderr):
        traced = trace_function(function, *arguments)
    module = sys.modules.get(str(getattr(getattr(function, "func", function), "__module__", "")))
    traced.notes = (*traced.notes, *left_out(module))
    return traced
