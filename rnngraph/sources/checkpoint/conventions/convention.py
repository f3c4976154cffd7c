"""What a convention must say: how the arrays of a layer are called, how they lie, and how they become ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.stack import Stack, Weights

Arrays: TypeAlias = dict[tuple[str, str], Array]  # by key and place, such as (weight_hh, _l1_reverse)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Arrays that belong to one recurrent layer, by the key and the place (`weight_hh` and `_l1_reverse`)."""

    name: str
    convention: Convention
    arrays: dict[tuple[str, str], StoredArray]
    cell: str
    settings: dict[str, Any] = field(default_factory=dict)  # of a `.keras` file

    def describe(self) -> str:
        """Name the candidate with its cell and sizes."""
        return f"{self.name} ({self.cell})"


def _first_layer(prefix: str) -> tuple[str, str]:
    return prefix, ""


def _path(prefix: str) -> str:
    return prefix.rstrip("./_")


@dataclass(frozen=True, slots=True)
class Convention:
    """How somebody names and lays out the arrays of a recurrent layer.

    `pattern` has the groups `prefix`, `key` and `place` (such as `_l1_reverse`, empty for a first layer). `gates` is
    the axis of a weight along which the gates lie. `distinct` is False where other layers use the same names, so that
    the input weight must fit beside the recurrent one. `split` takes the place out of a prefix that holds it, `name_of`
    makes the layer's name of a prefix. `stack` lays checked values out as ours, for a cell that may be named more
    closely.
    """

    expected: str  # for a message
    pattern: re.Pattern[str]
    input: str
    recurrent: str
    biases: tuple[str, ...]
    gates: int
    stack: Callable[[Candidate, Arrays, str], Stack]
    projection: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)  # other names of a key
    distinct: bool = True
    paired_bias: bool = False  # whether a bias may have one row for each of the two products
    split: Callable[[str], tuple[str, str]] = _first_layer
    name_of: Callable[[str], str] = _path

    def units(self, recurrent: StoredArray, projection: StoredArray | None) -> tuple[int, int]:
        """Tell the width of all gates and that of the hidden state, a projected one where there is a projection."""
        gates, units = recurrent.shape if self.gates == 0 else recurrent.shape[::-1]
        if projection is not None and len(projection.shape) == 2:
            units = projection.shape[1 - self.gates]
        return gates, units


def stacked(
    one: Candidate,
    values: Arrays,
    cell: str,
    layer_of: Callable[[dict[str, Array]], Weights],
    *,
    backwards: bool = False,
) -> Stack:
    """Lay the arrays of several layers and directions out as one stack, by their places: `_l0`, `_l0_reverse`, `_l1`.

    `layer_of` lays out those of one place, by key.

    Raises:
        InputError: a weight, a layer or a direction is missing.
    """
    places = sorted({place for _, place in values}, key=_order)
    layers: dict[int, list[Weights]] = {}
    for place in places:
        own = {key: value for (key, at), value in values.items() if at == place}
        at = f", {place}," if len(places) > 1 else ""
        for key in (one.convention.input, one.convention.recurrent):
            if key not in own:
                raise InputError(f"{one.name}{at} has no {key}; found {', '.join(sorted(own))}.")
        layers.setdefault(_order(place)[0], []).append(layer_of(own))
    both = any(place.endswith("_reverse") for place in places)
    directions = ("reverse",) if backwards else ("forward", "reverse") if both else ("forward",)
    if any(len(layer) != len(directions) for layer in layers.values()) or sorted(layers) != list(range(len(layers))):
        raise InputError(f"{one.name} has weights for {', '.join(places)} only; some layers or directions are missing.")
    return Stack(one.name, cell, tuple(tuple(layer) for layer in layers.values()), directions)


def _order(place: str) -> tuple[int, bool]:
    return int(place.removeprefix("_l").removesuffix("_reverse")), place.endswith("_reverse")
