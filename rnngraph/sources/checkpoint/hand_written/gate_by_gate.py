"""A recurrence written by hand, with a weight a gate: `Wxi, Whi, bi`, `Wi, Ui, bi`, or `Wi, bi` for both inputs.

A plain one has a single gate: `Wxh, Whh, bh`, or other names that people give these. In: the index of a checkpoint,
and what its owner says of it. Out: the same, with the gates put together as Keras stores them, which is the layout of a
GRU with one bias: its reset gate stands before the product.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.hand_written.parts import beside, flat, grouped, instead, names_of, part, turned

_NAME = re.compile(r"^(?P<prefix>(?:.*[./_])?)(?P<kind>W_?x|W_?h|W|U|b)_?(?P<gate>[a-z])$")
_OUTPUT = re.compile(r"^(?P<prefix>(?:.*[./_])?)(?P<kind>W|b)_?(y|hy|yh|v)$")
# The gates in the order in which they are stored, each by the letters that people give it.
_CELLS = {"lstm": ("i", "f", "cg", "o"), "gru": ("z", "r", "hncg"), "rnn": ("h",)}
_UPDATE = "z"  # the letter of a gate that weighs the old state against the new one, which way is not agreed on
_FORMS = (("Wx", "Wh"), ("W", "U"), ("W", ""))  # the weights of the input and of the state; one for both
_PLAIN_FORMS = _FORMS[:1]  # of the one gate, for which W, U and b stand for too much
_STORED = ("kernel", "recurrent_kernel", "bias")
# The state is called h in most texts and a in some.
_PLAIN_NAMES = {
    "Wxh": r"W_?(xh|ih|ax|hx|xa)", "Whh": r"W_?(hh|aa)", "bh": r"b(_?(h|hh|a|xh))?", "Why": r"W_?(hy|yh|ya|ay|ho)",
    "by": r"b_?(y|o|hy)",
}  # fmt: skip
TOLD = {"joined": ("hx", "xh"), "update": ("old", "new")}  # what shapes and names leave open


@dataclass(slots=True)
class _Layer:
    """The weights of one layer, a gate each, in the order in which they are stored."""

    cell: str
    inputs: list[StoredArray]
    states: list[StoredArray]  # none where the state and the input are joined before one product
    biases: list[StoredArray]
    updates: bool  # its first gate is an update gate

    @property
    def units(self) -> int:
        return min(self.inputs[0].shape) if not self.states else self.states[0].shape[0]


def with_joined_gates(
    arrays: dict[str, StoredArray], told: Mapping[str, str]
) -> tuple[dict[str, StoredArray], set[str]]:
    """Put the gates of layers that were written by hand together; everything else stays as it is.

    Args:
        arrays: the index.
        told: `joined`, which comes first where state and input are joined, "hx" or "xh"; `update`, what a GRU's update
            gate weighs, the "old" state or the "new" one.

    Returns:
        the index, and what had to be told.

    Raises:
        InputError: what shapes and names do not tell was not told.
    """
    found, asked = with_usual_names(arrays), set[str]()
    for prefix, group in grouped(found, _NAME).items():
        layer = _layer({(kind.replace("_", ""), gate): one for (kind, gate), one in group.items()})
        if layer is None:
            continue
        found = instead(found, (*layer.inputs, *layer.states, *layer.biases), {})
        matches = [match for match in map(_OUTPUT.match, found) if match is not None and match["prefix"] == prefix]
        outputs = {match["kind"]: found.pop(match.string) for match in matches}
        asked |= _ask(layer, told)
        columns = _has_columns(layer, outputs.get("W"))
        stored = _stored(layer, told, columns=columns)
        place = prefix + "rnn/" * (layer.cell == "rnn")
        found |= {place + name: one for name, one in zip(_STORED, stored, strict=False)}  # there may be no biases
        for kind, name in (("W", "output.weight"), ("b", "output.bias")):
            if kind in outputs:
                found[prefix + name] = _output(outputs[kind], columns)
    return found, asked


def with_usual_names(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Put the arrays of a plain recurrence that was written by hand under usual names; everything else stays."""
    groups: dict[str, dict[str, str]] = {}  # by what stands before the name: the usual names, and those in the file
    for name in arrays:
        for usual, pattern in _PLAIN_NAMES.items():
            match = re.match(rf"^(?P<prefix>(?:.*[./_])?){pattern}$", name)
            if match is not None:
                groups.setdefault(match["prefix"], {})[usual] = name
    renamed = dict[str, str]()
    for prefix, group in groups.items():
        shape = arrays[group["Whh"]].shape if {"Wxh", "Whh"} <= group.keys() else ()
        if len(shape) == 2 and shape[0] == shape[1]:
            renamed |= {name: prefix + usual for usual, name in group.items() if prefix + usual not in arrays}
    return {renamed.get(name, name): array for name, array in arrays.items()}


def _layer(group: Mapping[tuple[str, str], StoredArray]) -> _Layer | None:
    """Find one weight a gate, all of one shape that fits."""

    def gates(kind: str, letters: tuple[str, ...]) -> list[StoredArray]:
        found = [next((group[kind, one] for one in some if (kind, one) in group), None) for some in letters]
        return [one for one in found if one is not None] if None not in found else []

    for cell, letters in _CELLS.items():
        for of_input, of_state in _FORMS if len(letters) > 1 else _PLAIN_FORMS:
            found = gates(of_input, letters), gates(of_state, letters), gates("b", letters)
            one = _Layer(cell, *found, letters[0] == _UPDATE)
            if one.inputs and bool(one.states) == bool(of_state) and _fits(one):
                return one
    return None


def _fits(layer: _Layer) -> bool:
    shape = layer.inputs[0].shape
    if len(shape) != 2 or any(one.shape != shape for one in layer.inputs):
        return False
    units = layer.units
    if layer.states:
        fits = units in shape and all(one.shape == (units, units) for one in layer.states)
    else:
        fits = shape[0] != shape[1]  # the longer side holds the state and the input
    return fits and all(sorted(one.shape)[-1:] == [units] and sum(one.shape) <= units + 1 for one in layer.biases)


def _has_columns(layer: _Layer, output: StoredArray | None) -> bool:
    """Tell whether the weights stand before a column, from the shapes of weights and biases."""
    shape = layer.inputs[0].shape
    if shape[0] != shape[1]:
        return shape[0] == layer.units
    if layer.biases and len(layer.biases[0].shape) == 2 and layer.units > 1:
        return layer.biases[0].shape[1] == 1
    if output is not None and len(output.shape) == 2 and output.shape[0] != output.shape[1]:
        return output.shape[1] == layer.units
    raise InputError(
        f"{layer.inputs[0].name} has shape {shape}, so that it cannot be told whether it multiplies rows or columns; "
        "save its biases as (units, 1) for columns or as (1, units) for rows."
    )


def _ask(layer: _Layer, told: Mapping[str, str]) -> set[str]:
    """Give what has to be told of a layer; refuse where it was not."""
    names, shape, asked = names_of(layer.inputs), layer.inputs[0].shape, set[str]()
    if not layer.states:
        asked.add("joined")
        if "joined" not in told:
            raise InputError(
                f"{names} of shape {shape} multiply a state that is joined with its input, and which of the two comes "
                "first cannot be told; pass --layer joined=hx for the state first, or --layer joined=xh."
            )
    if layer.updates:
        asked.add("update")
        if "update" not in told:
            raise InputError(
                f"{names} are a GRU, and what its update gate weighs cannot be told; pass --layer update=old for "
                "h = z · h + (1 - z) · candidate, or --layer update=new for h = (1 - z) · h + z · candidate."
            )
    return asked


def _stored(layer: _Layer, told: Mapping[str, str], *, columns: bool) -> list[StoredArray]:
    """Give the arrays of Keras: for rows, with the gates side by side."""
    inputs, states = ([turned(one) if columns else one for one in some] for some in (layer.inputs, layer.states))
    if not layer.states:
        units, rows = layer.units, inputs[0].shape[0]
        at = units if told["joined"] == "hx" else rows - units
        ahead, behind = [part(one, 0, 0, at) for one in inputs], [part(one, 0, at, rows) for one in inputs]
        states, inputs = (ahead, behind) if told["joined"] == "hx" else (behind, ahead)
    # 1 - σ(a) is σ(-a): an update gate that weighs the new state is one of the old with its weights negated.
    signs = [-1 if k == 0 and layer.updates and told["update"] == "new" else 1 for k in range(len(inputs))]
    found = [beside(some, signs) for some in (inputs, states, [flat(one) for one in layer.biases]) if some]
    if not layer.biases and layer.updates:  # one bias says that a GRU resets before the product
        size = len(inputs) * layer.units
        found.append(replace(inputs[0], name="the biases", shape=(size,), reader=lambda: np.zeros(size)))
    return found


def _output(array: StoredArray, columns: bool) -> StoredArray:
    if len(array.shape) == 2 and 1 not in array.shape:
        return array if columns else turned(array)
    return flat(array)
