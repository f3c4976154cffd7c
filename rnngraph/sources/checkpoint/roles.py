"""Find the embedding before and the output layer behind a recurrent stack, by shapes and names.

In: the index of a checkpoint and the widths of the stack. Out: a name with its table, and an `OutputLayer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray

_BIASES = {"weight": "bias", "W": "b", "vars/0": "vars/1", "kernel": "bias", "kernel:0": "bias:0", "/w": "/b"}


@dataclass(frozen=True, slots=True)
class OutputLayer:
    """`x·W + b`, with W (in, out)."""

    name: str
    weight: Array
    bias: Array
    bias_name: str | None = None  # None: the file holds none, and `bias` is zeros


def find_embedding(arrays: Mapping[str, StoredArray], size: int, named: str | None) -> tuple[str, Array] | None:
    """Find the table of word vectors, (V, size).

    Raises:
        InputError: several could be it.
    """
    fitting = [
        name
        for name, array in arrays.items()
        if len(array.shape) == 2 and array.shape[1] == size and (bias_of(name, arrays) is None or name == named)
    ]
    telling = [name for name in fitting if "emb" in name.lower()] or fitting
    possible = telling if named is None else [one for one in arrays if _is(one, named)]
    name = _only(_without_copies(possible, arrays), "embedding", named)
    return None if name is None else (name, arrays[name].read_weight())


def find_output(
    arrays: Mapping[str, StoredArray], size: int, named: str | None, *, besides: str | None
) -> OutputLayer | None:
    """Find the map from the stack's output, `size` wide, to scores; `besides` is what serves as the embedding.

    Raises:
        InputError: several could be it.
    """
    found: dict[str, tuple[str | None, bool]] = {}
    for name, array in arrays.items():
        if len(array.shape) != 2 or name == besides:
            continue
        bias = bias_of(name, arrays)
        width = None if bias is None else arrays[bias].shape
        # PyTorch stores (out, in); Keras and our own layers (in, out). A bias is as long as there are outputs.
        if array.shape[1] == size and width in (None, array.shape[:1]) and not is_ours(name):
            found[name] = bias, True
        elif array.shape[0] == size and width in (None, array.shape[1:]):
            found[name] = bias, False
    possible = [one for one in found if named is None or _is(one, named)]
    chosen = _only(_without_copies(possible, arrays), "output", named)
    if chosen is None:
        return None
    bias, transposed = found[chosen]
    weight = arrays[chosen].read_weight()
    weight = np.ascontiguousarray(weight.T if transposed else weight)
    zeros = np.zeros(weight.shape[1], weight.dtype)
    return OutputLayer(chosen, weight, zeros if bias is None else arrays[bias].read_weight(), bias)


def _without_copies(names: list[str], arrays: Mapping[str, StoredArray]) -> list[str]:
    """Keep the first of arrays that hold the same numbers, as a table that two layers share is stored twice."""
    if len(names) < 2 or len({arrays[name].shape for name in names}) > 1 or any(bias_of(one, arrays) for one in names):
        return names
    first = arrays[names[0]].read()
    return names[:1] if all(np.array_equal(first, arrays[name].read()) for name in names[1:]) else names


def _only(names: list[str], role: str, named: str | None) -> str | None:
    if named is not None and not names:
        raise InputError(f"--layer {role}={named} names no array of the checkpoint that fits.")
    if len(names) > 1:
        raise InputError(
            f"several arrays could be the {role} layer: {', '.join(names)}; pick one with --layer {role}=NAME."
        )
    return names[0] if names else None


def _is(name: str, named: str) -> bool:
    return name == named or name.startswith((f"{named}.", f"{named}/")) or f"/{named}/" in name


def is_ours(name: str) -> bool:
    """Tell by its name whether a matrix is stored (in, out), as Keras and our own layers store it."""
    return name.endswith((".W", "/W", "/w", "vars/0", "kernel", "kernel:0")) or name == "W"


def bias_of(name: str, arrays: Mapping[str, StoredArray]) -> str | None:
    """Find the bias that belongs to a weight, by its name."""
    for ending, bias in _BIASES.items():
        if name.endswith(ending):
            other = name.removesuffix(ending) + bias
            return other if other in arrays and len(arrays[other].shape) == 1 else None
    return None
