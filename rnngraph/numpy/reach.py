"""Which of a user's functions a call can reach, and whose names they read; what of arguments is an array of floats.

In: a function and its arguments. Out: namespaces, and arguments rebuilt with something in place of the arrays.
"""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from rnngraph.errors import InputError

FOREIGN = {"numpy", "rnngraph", "scipy", "torch", "pandas", "matplotlib", "sklearn"}
DEPTH = 4  # of objects in objects
_PLAIN = frozenset((int, float, str, bool, np.ndarray))  # hold no function
Leaf: TypeAlias = Callable[[Any, str], Any]  # (array, name) -> what stands for it


def is_users(namespace: dict[str, Any]) -> bool:
    """Tell a user's module from Python's, NumPy's, ours and installed ones."""
    top = str(namespace.get("__name__", "")).split(".")[0]
    installed = any(part in str(namespace.get("__file__")) for part in ("site-packages", "dist-packages"))
    return top not in FOREIGN and top not in sys.stdlib_module_names and not installed


def _is_users_type(kind: type) -> bool:
    return kind.__module__ == "__main__" or is_users(vars(sys.modules.get(kind.__module__, types)))


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


Spaces: TypeAlias = list[tuple[dict[str, Any], set[str]]]


def namespaces(*start: Any) -> tuple[Spaces, list[types.FunctionType]]:
    """Give the namespaces of the user's functions that can be called from here, and the names that they read.

    Also give those of the functions that hold values in defaults or in a closure.
    """
    spaces: dict[int, tuple[dict[str, Any], set[str]]] = {}
    holding: list[types.FunctionType] = []
    done: set[int] = set()
    todo = list(start)
    while todo:
        one = todo.pop()
        if id(one) in done:
            continue
        done.add(id(one))
        if isinstance(one, functools.partial):
            todo.append(one.func)
        elif isinstance(one, np.vectorize):
            todo.append(one.pyfunc)
        elif isinstance(one, types.MethodType):
            todo += [one.__func__, one.__self__]
        elif isinstance(one, staticmethod | classmethod):
            todo.append(one.__func__)
        elif isinstance(one, property):
            todo.append(one.fget)
        elif isinstance(one, type):
            if _is_users_type(one):
                todo += [value for base in one.__mro__ for value in vars(base).values()]
        elif isinstance(one, types.FunctionType):
            todo += _read_by(one, spaces)
            if is_users(one.__globals__) and (one.__defaults__ or one.__kwdefaults__ or one.__closure__):
                holding.append(one)
        elif hasattr(one, "__wrapped__"):
            todo.append(one.__wrapped__)
        elif isinstance(one, list | tuple | deque | dict):
            held = one.values() if isinstance(one, dict) else one
            todo += [value for value in held if type(value) not in _PLAIN]
        elif hasattr(one, "__dict__") and not isinstance(one, types.ModuleType):
            todo += [type(one), *(vars(one).values() if _is_users_type(type(one)) else ())]
    return list(spaces.values()), holding


def _read_by(function: types.FunctionType, spaces: dict[int, tuple[dict[str, Any], set[str]]]) -> list[Any]:
    """Note the namespace of a function, and give what it reads there and in its closure."""
    space, names = function.__globals__, set(_names(function.__code__))
    read = [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]
    read += function.__defaults__ or ()
    if is_users(space):
        spaces.setdefault(id(space), (space, set()))[1].update(names)
        read += [space[name] for name in names & space.keys()]
    found: list[Any] = [function.__wrapped__] if hasattr(function, "__wrapped__") else []
    for value in read:
        if not isinstance(value, types.ModuleType):
            found.append(value)
        elif is_users(vars(value)):
            found += [vars(value)[one] for one in names if one in vars(value)]
    return found


def is_leaf(x: Any) -> bool:
    """Tell an array of floats."""
    return type(x) is np.ndarray and x.dtype.kind == "f" and x.size > 0


def rebuilt(x: Any, name: str, leaf: Leaf, seen: dict[int, tuple[Any, Any]], depth: int = 0) -> Any:
    """Rebuild arguments with `leaf(array, name)` in place of every array of floats; objects are copied, shallowly."""
    if id(x) in seen:
        return seen[id(x)][0]
    made = x
    if is_leaf(x):
        made = leaf(x, name or "x")
    elif isinstance(x, np.matrix) and x.dtype.kind == "f":
        raise InputError(f"{name or 'x'} is a np.matrix, whose * is a product; give np.asarray of it, and use @.")
    elif type(x) is np.ndarray:
        made = seen.setdefault(id(x), (x.copy(), x))[0]
        for place in np.ndindex(x.shape if x.dtype == object else 0):  # an array of arrays
            made[place] = rebuilt(x[place], ".".join([name, *map(str, place)]), leaf, seen, depth + 1)
    elif isinstance(x, tuple):
        keys = getattr(x, "_fields", range(len(x)))
        some = [rebuilt(one, _joined(name, key), leaf, seen, depth + 1) for key, one in zip(keys, x, strict=True)]
        made = type(x)(*some) if hasattr(x, "_fields") else tuple(some)
    elif isinstance(x, list | deque | dict) or (depth < DEPTH and _holds_more(x)):
        made = seen.setdefault(id(x), (copy.copy(x), x))[0]  # first, for what holds itself
        if isinstance(x, list | deque):
            some = [rebuilt(one, _joined(name, place), leaf, seen, depth + 1) for place, one in enumerate(x)]
            made.clear()
            made.extend(some)
        if isinstance(x, dict):
            made.update({key: rebuilt(one, _joined(name, key), leaf, seen, depth + 1) for key, one in x.items()})
        for key, one in getattr(x, "__dict__", {}).items():
            object.__setattr__(made, key, rebuilt(one, _joined(name, key), leaf, seen, depth + 1))
    else:
        return x
    seen[id(x)] = made, x  # the same array twice is one leaf
    return made


def _holds_more(x: Any) -> bool:
    if isinstance(x, type | types.ModuleType | types.FunctionType | types.MethodType | functools.partial):
        return False
    return isinstance(x, types.SimpleNamespace) or (hasattr(x, "__dict__") and _is_users_type(type(x)))


class Part(str):
    """The name of an array in a list or a dict, which knows its place where that is a whole number."""

    holder: str
    place: int | None


def _joined(name: str, key: Any) -> Part:
    made = Part(f"{name}.{key}" if name else str(key))
    made.holder, made.place = name, key if type(key) is int else None
    return made


def bound(forward: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...], dict[str, Any]]:
    """Give the plain function, the object that it is bound to, and the arguments that a partial holds."""
    given: tuple[Any, ...] = ()
    options: dict[str, Any] = {}
    while isinstance(forward, functools.partial):
        given, options, forward = (*forward.args, *given), {**forward.keywords, **options}, forward.func
    if isinstance(forward, types.MethodType):
        return forward.__func__, (forward.__self__,), given, options
    plain = isinstance(forward, types.FunctionType | types.BuiltinFunctionType | type | np.ufunc)
    if not plain and callable(forward) and _holds_more(forward):
        return type(forward).__call__, (forward,), given, options
    return forward, (), given, options
