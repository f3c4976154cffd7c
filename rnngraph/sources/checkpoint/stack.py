"""Read the weights of a recognised layer and lay them out as ours.

In: `Candidate`s. Out: one `Stack`, and what is wrong with its numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, InputError
from rnngraph.nn.cells import CELLS, form
from rnngraph.sources.checkpoint.conventions.convention import Arrays, Candidate
from rnngraph.sources.checkpoint.layers import cell_of
from rnngraph.sources.stack import Stack, Weights, check_stack


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
        values = {key: array.read_weight() for key, array in one.arrays.items()}
        for key, value in values.items():
            findings.extend(not_finite(one.arrays[key].name, value))
        _check_blocks(one, values)
        _check_biases(one, values)
        stacks.append(_stacked(one, values, _form(one, values, cell_of(one, cell))))
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


def _form(one: Candidate, values: Arrays, cell: str) -> str:
    """Name the cell more closely: by its projection, or by one bias where each of its products may have one."""
    convention = one.convention
    if any(key == convention.projection for key, _ in values):
        return form(cell, having="Wr")
    biases = [value for (key, _), value in values.items() if key in convention.biases]
    alone = biases[0].ndim == 1 if biases else not one.settings.get("reset_after", True)
    return form(cell, lacking="bh") if convention.paired_bias and alone else cell


def _stacked(one: Candidate, values: Arrays, cell: str) -> Stack:
    """Lay the arrays of several layers and directions out as one stack, by their places: `_l0`, `_l0_reverse`, `_l1`.

    Raises:
        InputError: a weight, a layer or a direction is missing, or the directions are not put side by side.
    """
    if one.settings.get("merge_mode", "concat") != "concat":
        raise InputError(
            f"{one.name} merges its directions by {one.settings['merge_mode']!r}; only concat can be walked."
        )
    places = sorted({place for _, place in values}, key=_order)
    layers: dict[int, list[Weights]] = {}
    for place in places:
        own = {key: value for (key, at), value in values.items() if at == place}
        at = f", {place}," if len(places) > 1 else ""
        for key in (one.convention.input, one.convention.recurrent):
            if key not in own:
                raise InputError(f"{one.name}{at} has no {key}; found {', '.join(sorted(own))}.")
        layers.setdefault(_order(place)[0], []).append(one.convention.layer(one, own, cell))
    both, backwards = any(place.endswith("_reverse") for place in places), one.settings.get("go_backwards")
    directions = ("reverse",) if backwards else ("forward", "reverse") if both else ("forward",)
    if any(len(layer) != len(directions) for layer in layers.values()) or sorted(layers) != list(range(len(layers))):
        raise InputError(f"{one.name} has weights for {', '.join(places)} only; some layers or directions are missing.")
    return Stack(one.name, cell, tuple(tuple(layer) for layer in layers.values()), directions)


def _order(place: str) -> tuple[int, bool]:
    return int(place.removeprefix("_l").removesuffix("_reverse")), place.endswith("_reverse")


def not_finite(name: str, value: Array) -> tuple[str, ...]:
    """Say that a tensor holds NaN or infinity, where it does."""
    bad = int(value.size - np.isfinite(value).sum())
    return (f"{name} holds {bad} NaN or infinite of {value.size} values",) if bad else ()


def _check_blocks(one: Candidate, values: Arrays) -> None:
    gates, convention = CELLS[one.cell].blocks, one.convention
    for (key, place), value in values.items():
        if key in convention.biases:
            continue
        if value.ndim != 2 or value.shape[convention.gates] % (1 if key == convention.projection else gates):
            raise InputError(
                f"{one.arrays[key, place].name} has shape {value.shape}, which does not divide into the {gates} blocks "
                f"of a {one.cell}: the weights do not fit together."
            )


def _check_biases(one: Candidate, values: Arrays) -> None:
    """Hold every bias to the recurrent weight beside it, before two of them are added.

    Raises:
        FileError: one does not fit, with both shapes.
    """
    convention = one.convention
    for (key, place), value in values.items():
        recurrent = values.get((convention.recurrent, place))
        if key not in convention.biases or recurrent is None:
            continue
        fits = value.ndim == 1 or (convention.paired_bias and value.shape[:-1] == (2,))
        if not fits or value.shape[-1] != recurrent.shape[convention.gates]:
            raise FileError(
                f"{one.arrays[key, place].name} has shape {value.shape}, which does not fit the recurrent weight of "
                f"shape {recurrent.shape}."
            )


def _one_dtype(layers: tuple[tuple[Weights, ...], ...]) -> tuple[tuple[Weights, ...], ...]:
    dtype = np.result_type(*(weights["Wx"].dtype for layer in layers for weights in layer))
    return tuple(
        tuple({name: np.ascontiguousarray(array, dtype=dtype) for name, array in one.items()} for one in layer)
        for layer in layers
    )
