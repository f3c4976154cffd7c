"""How a backward written by hand is called, and which of what it returns belongs to which argument of the forward.

In: its signature, the names of the arguments and what it returned. Out: what each of its parameters takes, and the
gradient of each argument.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from rnngraph.errors import InputError

CACHE = "the cache"
Plan: TypeAlias = list[int | str]  # the number of an output, whose gradient it is, the cache, or a forward's argument
BEFORE, BEHIND = ("d", "d_", "grad_", "g"), "_grad"  # what people put before and after the name of a gradient


def plan_of(backward: Any, arguments: Sequence[str], outputs: int) -> Plan:
    """Say what the parameters of a backward take: upstream gradients in order, the cache, or arguments by their names.

    The cache is the one that is so called, else the one after as many as there are outputs, else the last. A backward
    may take fewer upstream gradients than there are outputs; what is optional may be left out.
    """
    plain: Plan = [*range(outputs), CACHE]
    taken = positional(backward)
    if not taken or parameters(backward, inspect.Parameter.VAR_POSITIONAL):
        return plain
    called = [place for place, one in enumerate(taken) if "cache" in one.name.lower()]
    needed = [place for place, one in enumerate(taken) if one.default is one.empty]
    cache = [*called, *[outputs][: len(taken) - outputs], *needed[-1:], len(taken) - 1][0]
    plan: Plan = []
    for place, one in enumerate(taken):
        number = sum(isinstance(known, int) for known in plan)
        if place == cache or one.name in arguments:
            plan.append(CACHE if place == cache else one.name)
        elif number < outputs:
            plan.append(number)
        else:
            break
    return plan if any(isinstance(one, int) for one in plan) else plain


def parameters(function: Any, *kinds: Any) -> list[inspect.Parameter]:
    """Give the parameters of these kinds; none of a function without a signature."""
    try:
        return [one for one in inspect.signature(function).parameters.values() if one.kind in kinds]
    except (TypeError, ValueError):  # of some built-in functions and NumPy's
        return []


def positional(function: Any) -> list[inspect.Parameter]:
    """Give what a function takes by place."""
    return parameters(function, inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def argument_names(function: Any, count: int) -> list[str]:
    """Name the arguments of a call."""
    plain = [one.name for one in positional(function)][:count]
    holder = [f"{one.name}." for one in parameters(function, inspect.Parameter.VAR_POSITIONAL)] or ["argument_"]
    return [*plain, *(f"{holder[0]}{k}" for k in range(count - len(plain)))]


def by_place(
    backward: Any, returned: Any, names: Sequence[str], shapes: Sequence[Any], floating: Sequence[int]
) -> dict[int, Any]:
    """Give what was returned by the argument: by name in a dict; else in order, or by the names of the `return`.

    Raises:
        InputError: another number of gradients, or a name that is no argument's.
    """
    if returned is None:
        raise InputError(f"the backward gave None; it must return {len(floating)} gradients, one an argument.")
    parts = enumerate(returned) if isinstance(returned, tuple | list) else [(None, returned)]
    flat = [found for key, one in parts for found in flattened(one, () if key is None else (key,))]
    called, given = [".".join(map(str, path)) for path, _ in flat], [one for _, one in flat]
    if not isinstance(returned, Mapping):
        places = list(range(len(names))) if len(given) == len(names) else floating
        if len(given) != len(places):
            raise InputError(f"the backward gave {len(given)} gradients; there are {len(floating)} floating arguments.")
        keyed = [owners(".".join(map(str, path[1:])), names) if path[1:] else [] for path, _ in flat]
        if any(keyed):  # a dict beside other gradients: its keys are names
            rest = iter([place for place in places if [place] not in keyed])
            return {own[0] if len(own) == 1 else next(rest): one for own, one in zip(keyed, given, strict=True)}
        called = names_returned(backward)
        fits = all(shapes[place] == getattr(one, "shape", None) for place, one in zip(places, given, strict=True))
        if fits or sorted(place for name in called for place in owners(name, names)) != sorted(places):
            return dict(zip(places, given, strict=True))
    found = {place: one for name, one in zip(called, given, strict=False) for place in owners(name, names)}
    if not found:
        raise InputError(f"the backward gave gradients of {', '.join(called)}, and none of {names[floating[0]]}.")
    return found


def flattened(x: Any, path: tuple[Any, ...] = (), *, lists: bool = False) -> list[tuple[tuple[Any, ...], Any]]:
    """Give all that stands in a dict, and in dicts in it, with its keys; perhaps in lists of arrays or dicts, too."""
    if lists and isinstance(x, list | tuple) and any(isinstance(one, np.ndarray | Mapping) for one in x):
        x = dict(enumerate(x))
    if not isinstance(x, Mapping):
        return [(path, x)]
    return [found for key, one in x.items() for found in flattened(one, (*path, key), lists=lists)]


def owners(gradient: str, names: Sequence[str]) -> list[int]:
    """Find the arrays of which a gradient is by its name: dWx, grad_Wx or Wx_grad, also within params."""
    path, last, number = parted(gradient)
    wanted = {last, last.removesuffix(BEHIND), *(last.removeprefix(one) for one in BEFORE)}
    wanted = {one + number for one in wanted}
    whole, lasts = {path + one for one in wanted}, ["".join(parted(name)[1:]) for name in names]
    inside = [next((one for one in whole if path and name.endswith(f".{one}")), None) for name in names]
    for some, known in ((whole, names), (whole, inside), (wanted, names), (wanted, lasts)):
        found = [place for place, name in enumerate(known) if name in some]
        if found:
            return found
    return []


def parted(name: str) -> tuple[str, str, str]:
    """Part a name into what it stands in, its own, and its number in a list: params.dWx.0."""
    own = name
    while own.rpartition(".")[0] and own.rpartition(".")[2].isdigit():
        own = own.rpartition(".")[0]
    path, dot, last = own.rpartition(".")
    return path + dot, last, name[len(own) :]


def names_returned(function: Any) -> list[str]:
    """Give the names in the last `return` of a function, with empty ones for what is no name."""
    return _names_returned(getattr(inspect.unwrap(function), "__code__", None))


@cache
def _names_returned(code: Any) -> list[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError):
        return []
    returns = sorted((one for one in ast.walk(tree) if isinstance(one, ast.Return)), key=lambda one: one.lineno)
    last = [one.value for one in returns[-1:]]
    parts = last[0].elts if last and isinstance(last[0], ast.Tuple) else []
    return [one.id if isinstance(one, ast.Name) else "" for one in parts]
