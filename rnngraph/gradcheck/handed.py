"""Gradients that a model computed by hand beside its recorded loss: they take the place of the tape's own in a check.

In: a recorded `Subject`, gradients by the model's names, and its arrays by the same. Out: a `Subject` that claims them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.gradcheck.mistakes import off
from rnngraph.gradcheck.subject import Subject
from rnngraph.numpy.calls import flattened, owners

SAME = 1e-6  # relative; what differs by less is rounded otherwise


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
