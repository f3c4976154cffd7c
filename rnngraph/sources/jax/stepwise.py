"""An associative scan step by step: JAX computes it as a tree, in which no step is left that could be seen.

In: nothing; a `with` around the tracing of a function. Out: in it `jax.lax.associative_scan`, under whatever name, is a
`lax.scan` whose step is the user's own operator, and equals the tree but for rounding. What JAX keeps of functions that
it traced is kept apart by a context of its own, so that a training goes on with the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp

_steps_wanted = jax.make_user_context(default_value=False)
_LOCK = RLock()  # a loss may be watched by another one
_function: Any = getattr(jax.lax.associative_scan, "__wrapped__", jax.lax.associative_scan)
_TREE: Any = FunctionType(
    _function.__code__, _function.__globals__, argdefs=_function.__defaults__, closure=_function.__closure__
)


@contextmanager
def associative_scans_in_steps() -> Iterator[None]:
    """Let associative scans that are traced meanwhile be scans over steps."""
    with _LOCK, _steps_wanted(True):
        _function.__code__ = _instead.__code__  # the function itself, because users hold it under names of their own
        try:
            yield
        finally:
            _function.__code__ = _TREE.__code__


def _instead(fn: Any, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    from rnngraph.sources.jax.stepwise import either  # it runs among JAX's names

    return either(fn, elems, reverse=reverse, axis=axis)


def either(fn: Callable[[Any, Any], Any], elems: Any, *, reverse: bool, axis: int) -> Any:
    """Scan step by step; as JAX does in a thread that is not asked to."""
    leaves, tree = jax.tree.flatten(elems)
    if not _steps_wanted.value or not leaves or not all(one.ndim and one.size for one in leaves):
        return _TREE(fn, elems, reverse=reverse, axis=axis)
    axis %= leaves[0].ndim
    first = jnp.arange(leaves[0].shape[axis]) == (leaves[0].shape[axis] - 1 if reverse else 0)

    @wraps(fn)  # whose name the scan then bears
    def step(before: list[Any], given: tuple[Any, list[Any]]) -> tuple[list[Any], list[Any]]:
        begins, own = given
        both = (tree.unflatten(jnp.expand_dims(one, axis) for one in some) for some in (before, own))
        after = [jnp.squeeze(one, axis) for one in jax.tree.leaves(fn(*both))]
        after = [jnp.where(begins, one, new) for one, new in zip(own, after, strict=True)]
        return after, after

    read = [jnp.moveaxis(one, axis, 0) for one in leaves]
    # What the operator makes of the first one is not used, but must have a slope: of zeros a norm, say, has none.
    start = [jax.lax.stop_gradient(one[-1 if reverse else 0]) for one in read]
    found = jax.lax.scan(step, start, (first, read), reverse=reverse)[1]
    return tree.unflatten(jnp.moveaxis(one, 0, axis) for one in found)
