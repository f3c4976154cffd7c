"""What a checkpoint holds beside its recurrent stack: the embedding before, the output layer behind, and the rest.

In: the index of a checkpoint, and the widths and arrays of the stack. Out: a name with its table, and an `OutputLayer`,
by shapes and names; sentences that name the rest, or a refusal: a network with leftovers is not the whole model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray

_BIASES = {"weight": "bias", "W": "b", "vars/0": "vars/1", "kernel": "bias", "kernel:0": "bias:0", "/w": "/b"}
LISTED = 8  # names in the sentence; a large model has thousands
_NO_LAYER = ("seed_generator", "num_batches_tracked")  # what a training run keeps beside its weights


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
        if len(array.shape) == 2 and array.shape[1] == size and (_bias_of(name, arrays) is None or name == named)
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
        bias = _bias_of(name, arrays)
        width = None if bias is None else arrays[bias].shape
        # PyTorch stores (out, in); Keras and our own layers (in, out). A bias is as long as there are outputs.
        if array.shape[1] == size and width in (None, array.shape[:1]) and not _is_input_first(name):
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
    if len(names) < 2 or len({arrays[name].shape for name in names}) > 1 or any(_bias_of(one, arrays) for one in names):
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


def _is_input_first(name: str) -> bool:
    """Tell by its name whether a matrix is stored (in, out), as Keras and our own layers store it."""
    return name.endswith((".W", "/W", "/w", "vars/0", "kernel", "kernel:0")) or name == "W"


def _bias_of(name: str, arrays: Mapping[str, StoredArray]) -> str | None:
    """Find the bias that belongs to a weight, by its name."""
    for ending, bias in _BIASES.items():
        if name.endswith(ending):
            other = name.removesuffix(ending) + bias
            return other if other in arrays and len(arrays[other].shape) == 1 else None
    return None


# ---- the rest
def describe_unused(
    arrays: Mapping[str, StoredArray], used: Collection[str], *, has_targets: bool = True
) -> tuple[str, ...]:
    """Name the weights that no layer of the run uses; a bias goes with its weight. Nothing where there are none.

    Args:
        arrays: the checkpoint's.
        used: names of those that are run.
        has_targets: whether the data hold targets, so that a reader may take the loss for the model's.
    """
    rest = other_weights(arrays, used)
    biases = {_bias_of(name, rest) for name in rest}
    names = [name for name in rest if name not in biases]
    if not names:
        return ()
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = ", ".join(names[:LISTED])
    consequence = ", so that the loss is not its own" if has_targets else ""
    return (f"not used: {listed}{more}: this is not the whole model{consequence}",)


def other_weights(arrays: Mapping[str, StoredArray], used: Collection[str]) -> dict[str, StoredArray]:
    """Give the weights of the model beside those that are used, which are told by name.

    Tensors beside the table that holds the layers, such as the losses of a training run, are no weights of the model.
    """
    tables = [array.table for array in arrays.values() if array.name in used]
    return {
        name: array
        for name, array in arrays.items()
        if array.name not in used and _is_weight(name, array) and not _beside(array.table, tables)
    }


def check_last(output: OutputLayer, rest: Mapping[str, StoredArray]) -> None:
    """Hold back an output layer that another layer of the checkpoint, a matrix of `rest`, seems to follow.

    Raises:
        InputError: a matrix of `rest` takes as many values as the output layer gives.
    """
    width = output.weight.shape[1]
    for name, array in rest.items():
        if name == output.name or "emb" in name.lower() or len(array.shape) != 2:
            continue
        if width in _input_sizes(name, array):
            raise InputError(
                f"{output.name} gives {width} values and {name} {array.shape} takes as many, so that {output.name} "
                "may not give the scores that the targets are for; if it does, say so with --layer "
                f"output={output.name}; if not, differentiate the recurrent output with --loss last, or run the whole "
                "model as a Python function."
            )


def _beside(table: str, used: list[str]) -> bool:
    """Tell whether every table that is used lies in another one inside `table`."""
    return all(one != table and one.startswith(f"{table}." if table else "") for one in used)


def _is_weight(name: str, array: StoredArray) -> bool:
    return array.floating and array.shape not in ((), (1,)) and not any(part in name for part in _NO_LAYER)


def _input_sizes(name: str, array: StoredArray) -> tuple[int, ...]:
    """Give the axes that may be a matrix's input: PyTorch's last, Keras's and our first, any of an unknown name's."""
    if _is_input_first(name):
        return array.shape[:1]
    return array.shape[1:] if name.endswith("weight") else array.shape
