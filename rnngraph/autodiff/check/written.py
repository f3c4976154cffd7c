"""A forward and a backward that somebody wrote by hand, or an object that has both, as a `Subject`.

In: functions and arguments. Out: outputs and gradients as arrays, or one sentence that says what does not fit.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.autodiff.check.subject import Subject, widened
from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.checks import rectangular
from rnngraph.errors import InputError

REPEATS = 3  # calls that must agree; a small mask drawn anew can agree with another by chance


@dataclass(slots=True)
class Pair:
    """The functions, with the arguments flat: an entry of a dict is an argument of its own, `params.Wh`."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    owners: list[tuple[str, str | None]]  # (argument, key in it) of every flat argument

    @property
    def names(self) -> list[str]:
        """The names of the flat arguments."""
        return [name if key is None else f"{name}.{key}" for name, key in self.owners]

    def run(self, points: Sequence[Array]) -> tuple[list[Array], Any]:
        """Call the forward; give its outputs and its cache."""
        try:
            results = self.forward(*self._packed(points))
        except Exception as error:
            raise InputError(f"the forward, which is the first function, raised {_said(error)}.") from error
        if not isinstance(results, tuple) or len(results) < 2:
            raise InputError(
                f"the forward gave a {type(results).__name__}; it must give its outputs and a cache, as a tuple."
            )
        return [_real(one, f"output {place} of the forward") for place, one in enumerate(results[:-1])], results[-1]

    def _packed(self, points: Sequence[Array]) -> list[Any]:
        packed: dict[str, Any] = {}
        for (name, key), point in zip(self.owners, points, strict=True):
            if key is None:
                packed[name] = point.copy()
            else:
                packed.setdefault(name, {})[key] = point.copy()
        return list(packed.values())

    def gradients(self, points: Sequence[Array], upstream: Sequence[Array]) -> list[Array | None]:
        """Call both; give one gradient a floating argument and None for the others."""
        cache = self.run(points)[1]
        try:
            returned = self.backward(*[one.copy() for one in upstream], cache)
        except Exception as error:
            raise InputError(
                f"the backward, the second function, called with {len(upstream)} upstream gradients and the cache, "
                f"raised {_said(error)}."
            ) from error
        floating = [place for place, point in enumerate(points) if point.dtype.kind == "f"]
        given = self._by_place(returned, points, floating)
        found: list[Array | None] = [None] * len(points)
        for place in floating:
            gradient = found[place] = _real(given[place], f"the gradient of {self.names[place]}")
            if gradient.shape != points[place].shape:
                raise InputError(
                    f"the gradient of {self.names[place]} has shape {gradient.shape}; the argument has "
                    f"{points[place].shape}."
                )
        return found

    def _by_place(self, returned: Any, points: Sequence[Array], floating: list[int]) -> dict[int, Any]:
        """Match what the backward returned with the arguments: by name in a dict, else by order."""
        if returned is None:
            raise InputError(f"the backward gave None; it must return {len(floating)} gradients, one an argument.")
        flat = _flat(returned)
        if isinstance(returned, Mapping):
            named = {_bare(name): one for name, one in flat}
            keys = {
                place: (_bare(self.names[place]), _bare(self.names[place].rpartition(".")[2])) for place in floating
            }
            missing = [self.names[place] for place in floating if not set(keys[place]) & set(named)]
            if missing:
                raise InputError(
                    f"the backward gave gradients of {', '.join(n for n, _ in flat)}, and none of {missing[0]}."
                )
            return {place: named[next(key for key in keys[place] if key in named)] for place in floating}
        given = [one for _, one in flat]
        if len(given) == len(points):
            return dict(enumerate(given))
        if len(given) != len(floating):
            raise InputError(f"the backward gave {len(given)} gradients; there are {len(floating)} floating arguments.")
        return dict(zip(floating, given, strict=True))


def _flat(x: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(x, Mapping):
        return [found for key, one in x.items() for found in _flat(one, f"{name}.{key}" if name else str(key))]
    if isinstance(x, tuple | list) and not name:
        return [found for place, one in enumerate(x) for found in _flat(one, str(place))]
    return [(name, x)]


def _bare(name: str) -> str:
    """Drop what people put before the name of a gradient: dWx, grad_Wx, params.Wx."""
    last = name.rpartition(".")[2]
    for prefix in ("grad_", "d_", "d"):
        if last.startswith(prefix) and len(last) > len(prefix):
            return last.removeprefix(prefix)
    return last


def pair_subject(forward: Any, backward: Any, arguments: Sequence[Any], seed: int) -> Subject:
    """Take a pair of functions.

    Raises:
        InputError: functions that do not fit together, a forward that is random, a gradient of another shape than its
            argument, or nothing to check.
        DtypeError: an argument that holds no real numbers.
    """
    for label, one in (("forward", forward), ("backward", backward)):
        if not callable(one):
            raise InputError(f"the {label} is {one!r:.60}; pass a function.")
    owners, points = [], []
    for name, argument in zip(_names(forward, arguments), arguments, strict=True):
        for key, one in argument.items() if isinstance(argument, Mapping) else ((None, argument),):
            owners.append((name, None if key is None else str(key)))
            points.append(widened(checked_array(one, name)))
    if not any(point.dtype.kind == "f" for point in points):
        raise InputError("no argument holds floating point numbers, so that there is no gradient to check.")
    pair = Pair(forward, backward, owners)
    # Whoever draws the arguments from the same seed would get them again as the upstream gradients.
    generator = np.random.default_rng((seed, len(points)))
    outputs = pair.run(points)[0]
    upstream = [np.asarray(generator.normal(size=output.shape)) for output in outputs]
    claimed = pair.gradients(points, upstream)
    subject = Subject(pair.names, points, lambda moved: pair.run(moved)[0], pair.gradients, upstream, outputs, claimed)
    _refuse_random(pair, subject)
    return subject


def _refuse_random(pair: Pair, subject: Subject) -> None:
    for _ in range(REPEATS):
        for place, (one, other) in enumerate(zip(subject.outputs, pair.run(subject.points)[0], strict=True)):
            allowed = 50 * subject.epsilon * np.abs(one[np.isfinite(one)]).max(initial=0) if one.size else 0
            if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=allowed, equal_nan=True):
                raise InputError(
                    f"output {place} of the forward is another one when it is called again with the same arguments, so "
                    "that no differences can be taken; draw random numbers, such as a dropout mask, outside and pass "
                    "them in."
                )


def _names(forward: Any, arguments: Sequence[Any]) -> list[str]:
    numbered = [f"argument {place}" for place in range(len(arguments))]
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError):  # some built-in functions have none
        return numbered
    try:
        bound = signature.bind(*arguments).arguments
    except TypeError as error:
        raise InputError(
            f"the forward, which is the first function, takes {signature} and got {len(arguments)} arguments: {error}."
        ) from None
    names: list[str] = []
    for name, value in bound.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{name}[{place}]" for place in range(len(value))] if several else [name]
    return names


def layer_subject(layer: Any, arguments: Sequence[Any], seed: int) -> Subject:
    """Take an object with `forward(*arguments)` and `backward(*upstream)`, which keeps what it needs in itself.

    Its arrays of floats are arguments too, where there is a gradient beside them: `dW`, `grad_W`, `W_grad`, or the same
    key of `grads`.
    """
    held = {
        name: value for name, value in vars(layer).items() if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    held |= {f"params.{key}": value for key, value in getattr(layer, "params", {}).items()}
    probe = copy.deepcopy(layer)
    outputs = probe.forward(*[np.array(one) for one in arguments])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    probe.backward(*[np.zeros_like(one) for one in outputs])
    names = [name for name in held if _gradient_in(probe, name) is not None]

    def forward(*given: Any) -> Any:
        own = copy.deepcopy(layer)
        for name, value in zip(names, given[len(arguments) :], strict=True):
            owner, _, key = name.rpartition(".")
            getattr(own, owner).__setitem__(key, value) if owner else setattr(own, key, value)
        out = own.forward(*given[: len(arguments)])
        return (*(out if isinstance(out, tuple) else (out,)), own)

    def backward(*given: Any) -> Any:
        *upstream, own = given
        back = own.backward(*upstream)
        back = back if isinstance(back, tuple | list) else (back,)
        return (*back, *(_gradient_in(own, name) for name in names))

    subject = pair_subject(forward, backward, (*arguments, *(held[name] for name in names)), seed)
    taken = _names(layer.forward, arguments)
    subject.names[:] = [*taken, *names]
    return subject


def _gradient_in(layer: Any, name: str) -> Any:
    key = name.rpartition(".")[2]
    beside = (f"d{key}", f"grad_{key}", f"{key}_grad", f"g{key}")
    found = next((getattr(layer, one) for one in beside if hasattr(layer, one)), None)
    return getattr(layer, "grads", {}).get(key) if found is None else found


def _said(error: Exception) -> str:
    line = str(error).strip().split("\n")[0].removesuffix(".")
    return type(error).__name__ + (f": {line}" if line else "")


def _real(given: Any, label: str) -> Array:
    if given is None:
        raise InputError(f"{label} is None; return an array of numbers, zeros where there is nothing.")
    array = rectangular(given, label)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{label} has dtype {array.dtype}; real numbers are needed.")
    return array
