"""Call a user's function with something in place of its arrays and of NumPy, and put everything back afterwards.

In: a function, arguments, and what stands for an array. Out: what it returned. Globals are replaced under a lock.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import random
import threading
import types
from typing import Any

import numpy as np

from rnngraph.numpy.beside import stand_in
from rnngraph.numpy.calls import argument_names
from rnngraph.numpy.reach import Leaf, bound, is_leaf, namespaces, rebuilt

_NAMES = vars(np)
_CACHED: Any = type(functools.cache(len))
LOCK = threading.RLock()  # the globals of a module are one for all threads


class Call:
    """A function of the user's and its arguments."""

    def __init__(self, forward: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Find what it reads: the namespaces, and the functions that hold something."""
        self.function, own, held, given = bound(forward)
        self.arguments, self.options = (*own, *held, *arguments), {**given, **options}
        self.names = argument_names(self.function, len(self.arguments))
        self.names[: len(own)] = [""] * len(own)
        self.spaces, self.holding = namespaces(forward, *self.arguments, *given.values())
        self.drawn = np.random.get_state(), random.getstate()  # noqa: NPY002 - the user's code draws from it

    def run(self, leaf: Leaf, numpy: types.ModuleType | None) -> Any:
        """Call it with `leaf(array, name)` in place of arrays, and `numpy` in place of NumPy."""
        seen: dict[int, tuple[Any, Any]] = {}
        made = [rebuilt(x, name, leaf, seen) for name, x in zip(self.names, self.arguments, strict=True)]
        keyed = {key: rebuilt(x, key, leaf, seen) for key, x in self.options.items()}

        def stand_for(name: str, old: Any, *, beside: bool = True, holds: bool = True) -> Any:
            """Give what stands for NumPy, for what is used `beside` it, and for arrays in what `holds` some."""
            other = _substitute(old, numpy, beside=beside)
            return other if other is not None else rebuilt(old, name, leaf, seen) if holds else old

        with contextlib.ExitStack() as undo:
            undo.callback(np.random.set_state, self.drawn[0])
            undo.callback(random.setstate, self.drawn[1])
            for space, read in self.spaces:
                _replace_globals(space, read, stand_for, undo)
            for one in self.holding:
                _replace_held(one, stand_for, undo)
            return self.function(*made, **keyed)


def _replace_globals(space: dict[str, Any], read: set[str], stand_for: Any, undo: contextlib.ExitStack) -> None:
    """Replace globals, until `undo` puts them back and drops new ones."""
    before = dict(space)

    def restore() -> None:
        for name in space.keys() - before.keys():
            del space[name]
        space.update(before)

    undo.callback(restore)
    for name, old in before.items():
        new = stand_for(name, old, beside=name in read, holds=name in read and _may_hold(name, old))
        if new is not old:
            space[name] = new


def _may_hold(name: str, value: Any) -> bool:
    """Tell a global that is an array of the user's, or in which one may stand."""
    plain = is_leaf(value) or isinstance(value, dict) or type(value) in (list, tuple)
    plain = plain or (type(value) is np.ndarray and value.dtype.kind in "iub")
    return (plain and not name.startswith("__")) or hasattr(value, "__dict__")


def _replace_held(one: types.FunctionType, stand_for: Any, undo: contextlib.ExitStack) -> None:
    """Replace what a function holds in its defaults and its closure, until `undo` puts it back."""
    parameters = list(inspect.signature(one).parameters.values())
    named = [parameter.name for parameter in parameters if parameter.default is not parameter.empty]
    undo.callback(setattr, one, "__defaults__", one.__defaults__)
    undo.callback(setattr, one, "__kwdefaults__", one.__kwdefaults__)
    pairs = zip(named, one.__defaults__ or (), strict=False)
    one.__defaults__ = tuple([stand_for(name, value) for name, value in pairs]) or None
    one.__kwdefaults__ = {key: stand_for(key, value) for key, value in (one.__kwdefaults__ or {}).items()} or None
    for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
        if cell != types.CellType():
            undo.callback(setattr, cell, "cell_contents", cell.cell_contents)
            cell.cell_contents = stand_for(name, cell.cell_contents)


def _substitute(old: Any, numpy: types.ModuleType | None, *, beside: bool = True) -> Any:
    """Give what stands for NumPy, what comes from it, what is used `beside` it, and caches; None for anything else."""
    if isinstance(old, _CACHED):  # what it remembers is of the user's own arrays, or of another run
        return functools.lru_cache(**old.cache_parameters())(old.__wrapped__)
    if numpy is None:
        return None
    if old is np:
        return numpy
    if old is np.random:
        return numpy.random
    return getattr(numpy, old.__name__) if _is_numpys(old) else stand_in(old) if beside else None


def _is_numpys(value: Any) -> bool:
    """Tell a function that a module imported from NumPy by name."""
    if not callable(value) or isinstance(value, type | np.ufunc):
        return False
    return _NAMES.get(getattr(value, "__name__", "")) is value
