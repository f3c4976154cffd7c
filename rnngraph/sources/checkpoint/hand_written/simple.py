"""Names that people give the weights of a recurrence written by hand, `Wxh, Whh, bh, Why, by`, read as PyTorch's.

In: the index of a checkpoint. Out: the same, with the arrays of such a network under names that are known, turned where
they multiply rows: `Wxh` is (units, inputs) where states are columns and (inputs, units) where they are rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray

# The state is called h in most texts and a in some.
ROLES = {
    "input": re.compile(r"^(?P<prefix>.*?)(W_?(xh|ih|ax|hx|xa))$"),
    "recurrent": re.compile(r"^(?P<prefix>.*?)(W_?(hh|aa))$"),
    "bias": re.compile(r"^(?P<prefix>.*?)(b_?(h|hh|a|xh))$"),
    "output": re.compile(r"^(?P<prefix>.*?)(W_?(hy|yh|ya|ay|ho))$"),
    "output bias": re.compile(r"^(?P<prefix>.*?)(b_?(y|o|hy))$"),
}
KNOWN = {
    "input": "rnn.weight_ih_l0", "recurrent": "rnn.weight_hh_l0", "bias": "rnn.bias_ih_l0", "output": "output.weight",
    "output bias": "output.bias",
}  # fmt: skip


def with_known_names(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Put the arrays of a network that was written by hand under PyTorch's names; everything else stays as it is.

    Raises:
        InputError: it cannot be told whether its weights multiply rows or columns.
    """
    groups: dict[str, dict[str, StoredArray]] = {}
    for name, array in arrays.items():
        for role, pattern in ROLES.items():
            match = pattern.match(name)
            if match is not None and (not match["prefix"] or match["prefix"][-1] in "./_"):
                groups.setdefault(match["prefix"], {})[role] = array
    found = dict(arrays)
    for prefix, group in groups.items():
        recurrent = group.get("recurrent")
        if recurrent is None or "input" not in group or not _is_square(recurrent):
            continue
        columns = _has_columns(group, recurrent.shape[0])
        for role, array in group.items():
            key = next(name for name, one in arrays.items() if one is array)
            del found[key]
            found[prefix + KNOWN[role]] = _turned(array, role, columns=columns)
    return found


def _is_square(array: StoredArray) -> bool:
    return len(array.shape) == 2 and array.shape[0] == array.shape[1]


def _has_columns(group: dict[str, StoredArray], units: int) -> bool:
    """Tell whether the weights stand before a column, `Whh @ h`, from the shapes of the others."""
    inputs, bias, output = group["input"].shape, group.get("bias"), group.get("output")
    if len(inputs) == 2 and inputs[0] != inputs[1]:
        return inputs[0] == units
    if bias is not None and len(bias.shape) == 2 and units > 1:
        return bias.shape == (units, 1)
    if output is not None and len(output.shape) == 2 and output.shape[0] != output.shape[1]:
        return output.shape[1] == units
    raise InputError(
        f"{group['input'].name} has shape {inputs}, so that it cannot be told whether it multiplies rows or columns; "
        "save it as weight_ih_l0 (units, inputs) or as Wx (inputs, units)."
    )


def _turned(array: StoredArray, role: str, *, columns: bool) -> StoredArray:
    read = array.reader
    if role in ("bias", "output bias"):
        size = max(array.shape, default=1)
        flat: Callable[[], Array] = lambda: read().reshape(-1)  # noqa: E731
        return replace(array, shape=(size,), reader=flat) if len(array.shape) == 2 and 1 in array.shape else array
    if columns:
        return array
    return replace(array, shape=array.shape[::-1], reader=lambda: read().T)
