"""Gradients that somebody wrote by hand, as a `Subject`: two functions, an object with both, or beside a recorded loss.

In: functions and arguments, or arrays. Out: outputs and gradients as arrays, or a sentence on what does not fit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from rnngraph.autodiff.checked import checked_array
from rnngraph.autodiff.contribution import Array
from rnngraph.checks import rectangular
from rnngraph.errors import InputError
from rnngraph.gradcheck.mistakes import off
from rnngraph.gradcheck.replayed import Replay, recorded_forward
from rnngraph.gradcheck.subject import Subject, widened
from rnngraph.numpy.calls import CACHE, argument_names, by_place, flattened, owners, plan_of

SAME = 1e-6  # relative; gradients that differ by less are rounded otherwise
REPEATS = 3  # calls that must agree; a small mask drawn anew can agree with another by chance


def pair_subject(
    forward: Any, backward: Any, arguments: Sequence[Any], seed: int, called: Sequence[str] = ()
) -> tuple[Subject, Callable[[], Replay | None]]:
    """Take a pair of functions. An entry of a dict, also of one in a dict, is an argument of its own, `params.Wh`.

    Returns:
        the subject, and what records its forward.

    Raises:
        InputError: functions that do not fit together, a forward that is random, a gradient of another shape than its
            argument, or nothing to check.
        DtypeError: an argument that holds no real numbers.
    """
    for label, one in (("forward", forward), ("backward", backward)):
        if not callable(one):
            raise InputError(f"the {label} is of type {type(one).__name__}; pass a function, and not what it returns.")
    given = dict(zip(called or argument_names(forward, len(arguments)), arguments, strict=True))
    flat = [found for name, one in given.items() for found in flattened(one, (name,))]
    names = [".".join(map(str, path)) for path, _ in flat]
    points = [widened(checked_array(one, name)) for name, (_, one) in zip(names, flat, strict=True)]
    floating = [place for place, point in enumerate(points) if point.dtype.kind == "f"]
    if not floating:
        raise InputError("no argument holds floating point numbers, so that there is no gradient to check.")

    def packed(points: Sequence[Array]) -> dict[str, Any]:
        found: dict[str, Any] = {name: {} for name in given}
        for (path, _), point in zip(flat, points, strict=True):
            holder = found
            for key in path[:-1]:
                holder = holder.setdefault(key, {})
            holder[path[-1]] = point.copy()
        return found

    def run(points: Sequence[Array]) -> tuple[list[Array], Any]:
        results = _called("the forward, which is the first function,", forward, *packed(points).values())
        if not isinstance(results, tuple) or len(results) < 2:
            kind = type(results).__name__
            raise InputError(f"the forward gave a {kind}; it must give its outputs and a cache, as a tuple.")
        return [_real(one, f"output {place} of the forward") for place, one in enumerate(results[:-1])], results[-1]

    outputs = run(points)[0]
    plan = plan_of(backward, list(given), len(outputs))
    count = sum(isinstance(one, int) for one in plan)
    asked = f"the backward, the second function, called with {count} upstream gradients and the cache,"

    def gradients(points: Sequence[Array], upstream: Sequence[Array]) -> list[Any]:
        whole = {CACHE: run(points)[1], **packed(points)}
        taken = [upstream[one].copy() if isinstance(one, int) else whole[one] for one in plan]
        shapes, found = [point.shape for point in points], list[Any]([None] * len(points))
        returned = by_place(backward, _called(asked, backward, *taken), names, shapes, floating)
        for place in [place for place in floating if place in returned]:
            found[place] = _real(returned[place], f"the gradient of {names[place]}")
            if found[place].shape != shapes[place]:
                shape, wanted = found[place].shape, shapes[place]
                raise InputError(f"the gradient of {names[place]} has shape {shape}; the argument has {wanted}.")
        return found

    # Whoever draws the arguments from the same seed would get them again as the upstream gradients.
    generator = np.random.default_rng((seed, len(points)))
    upstream = [np.asarray(generator.normal(size=output.shape)) for output in outputs[:count]]
    claimed = gradients(points, upstream)
    subject = Subject(
        names, points, lambda points: run(points)[0][:count], gradients, upstream, outputs[:count], claimed
    )
    _refuse_random(subject)
    for place in [k for k in floating if claimed[k] is None]:
        moved = subject.moved({place: subject.direction(place, generator)}, 1.0)
        if any((one != other).any() for one, other in zip(moved, subject.outputs, strict=True)):
            known = ", ".join(names[k] for k in subject.floating())
            raise InputError(f"the backward gave gradients of {known}, and none of {names[place]}.")
    return subject, lambda: recorded_forward(subject, forward, packed(points))


def _called(label: str, function: Any, *given: Any) -> Any:
    try:
        return function(*given)
    except Exception as error:
        line = str(error).strip().split("\n")[0].removesuffix(".")
        raise InputError(f"{label} raised {type(error).__name__}{f': {line}' if line else ''}.") from error


def _refuse_random(subject: Subject) -> None:
    for _ in range(REPEATS):
        for place, (one, other) in enumerate(zip(subject.outputs, subject.run(subject.points), strict=True)):
            allowed = 50 * subject.epsilon * np.abs(one[np.isfinite(one)]).max(initial=0) if one.size else 0
            if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=allowed, equal_nan=True):
                raise InputError(
                    f"output {place} of the forward is another one when it is called again with the same arguments, so "
                    "that no differences can be taken; draw random numbers, such as a dropout mask, outside and pass "
                    "them in."
                )


def layer_subject(layer: Any, arguments: Sequence[Any], seed: int) -> tuple[Subject, Callable[[], Replay | None]]:
    """Take an object with `forward(*arguments)` and `backward(*upstream)`, which keeps what it needs in itself.

    Its arrays of floats are arguments too, where there is a gradient beside them: `dW`, `grad_W`, `W_grad`, or the same
    key or place of `grads` or `gradients`.
    """
    probe, kind = copy.deepcopy(layer), type(layer).__name__
    outputs = _tuple(_called(f"the forward of {kind}", probe.forward, *[np.array(one) for one in arguments]))
    asked = f"the backward of {kind}, called with {len(outputs)} upstream gradient{'s' * (len(outputs) > 1)},"
    _called(asked, probe.backward, *[np.zeros_like(one) for one in outputs])
    slots = {name: slot for name, slot in _slots(layer).items() if _gradient_in(probe, slot[1]) is not None}

    def forward(*given: Any) -> Any:
        pairs = zip(slots.values(), given[len(arguments) :], strict=True)
        own = copy.deepcopy(layer, {id(holder[key]): value for (holder, key), value in pairs})  # all who hold them
        return (*_tuple(own.forward(*given[: len(arguments)])), own)

    def backward(*given: Any) -> Any:
        *upstream, own = given
        back = own.backward(*upstream)
        back = tuple(back) if isinstance(back, list) else back
        return (*_tuple(back), *(_gradient_in(own, key) for _, key in slots.values()))

    called = [*argument_names(layer.forward, len(arguments)), *slots]
    held = [holder[key] for holder, key in slots.values()]
    return pair_subject(forward, backward, (*arguments, *held), seed, called)


def _tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _slots(layer: Any) -> dict[str, tuple[Any, Any]]:
    """Say where an object holds arrays of floats, also in its list or dict of parameters: the holder and the key."""
    found: dict[str, tuple[Any, Any]] = {name: (vars(layer), name) for name in vars(layer)}
    for called in ("params", "parameters"):
        holder = getattr(layer, called, ())
        keys = holder if isinstance(holder, Mapping) else range(len(holder)) if isinstance(holder, list | tuple) else ()
        found |= {f"{called}.{key}": (holder, key) for key in keys}
    arrays = {name: holder[key] for name, (holder, key) in found.items()}
    return {name: found[name] for name, one in arrays.items() if isinstance(one, np.ndarray) and one.dtype.kind == "f"}


def _gradient_in(layer: Any, key: Any) -> Any:
    """Find a gradient beside its array: under the same key of `grads` or `gradients`, or by its name."""
    for some in (getattr(layer, "grads", ()), getattr(layer, "gradients", ())):
        listed = isinstance(some, list | tuple) and isinstance(key, int) and key < len(some)
        if listed or (isinstance(some, Mapping) and key in some):
            return some[key]
    return next((one for name, one in vars(layer).items() if name != key and owners(name, [str(key)])), None)


def _real(given: Any, label: str) -> Array:
    if given is None:
        raise InputError(f"{label} is None; return an array of numbers, zeros where there is nothing.")
    array = rectangular(given, label)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{label} has dtype {array.dtype}; real numbers are needed.")
    return array


def with_handed(subject: Subject, rest: Sequence[Any]) -> tuple[Subject, list[int]]:
    """Let a recorded subject claim the gradients that were handed over, under the model's names; also say for which.

    Raises:
        InputError: no dict and no list, a name that belongs to no leaf or to several, or a gradient of another shape.
    """
    if isinstance(rest[0], Mapping) and not rest[0]:
        raise InputError(
            "the gradients that were handed over are an empty dict: where it is traced.handed, the function returns "
            "none whose name and shape are those of an array, or its source cannot be read, as that of one typed at a "
            "prompt; pass them by name, check(traced, {'dWh': dWh, ...})."
        )
    if len(rest) > 2 or not all(isinstance(one, Mapping | list | tuple) and one for one in rest):
        given = ", ".join(type(one).__name__ for one in rest)
        raise InputError(
            f"beside a recorded loss there is {given}; pass check(loss, grads) or check(loss, grads, params), dicts or "
            "lists of arrays."
        )
    names, claimed, known = [*subject.names], [*subject.claimed], list[int]()
    gradients_by_name, *arrays = map(_by_name, rest)
    for name, gradient in gradients_by_name.items():
        place, array = _place(name, subject, *arrays), np.asarray(gradient)
        if place in known:
            raise InputError(f"{names[place]} and {name} are gradients of the same array; hand over one of them.")
        shape = subject.points[place].shape
        if array.dtype.kind not in "fiu" or array.shape != shape:
            raise InputError(
                f"the gradient {name!r} is {array.dtype} of shape {array.shape}; its array has shape {shape}."
            )
        names[place] = names[place] if name.replace(".", "").isdigit() else name
        claimed[place] = array.astype(np.float64)
        known.append(place)

    def gradients(points: Sequence[Array], upstream: Sequence[Array]) -> list[Any]:
        """Give the gradients a little beside the point, as wrong as those that were handed over."""
        there = subject.gradients(points, upstream)
        return [one + own - right for one, own, right in zip(there, claimed, subject.claimed, strict=True)]

    pairs = enumerate(zip(claimed, subject.claimed, strict=True))
    trusted = [k for k, (own, right) in pairs if off(own, right) <= SAME * np.abs(right).max(initial=0.0)]
    return replace(subject, names=names, claimed=claimed, gradients=gradients, trusted=trusted), known


def _by_name(given: Any) -> dict[str, Any]:
    """Give all arrays of dicts and lists, and of those in them, by a name: its keys, joined by dots."""
    holder = given if isinstance(given, Mapping) else dict(enumerate(given))
    return {".".join(map(str, path)): one for path, one in flattened(holder, lists=True)}


def _place(name: str, subject: Subject, arrays: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Find the leaf that a name means: the one that holds the array of this name, or the one that is so named."""
    places = owners(name, subject.names)
    if name in arrays:
        array = np.asarray(arrays[name])
        places = [k for k, one in enumerate(subject.points) if np.shares_memory(one, array)]
        places = places or [k for k, one in enumerate(subject.points) if np.array_equal(one, array)]
    if len(places) == 1:
        return places[0]
    some = ", ".join(subject.names[k] for k in places or range(len(subject.names)))
    raise InputError(
        f"the gradient {name!r} could belong to {'any' if places else 'none'} of the recorded arrays {some}; pass the "
        "arrays under the same names too: check(loss, grads, params)."
    )
