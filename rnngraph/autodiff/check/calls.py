"""How a backward written by hand is called, and which of what it returns belongs to which argument of the forward.

In: its signature, the names of the arguments and what it returned. Out: what each of its parameters takes, and the
gradient of each argument.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from rnngraph.errors import InputError

CACHE = "the cache"
Plan: TypeAlias = list[int | str]  # the number of an output, whose gradient it is, the cache, or a forward's argument


def plan_of(backward: Any, arguments: Sequence[str], outputs: int) -> Plan:
    """Say what the parameters of a backward take: upstream gradients in order, the cache, or arguments by their names.

    The cache is the one that is so called, else the one after as many as there are outputs, else the last. A backward
    may take fewer upstream gradients than there are outputs; what is optional may be left out.
    """
    plain: Plan = [*range(outputs), CACHE]
    try:
        parameters = list(inspect.signature(backward).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have none
        return plain
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return plain
    taken = [one for one in parameters if one.kind is not one.KEYWORD_ONLY and one.kind is not one.VAR_KEYWORD]
    if not taken:
        return plain
    called = [place for place, one in enumerate(taken) if "cache" in one.name.lower()]
    needed = [place for place, one in enumerate(taken) if one.default is one.empty]
    cache = called[0] if called else outputs if len(taken) > outputs else (needed or [len(taken) - 1])[-1]
    plan: Plan = []
    for place, one in enumerate(taken):
        number = sum(isinstance(known, int) for known in plan)
        if place == cache:
            plan.append(CACHE)
        elif one.name in arguments:
            plan.append(one.name)
        elif number < outputs:
            plan.append(number)
        else:
            break
    return plan if any(isinstance(one, int) for one in plan) else plain


def by_place(backward: Any, returned: Any, names: Sequence[str], shapes: Sequence[Any], floating: list[int]) -> Any:
    """Give what was returned by the argument: by name in a dict; else in order, or by the names of the `return`.

    Raises:
        InputError: another number of gradients, or a name that is no argument's.
    """
    if returned is None:
        raise InputError(f"the backward gave None; it must return {len(floating)} gradients, one an argument.")
    flat = _flat(returned)
    if isinstance(returned, Mapping):
        return _by_name(flat, names, floating)
    given = [one for _, one in flat]
    places = list(range(len(names))) if len(given) == len(names) else floating
    if len(given) != len(places):
        raise InputError(f"the backward gave {len(given)} gradients; there are {len(floating)} floating arguments.")
    unlike = any(shapes[place] != getattr(one, "shape", None) for place, one in zip(places, given, strict=True))
    called = names_returned(backward) if unlike else []
    if len(called) == len(given) and {bare(one) for one in called} == {bare(names[place]) for place in places}:
        return _by_name(list(zip(called, given, strict=True)), names, floating)
    return dict(zip(places, given, strict=True))


def _by_name(flat: list[tuple[str, Any]], names: Sequence[str], floating: list[int]) -> dict[int, Any]:
    named = {bare(name): one for name, one in flat}
    found = {}
    for place in floating:
        keys = (bare(names[place]), bare(names[place].rpartition(".")[2]))
        known = [key for key in keys if key in named]
        if known:
            found[place] = named[known[0]]
    if not found:
        raise InputError(
            f"the backward gave gradients of {', '.join(name for name, _ in flat)}, and none of {names[floating[0]]}."
        )
    return found


def _flat(x: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(x, Mapping):
        return [found for key, one in x.items() for found in _flat(one, f"{name}.{key}" if name else str(key))]
    if isinstance(x, tuple | list) and not name:
        return [found for place, one in enumerate(x) for found in _flat(one, str(place))]
    return [(name, x)]


def bare(name: str) -> str:
    """Drop what people put before the name of a gradient: dWx, grad_Wx, params.Wx."""
    last = name.rpartition(".")[2]
    for prefix in ("grad_", "d_", "d"):
        if last.startswith(prefix) and len(last) > len(prefix):
            return last.removeprefix(prefix)
    return last


def names_returned(function: Any) -> list[str]:
    """Give the names in the last `return` of a function, with empty ones for what is no name."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    last = [one.value for one in ast.walk(tree) if isinstance(one, ast.Return)][-1:]
    parts = last[0].elts if last and isinstance(last[0], ast.Tuple) else []
    return [one.id if isinstance(one, ast.Name) else "" for one in parts]
