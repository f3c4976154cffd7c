"""Gradients that a model computed by hand beside its recorded loss: they take the place of the tape's own in a check.

In: a recorded `Subject`, gradients by the model's names, and its arrays by the same. Out: a `Subject` that claims them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.gradcheck.mistakes import off
from rnngraph.gradcheck.subject import Subject
from rnngraph.numpy.calls import owners

SAME = 1e-6  # relative; what differs by less is rounded otherwise


def with_handed(subject: Subject, rest: Sequence[Any]) -> tuple[Subject, list[int]]:
    """Let a recorded subject claim the gradients that were handed over, under the model's names; also say for which.

    Raises:
        InputError: no dict, a name that belongs to no leaf or to several, or a gradient of another shape.
    """
    if isinstance(rest[0], Mapping) and not rest[0]:
        raise InputError(
            "the gradients that were handed over are an empty dict: where it is traced.handed, the function returns "
            "none whose name and shape are those of an array, or its source cannot be read, as that of one typed at a "
            "prompt; pass them by name, check(traced, {'dWh': dWh, ...})."
        )
    if len(rest) > 2 or not all(isinstance(one, Mapping) and one for one in rest):
        given = ", ".join(type(one).__name__ for one in rest)
        raise InputError(
            f"beside a recorded loss there is {given}; pass check(loss, grads) or check(loss, grads, params), dicts of "
            "arrays by name."
        )
    names, claimed, known = [*subject.names], [*subject.claimed], list[int]()
    for name, gradient in rest[0].items():
        place, array = _place(str(name), subject, rest[1] if len(rest) > 1 else {}), np.asarray(gradient)
        if place in known:
            raise InputError(f"{names[place]} and {name} are gradients of the same array; hand over one of them.")
        shape = subject.points[place].shape
        if array.dtype.kind not in "fiu" or array.shape != shape:
            raise InputError(
                f"the gradient {name!r} is {array.dtype} of shape {array.shape}; its array has shape {shape}."
            )
        names[place], claimed[place] = str(name), array.astype(np.float64)
        known.append(place)

    def gradients(points: Sequence[Array], upstream: Sequence[Array]) -> list[Any]:
        """Give the gradients a little beside the point, as wrong as those that were handed over."""
        there = subject.gradients(points, upstream)
        return [one + own - right for one, own, right in zip(there, claimed, subject.claimed, strict=True)]

    pairs = enumerate(zip(claimed, subject.claimed, strict=True))
    trusted = [k for k, (own, right) in pairs if off(own, right) <= SAME * np.abs(right).max(initial=0.0)]
    return replace(subject, names=names, claimed=claimed, gradients=gradients, trusted=trusted), known


def _place(name: str, subject: Subject, arrays: Mapping[str, Any]) -> int:
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
