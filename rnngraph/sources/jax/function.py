"""The user's loss function as a jaxpr of its arrays, and the arrays by name.

In: a function and its arguments. Out: a `Function`, which holds no values, and `Leaves`, which do. Weights are the
arrays of the first argument, as for `jax.grad`; whatever is no array stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

from rnngraph.checks import is_whole
from rnngraph.errors import InputError
from rnngraph.sources.jax.running.samples import FOUND, NONE, BatchAxis
from rnngraph.sources.jax.stepwise import associative_scans_in_steps


@dataclass(frozen=True, slots=True)
class Options:
    """How a loss function is read and measured; see `watch`."""

    has_aux: bool | None = False  # None: whichever it is
    per_step: Callable[[Any], Any] | None = None
    only: tuple[str, ...] = ()  # the scans that are wanted; all where none is named
    batch_axis: BatchAxis = FOUND
    weights: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no axis.

        Raises:
            InputError: it is none.
        """
        if self.batch_axis not in (FOUND, NONE) and not is_whole(self.batch_axis):
            raise InputError(
                f'batch_axis is {self.batch_axis!r}; pass the axis of the samples in the states, or "none".'
            )


@dataclass(frozen=True, slots=True)
class Function:
    """A loss as a jaxpr; with `per_step` its second result is every step's loss."""

    jaxpr: Any
    constants: Sequence[Any]
    weights: tuple[bool, ...]  # by leaf: whether it is differentiated
    names: tuple[str, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Leaves:
    """The arrays among the arguments of a call, and everything else as a key."""

    arrays: tuple[Any, ...]
    key: Hashable  # equal where a jaxpr of the same function is the same
    build: Callable[[Sequence[Any]], tuple[Any, ...]]
    weights: tuple[bool, ...]
    names: tuple[str, ...]


def leaves_of(arguments: tuple[Any, ...]) -> Leaves:
    """Divide arguments into arrays and the rest.

    Raises:
        InputError: the first argument holds no array of real or complex numbers.
    """
    flat, tree = jax.tree_util.tree_flatten_with_path(arguments)
    places = [k for k, (_, leaf) in enumerate(flat) if _is_array(leaf)]
    others = {k: leaf for k, (_, leaf) in enumerate(flat) if not _is_array(leaf)}

    def build(arrays: Sequence[Any]) -> tuple[Any, ...]:
        every = dict(zip(places, arrays, strict=True)) | others
        found: tuple[Any, ...] = jax.tree_util.tree_unflatten(tree, [every[k] for k in range(len(flat))])
        return found

    arrays = tuple(flat[k][1] for k in places)
    weights = tuple(flat[k][0][0].idx == 0 and bool(jnp.issubdtype(flat[k][1].dtype, jnp.inexact)) for k in places)
    if not any(weights):
        raise InputError(
            "the first argument of the loss function holds no array of floating-point numbers, and it is what the "
            "loss is differentiated by: pass the weights first."
        )
    shapes = tuple((one.shape, str(one.dtype), bool(getattr(one, "weak_type", False))) for one in arrays)
    key = tree, shapes, tuple(sorted(others.items(), key=lambda pair: pair[0])), str(jnp.result_type(float))
    return Leaves(arrays, key, build, weights, tuple(_name(flat[k][0][1:]) for k in places))


def function_of(loss: Callable[..., Any], leaves: Leaves, options: Options) -> Function:
    """Trace a loss function.

    Raises:
        InputError: what it returns is no scalar loss, or `has_aux` or `per_step` do not fit it.
    """

    def flat(*arrays: Any) -> list[Any]:
        returned = loss(*leaves.build(arrays))
        has_aux = options.has_aux
        if has_aux is None:
            has_aux = isinstance(returned, tuple | list) and len(returned) == 2
        if has_aux:
            if not isinstance(returned, tuple | list) or len(returned) != 2:
                raise InputError("has_aux=True says that the function returns (loss, aux), and it does not.")
            value, aux = returned
        else:
            value, aux = returned, None
        results = [_scalar(value, has_aux=has_aux)]
        if options.per_step is not None and not has_aux:
            raise InputError("per_step needs has_aux=True: it takes the aux of (loss, aux) and gives losses of steps.")
        if options.per_step is not None:
            results.append(_steps(options.per_step(aux)))
        return results

    with associative_scans_in_steps():
        closed = jax.make_jaxpr(flat)(*leaves.arrays)
    used = [True] * len(closed.jaxpr.outvars)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, used, instantiate=True)
    title = getattr(loss, "__name__", type(loss).__name__)
    return Function(jaxpr, closed.consts, leaves.weights, leaves.names, title)


def _scalar(value: Any, *, has_aux: bool) -> Any:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape == () and dtype is not None and jnp.issubdtype(dtype, jnp.floating):
        return value
    what = f"an array of shape {shape} and type {dtype}" if shape is not None else f"a {type(value).__name__}"
    more = " (for (loss, aux) pass has_aux=True)" if isinstance(value, tuple) and not has_aux else ""
    raise InputError(f"the loss function returns {what}; it must return one floating-point number{more}.")


def _steps(value: Any) -> Any:
    shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", None)
    if not shape or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise InputError("per_step must give an array of every step's loss, (T,) or (T, N), of what comes as aux.")
    return value


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _name(path: Sequence[Any]) -> str:
    """Write the way to a leaf as `params.cell.kernel`."""
    parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
    return ".".join(part for part in parts if part != "value") or "weight"
