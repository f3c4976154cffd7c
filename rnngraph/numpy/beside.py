"""What hand-written code uses beside NumPy: `math`, `scipy.special`, and `np.vectorize`.

In: a module or function that a user's namespace holds. Out: what does the same to recording arrays.
"""

from __future__ import annotations

import math
import types
from typing import Any

import numpy as np

from rnngraph.numpy import products  # noqa: F401 - it fills the table of rules
from rnngraph.numpy.functions import log_softmax, logsumexp, softmax
from rnngraph.numpy.tables import RULES, kind_of
from rnngraph.numpy.values import Handle, recorded_in, unwrapped

_OF_MATH: dict[str, Any] = {
    name: one for name in dir(math) if callable(one := getattr(np, name, None)) and kind_of(one) == "differentiated"
}
_OF_MATH["log"] = lambda x, base=None: np.log(x) if base is None else np.log(x) / np.log(base)
_OF_SCIPY = {
    "softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp, "inv": RULES[np.linalg.inv],
    "pinv": RULES[np.linalg.pinv], "solve": RULES[np.linalg.solve],
}  # fmt: skip
_MODULES = ("scipy", "scipy.special", "scipy.linalg")


def stand_in(one: Any) -> Any:
    """Give what does the same to recording arrays; None where nothing is needed."""
    if isinstance(one, types.ModuleType):
        return _Module(one) if one.__name__ in ("math", *_MODULES) else None
    if isinstance(one, np.vectorize):
        return _vectorized(one)
    module, name = str(getattr(one, "__module__", "")), getattr(one, "__name__", "")
    if module == "math" and name in _OF_MATH:
        return _chosen(one, _OF_MATH[name])
    if module.startswith(("scipy.special", "scipy.linalg")) and name in _OF_SCIPY:
        return _chosen(one, _OF_SCIPY[name])
    return None


class _Module:
    """A module whose functions look at what they are given."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        """Give a function of the module, or what stands in for it."""
        found = getattr(self._module, name)
        other = stand_in(found)
        return found if other is None else other


def _chosen(function: Any, other: Any) -> Any:
    """Call `other` on recorded arrays, and the function itself on everything else."""

    def called(*given: Any, **options: Any) -> Any:
        if recorded_in(list(given)) is not None:
            return other(*given, **options)
        return function(*unwrapped(list(given)), **options)

    return called


def _vectorized(function: np.vectorize) -> Any:
    """Call the function element by element."""

    def called(*given: Any, **options: Any) -> Any:
        if recorded_in(list(given)) is None:
            return function(*unwrapped(list(given)), **options)
        spread = RULES[np.broadcast_arrays](*given) if len(given) > 1 else given
        flat = [one.reshape(-1) for one in spread]
        elements = [function.pyfunc(*row, **options) for row in zip(*flat, strict=True)]
        made = RULES[np.stack]([one if isinstance(one, Handle) else float(one) for one in elements])
        return made.reshape(spread[0].shape)

    return called
