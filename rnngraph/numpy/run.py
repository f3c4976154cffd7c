"""Call a user's function with something in place of its arrays and of NumPy, and put everything back afterwards.

In: a function, arguments, and what stands for an array. Out: what it returned. Globals are replaced under a lock.
"""

from __future__ import annotations

import inspect
import random
import threading
import types
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.numpy.beside import stand_in
from rnngraph.numpy.reach import Leaf, bound, is_leaf, namespaces, parameter_names, rebuilt

_NAMES = vars(np)
LOCK = threading.RLock()  # the globals of a module are one for all threads


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the user's and its arguments."""

    forward: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def run(self, leaf: Leaf, numpy: types.ModuleType | None) -> Any:
        """Call it with `leaf(array, name)` in place of arrays, and `numpy` in place of NumPy."""
        function, own, held, options = bound(self.forward)
        given = (*own, *held, *self.arguments)
        names = parameter_names(function, len(given))
        seen: dict[int, tuple[Any, Any]] = {}
        made = [rebuilt(x, "" if own and not k else names[k], leaf, seen) for k, x in enumerate(given)]
        keyed = {key: rebuilt(x, key, leaf, seen) for key, x in {**options, **self.options}.items()}
        spaces, holding = namespaces(self.forward, *given, *options.values())
        with _Replaced(spaces, leaf, numpy, seen), _Held(holding, leaf, numpy, seen):
            return function(*made, **keyed)


class _Replaced:
    """Globals replaced for the time of a call, and put back whatever happens, with the state of random numbers."""

    def __init__(self, spaces: Any, leaf: Leaf, numpy: types.ModuleType | None, seen: dict[int, Any]) -> None:
        self.spaces, self.leaf, self.numpy, self.seen = spaces, leaf, numpy, seen
        self.before: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.random = np.random.get_state(), random.getstate()  # noqa: NPY002 - the user's code draws from it

    def __enter__(self) -> None:
        try:
            for space, names in self.spaces:
                self.before.append((space, dict(space)))
                for name, old in list(space.items()):
                    new = self._substitute(name, old, names)
                    if new is not old:
                        space[name] = new
        except BaseException:
            self.__exit__()
            raise

    def _substitute(self, name: str, old: Any, names: set[str]) -> Any:
        other = _substitute(old, self.numpy, beside=name in names)
        if other is not None:
            return other
        holds = (
            is_leaf(old) or type(old) in (dict, list, tuple) or (type(old) is np.ndarray and old.dtype.kind in "iub")
        )
        if name in names and not name.startswith("__") and holds:
            return rebuilt(old, name, self.leaf, self.seen)
        if name in names and hasattr(old, "__dict__"):
            return rebuilt(old, name, self.leaf, self.seen)
        return old

    def __exit__(self, *_: object) -> None:
        for space, before in self.before:
            for name in space.keys() - before.keys():
                del space[name]
            space.update(before)
        np.random.set_state(self.random[0])  # noqa: NPY002
        random.setstate(self.random[1])


class _Held:
    """What functions hold in their defaults and closures, replaced for the time of a call."""

    def __init__(
        self, functions: list[types.FunctionType], leaf: Leaf, numpy: types.ModuleType | None, seen: dict[int, Any]
    ) -> None:
        self.functions, self.leaf, self.numpy, self.seen = functions, leaf, numpy, seen
        self.defaults: list[tuple[types.FunctionType, Any, Any]] = []
        self.cells: list[tuple[types.CellType, Any]] = []

    def __enter__(self) -> None:
        try:
            for one in self.functions:
                parameters = list(inspect.signature(one).parameters.values())
                named = [parameter.name for parameter in parameters if parameter.default is not parameter.empty]
                self.defaults.append((one, one.__defaults__, one.__kwdefaults__))
                if one.__defaults__:
                    pairs = zip(named, one.__defaults__, strict=False)
                    one.__defaults__ = tuple([rebuilt(value, name, self.leaf, self.seen) for name, value in pairs])
                if one.__kwdefaults__:
                    kept = one.__kwdefaults__.items()
                    one.__kwdefaults__ = {key: rebuilt(value, key, self.leaf, self.seen) for key, value in kept}
                for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
                    if cell == types.CellType():
                        continue
                    held = cell.cell_contents
                    other = _substitute(held, self.numpy)
                    if other is not None or not callable(held):
                        self.cells.append((cell, held))
                        cell.cell_contents = rebuilt(held, name, self.leaf, self.seen) if other is None else other
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for one, plain, keyed in self.defaults:
            one.__defaults__, one.__kwdefaults__ = plain, keyed
        for cell, value in reversed(self.cells):
            cell.cell_contents = value


def _substitute(old: Any, numpy: types.ModuleType | None, *, beside: bool = True) -> Any:
    """Give what stands for NumPy, for what comes from it, and for what is used `beside` it; None for anything else."""
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
