"""What a convention must say: how the arrays of a layer are called, how they lie, and how they become ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnngraph.autodiff.contribution import Array
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.stack import Weights

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
    makes the layer's name of a prefix. `layer` lays the checked values of one place, by key, out as ours.
    """

    expected: str  # for a message
    pattern: re.Pattern[str]
    input: str
    recurrent: str
    biases: tuple[str, ...]
    gates: int
    layer: Callable[[Candidate, dict[str, Array], str], Weights]
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
