"""Gradients that a model computed by hand beside its recorded loss: they take the place of the tape's own in a check.

In: the recorded leaves, gradients by the model's names, and its arrays by the same. Out: a `Subject` that claims them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnngraph.autodiff.check.mended import Index
from rnngraph.autodiff.check.replayed import SEPARATE
from rnngraph.autodiff.check.subject import Subject
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tape import Entry
from rnngraph.errors import InputError

SAME = 1e-6  # relative
PREFIXES = ("", "d", "grad_", "d_")


@dataclass(frozen=True, slots=True)
class Handed:
    """Gradients by hand beside right ones, by place; `given` are the places of those that were computed by hand."""

    names: Sequence[str]
    given: Sequence[int]
    claimed: Sequence[Array]
    right: Sequence[Array]

    def is_wrong(self, place: int, part: Index = (...,)) -> bool:
        """Whether a gradient, or a part of it, differs from the right one."""
        return not same(self.claimed[place][part], self.right[place][part])


def same(one: Array, other: Array) -> bool:
    """Tell gradients that differ by rounding from others."""
    level = SAME * max(float(np.abs(one).max(initial=0.0)), float(np.abs(other).max(initial=0.0)))
    return bool((np.abs(one - other) <= level).all())


def with_handed(subject: Subject, leaves: Sequence[Entry], rest: Sequence[Any]) -> tuple[Subject, Handed]:
    """Let a recorded subject claim the gradients that were handed over, under the model's names.

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
    if len(leaves) > SEPARATE:
        raise InputError(f"{len(leaves)} arrays were recorded; gradients by hand are checked for at most {SEPARATE}.")
    gradients, arrays = rest[0], rest[1] if len(rest) > 1 else {}
    own: list[Any] = list(subject.claimed)
    found: dict[int, tuple[str, Array]] = {}
    for name, gradient in gradients.items():
        place = _place(str(name), leaves, arrays)
        if place in found:
            raise InputError(f"{found[place][0]} and {name} are gradients of the same array; hand over one of them.")
        found[place] = str(name), _fitting(str(name), gradient, leaves[place].value.shape)
    names = [found[k][0] if k in found else name for k, name in enumerate(subject.names)]
    claimed = [found[k][1] if k in found else one for k, one in enumerate(own)]
    slips = [one - right for one, right in zip(claimed, own, strict=True)]

    def again(points: Sequence[Array], upstream: Sequence[Array]) -> list[Array | None]:
        """Give the gradients a little beside the point, as wrong as those that were handed over."""
        right: list[Any] = subject.gradients(points, upstream)
        return [one + slip for one, slip in zip(right, slips, strict=True)]

    handed = Handed(names, sorted(found), claimed, own)
    return replace(subject, names=names, claimed=[*claimed], gradients=again), handed


def _place(name: str, leaves: Sequence[Entry], arrays: Mapping[str, Any]) -> int:
    """Find the leaf that a name means: the one that holds the array of this name, or the one that is so named."""
    if name in arrays:
        array = np.asarray(arrays[name])
        same = [k for k, leaf in enumerate(leaves) if np.shares_memory(leaf.value, array)]
        same = same or [k for k, leaf in enumerate(leaves) if np.array_equal(leaf.value, array)]
    else:
        wanted = [name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)]
        same = [k for k, leaf in enumerate(leaves) if str(leaf.name) in wanted]
        same = same or [k for k, leaf in enumerate(leaves) if str(leaf.name).rpartition(".")[2] in wanted]
    if len(same) == 1:
        return same[0]
    some = ", ".join(str(leaves[k].name) for k in same or range(len(leaves)))
    found = "none of" if not same else "any of"
    raise InputError(
        f"the gradient {name!r} could belong to {found} the recorded arrays {some}; pass the arrays under the same "
        "names too: check(loss, grads, params)."
    )


def _fitting(name: str, gradient: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(gradient)
    if array.dtype.kind not in "fiu" or array.shape != shape:
        raise InputError(f"the gradient {name!r} is {array.dtype} of shape {array.shape}; its array has shape {shape}.")
    return array.astype(np.float64)
