"""What a checkpoint holds beside the layers that are run: a network with leftovers is not the whole model.

In: the index of a checkpoint and the layers that were recognised. Out: sentences that name the rest, or a refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.roles import OutputLayer, bias_of, is_ours

LISTED = 8  # names in the sentence; a large model has thousands
_NO_LAYER = ("seed_generator", "num_batches_tracked")  # what a training run keeps beside its weights


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
    biases = {bias_of(name, rest) for name in rest}
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
    if is_ours(name):
        return array.shape[:1]
    return array.shape[1:] if name.endswith("weight") else array.shape
