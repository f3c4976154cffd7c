"""Lay the arrays of several layers and directions out as one stack, by their places: `_l0`, `_l0_reverse`, `_l1`."""

from __future__ import annotations

from collections.abc import Callable

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import InputError
from rnngraph.sources.checkpoint.conventions.convention import Arrays, Candidate
from rnngraph.sources.stack import Stack, Weights


def stacked(
    one: Candidate,
    values: Arrays,
    cell: str,
    layer_of: Callable[[dict[str, Array]], Weights],
    *,
    backwards: bool = False,
) -> Stack:
    """Make a stack of the arrays; `layer_of` lays out those of one place, by key.

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
