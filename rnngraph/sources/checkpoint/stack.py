"""Read the weights of a recognised layer and lay them out as ours.

In: `Candidate`s. Out: one `Stack`, and what is wrong with its numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, InputError
from rnngraph.nn.cells import CELLS, form
from rnngraph.sources.checkpoint.layers import RECURRENT, Candidate, cell_of
from rnngraph.sources.stack import LayerWeights, Stack, check_stack, reordered, torch_stack


def read_stack(picked: list[Candidate], cell: str | None) -> tuple[Stack, tuple[str, ...]]:
    """Read the layers, each feeding the next, as one stack.

    Returns:
        the stack, and a sentence for every tensor that holds NaN or infinity.

    Raises:
        InputError: weights are missing or do not fit one another.
        FileError: an array cannot be read.
    """
    stacks: list[Stack] = []
    findings: list[str] = []
    for one in picked:
        values = {key: array.read() for key, array in one.arrays.items()}
        for key, value in values.items():
            if value.dtype.kind != "f":
                raise InputError(f"{one.arrays[key].name} holds {value.dtype}; weights are floating point numbers.")
            findings.extend(not_finite(one.arrays[key].name, value))
        _check_blocks(one, values)
        _check_biases(one, values)
        stacks.append(_stack(one, values, cell_of(one, cell)))
    first = stacks[0]
    for other in stacks[1:]:
        if (other.cell, other.directions) != (first.cell, first.directions):
            raise InputError(
                f"{first.name} and {other.name} are of different cells or directions and cannot be one stack."
            )
    stack = replace(first, layers=tuple(layer for one in stacks for layer in one.layers))
    stack = replace(stack, name=stack.name.replace("/", "."), layers=_one_dtype(stack.layers))
    check_stack(stack)
    return stack, tuple(findings)


def not_finite(name: str, value: Array) -> tuple[str, ...]:
    """Say that a tensor holds NaN or infinity, where it does."""
    bad = int(value.size - np.isfinite(value).sum())
    return (f"{name} holds {bad} NaN or infinite of {value.size} values",) if bad else ()


def _check_blocks(one: Candidate, values: dict[tuple[str, str], Array]) -> None:
    gates = CELLS[one.cell].blocks
    for (key, place), value in values.items():
        if key.startswith("b"):
            continue
        axis = 0 if one.convention == "torch" else -1
        if value.ndim != 2 or value.shape[axis] % (1 if key in ("weight_hr", "Wr") else gates):
            raise InputError(
                f"{one.arrays[key, place].name} has shape {value.shape}, which does not divide into the {gates} blocks "
                f"of a {one.cell}: the weights do not fit together."
            )


def _check_biases(one: Candidate, values: dict[tuple[str, str], Array]) -> None:
    """Hold every bias to the recurrent weight beside it, before two of them are added.

    Raises:
        FileError: one does not fit, with both shapes.
    """
    axis = 0 if one.convention == "torch" else -1
    for (key, place), value in values.items():
        recurrent = next((values[name, place] for name in RECURRENT if (name, place) in values), None)
        if not key.startswith("b") or recurrent is None:
            continue
        flat = value.ndim == 1 or (one.convention == "keras" and value.shape[:-1] == (2,))
        if not flat or value.shape[-1] != recurrent.shape[axis]:
            raise FileError(
                f"{one.arrays[key, place].name} has shape {value.shape}, which does not fit the recurrent weight of "
                f"shape {recurrent.shape}."
            )


def _stack(one: Candidate, values: dict[tuple[str, str], Array], cell: str) -> Stack:
    if one.convention == "torch":
        return torch_stack(one.name, cell, {key + place: value for (key, place), value in values.items()})
    if any(key == "Wr" for key, _ in values):
        cell = form(cell, having="Wr")
    if one.convention == "keras" and _has_one_bias(one, values):
        cell = form(cell, lacking="bh")
    places = sorted({place for _, place in values}, key=_place_order)
    layers: dict[int, list[LayerWeights]] = {}
    for place in places:
        own = {key: value for (key, at), value in values.items() if at == place}
        found = _our_layer(one, own) if one.convention == "ours" else _keras_layer(one, own, cell)
        layers.setdefault(_place_order(place)[0], []).append(found)
    directions = _directions(one, places)
    if any(len(layer) != len(directions) for layer in layers.values()) or sorted(layers) != list(range(len(layers))):
        raise InputError(f"{one.name} has weights for {', '.join(places)} only; some layers or directions are missing.")
    return Stack(one.name, cell, tuple(tuple(layer) for layer in layers.values()), directions)


def _place_order(place: str) -> tuple[int, bool]:
    return int(place.removeprefix("_l").removesuffix("_reverse")), place.endswith("_reverse")


def _directions(one: Candidate, places: list[str]) -> tuple[str, ...]:
    both = any(place.endswith("_reverse") for place in places)
    if one.settings.get("merge_mode", "concat") != "concat":
        raise InputError(
            f"{one.name} merges its directions by {one.settings['merge_mode']!r}; only concat can be walked."
        )
    if one.settings.get("go_backwards"):
        return ("reverse",)
    return ("forward", "reverse") if both else ("forward",)


def _our_layer(one: Candidate, own: dict[str, Array]) -> LayerWeights:
    _need(one, own, "Wx", "Wh")
    return LayerWeights(own["Wx"], own["Wh"], own.get("b"), own.get("bh"), own.get("Wr"))


def _keras_layer(one: Candidate, own: dict[str, Array], cell: str) -> LayerWeights:
    """Map Keras's layout: already (in, gates * H); an LSTM's gates i, f, c, o and a GRU's z, r, h."""
    _need(one, own, "kernel", "recurrent_kernel")
    order, gates = CELLS[cell].gate_order.get("keras"), "".join(CELLS[cell].facts.gates)

    def ours(array: Array) -> Array:
        return array if order is None else reordered(array, order, gates)

    bias = own.get("bias")
    wx, wh = ours(own["kernel"]), ours(own["recurrent_kernel"])
    if bias is None:
        return LayerWeights(wx, wh)
    if bias.ndim == 2:  # a GRU with reset_after: one bias a product
        if len(bias) != 2 or "bh" not in CELLS[cell].names:
            raise InputError(f"the bias of {one.name} has shape {bias.shape}; a {cell} has {(wx.shape[1],)}.")
        return LayerWeights(wx, wh, ours(bias[0]), ours(bias[1]))
    return LayerWeights(wx, wh, ours(bias))


def _has_one_bias(one: Candidate, values: dict[tuple[str, str], Array]) -> bool:
    """Tell a layer with one bias for both products: a GRU that resets before the product is told by it."""
    biases = [value for (key, _), value in values.items() if key == "bias"]
    return biases[0].ndim == 1 if biases else not one.settings.get("reset_after", True)


def _need(one: Candidate, own: dict[str, Array], *keys: str) -> None:
    for key in keys:
        if key not in own:
            raise InputError(f"{one.name} has no {key}; found {', '.join(sorted(own))}.")


def _one_dtype(layers: tuple[tuple[LayerWeights, ...], ...]) -> tuple[tuple[LayerWeights, ...], ...]:
    dtype = np.result_type(*(weights.wx.dtype for layer in layers for weights in layer))

    def cast(array: Array | None) -> Array | None:
        return None if array is None else np.ascontiguousarray(array, dtype=dtype)

    return tuple(
        tuple(
            LayerWeights(
                np.ascontiguousarray(one.wx, dtype=dtype), np.ascontiguousarray(one.wh, dtype=dtype),
                cast(one.b), cast(one.bh), cast(one.wr),
            )
            for one in layer
        )
        for layer in layers
    )  # fmt: skip
