"""A forward and a backward that somebody wrote by hand, or an object that has both, as a `Subject`.

In: functions and arguments. Out: outputs and gradients as arrays, or one sentence that says what does not fit.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnngraph.autodiff.check.calls import CACHE, Plan, by_place, plan_of
from rnngraph.autodiff.check.subject import Subject, widened
from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.checks import rectangular
from rnngraph.errors import InputError

BESIDE = (("d", ""), ("grad_", ""), ("", "_grad"), ("g", ""))  # what is put before and after a name
REPEATS = 3  # calls that must agree; a small mask drawn anew can agree with another by chance


@dataclass(slots=True)
class Pair:
    """The functions, with the arguments flat: an entry of a dict is an argument of its own, `params.Wh`."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    owners: list[tuple[str, str | None]]  # (argument, key in it) of every flat argument
    plan: Plan = field(default_factory=list)  # how the backward is called

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
        outputs = [_real(one, f"output {place} of the forward") for place, one in enumerate(results[:-1])]
        self.plan = self.plan or plan_of(self.backward, list(dict(self.owners)), len(outputs))
        return outputs[: sum(isinstance(one, int) for one in self.plan)], results[-1]

    def _packed(self, points: Sequence[Array]) -> list[Any]:
        packed: dict[str, Any] = {}
        for (name, key), point in zip(self.owners, points, strict=True):
            if key is None:
                packed[name] = point.copy()
            else:
                packed.setdefault(name, {})[key] = point.copy()
        return list(packed.values())

    def gradients(self, points: Sequence[Array], upstream: Sequence[Array]) -> list[Array | None]:
        """Call both; give one gradient a floating argument, None for the others and where none was given."""
        _, cache = self.run(points)
        whole: dict[str, Any] = dict(zip(dict(self.owners), self._packed(points), strict=True))
        whole[CACHE] = cache
        try:
            returned = self.backward(
                *[upstream[one].copy() if isinstance(one, int) else whole[one] for one in self.plan]
            )
        except Exception as error:
            count = sum(isinstance(one, int) for one in self.plan)
            raise InputError(
                f"the backward, the second function, called with {count} upstream gradients and the cache, raised "
                f"{_said(error)}."
            ) from error
        shapes = [point.shape for point in points]
        floating = [place for place, point in enumerate(points) if point.dtype.kind == "f"]
        given = by_place(self.backward, returned, self.names, shapes, floating)
        found: list[Array | None] = [None] * len(points)
        for place in floating:
            if place not in given:
                continue
            gradient = found[place] = _real(given[place], f"the gradient of {self.names[place]}")
            if gradient.shape != shapes[place]:
                raise InputError(
                    f"the gradient of {self.names[place]} has shape {gradient.shape}; the argument has {shapes[place]}."
                )
        return found


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
    for place in [k for k, one in enumerate(claimed) if one is None and points[k].dtype.kind == "f"]:
        moved = subject.moved(place, subject.direction(place, generator), 1.0)
        if any((one != other).any() for one, other in zip(moved, outputs, strict=True)):
            known = ", ".join(pair.names[k] for k in subject.floating())
            raise InputError(f"the backward gave gradients of {known}, and none of {pair.names[place]}.")
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
    key or place of `grads` or `gradients`.
    """
    probe = copy.deepcopy(layer)
    outputs = probe.forward(*[np.array(one) for one in arguments])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    probe.backward(*[np.zeros_like(one) for one in outputs])
    names = [name for name in _slots(layer) if _gradient_in(probe, name) is not None]

    def forward(*given: Any) -> Any:
        own = copy.deepcopy(layer)
        for name, value in zip(names, given[len(arguments) :], strict=True):
            holder, key = _slots(own)[name]
            if holder is not vars(own) and holder[key].dtype == value.dtype:
                holder[key][...] = value  # others may hold the same array
            else:
                holder[key] = value
        out = own.forward(*given[: len(arguments)])
        return (*(out if isinstance(out, tuple) else (out,)), own)

    def backward(*given: Any) -> Any:
        *upstream, own = given
        back = own.backward(*upstream)
        back = back if isinstance(back, tuple | list) else (back,)
        return (*back, *(_gradient_in(own, name) for name in names))

    held = [holder[key] for holder, key in map(_slots(layer).get, names)]  # type: ignore[misc]
    subject = pair_subject(forward, backward, (*arguments, *held), seed)
    subject.names[:] = [*_names(layer.forward, arguments), *names]
    return subject


def _slots(layer: Any) -> dict[str, tuple[Any, Any]]:
    """Say where an object holds arrays of floats, also in its list or dict of parameters: the holder and the key."""
    found: dict[str, tuple[Any, Any]] = {name: (vars(layer), name) for name in vars(layer)}
    for called in ("params", "parameters"):
        holder = getattr(layer, called, ())
        keys = holder if isinstance(holder, Mapping) else range(len(holder)) if isinstance(holder, list | tuple) else ()
        found |= {f"{called}.{key}": (holder, key) for key in keys}
    arrays = {name: holder[key] for name, (holder, key) in found.items()}
    return {name: found[name] for name, one in arrays.items() if isinstance(one, np.ndarray) and one.dtype.kind == "f"}


def _gradient_in(layer: Any, name: str) -> Any:
    """Find a gradient beside its array: under the same key of `grads` or `gradients`, or by its name."""
    _, key = _slots(layer)[name]
    for some in (getattr(layer, "grads", ()), getattr(layer, "gradients", ())):
        listed = isinstance(some, list | tuple) and isinstance(key, int) and key < len(some)
        if listed or (isinstance(some, Mapping) and key in some):
            return some[key]
    return next((getattr(layer, f"{a}{key}{b}") for a, b in BESIDE if hasattr(layer, f"{a}{key}{b}")), None)


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
