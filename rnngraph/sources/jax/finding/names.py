"""What a scan and its states are called: by scopes of a library, by the user's code, or by weights.

In: a scan's equation, scopes, and names of weights. Out: names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rnngraph.sources.jax.walk import body, counts

# What cells of libraries call their recurrent weights, and what they carry, in their order.
_CELLS = (
    ({"hi", "hf", "hg", "ho"}, ("c", "h")),  # flax, both faces
    ({"weight_hh"}, ("h", "c")),  # equinox
)
_LIBRARY = ("site-packages", "dist-packages")


def step_name(equation: Any) -> str:
    """Give the name of the user's function that is the step; nothing where it is a library's."""
    about = body(equation)[0].debug_info
    name, _, place = str(getattr(about, "func_src_info", "") or "").partition(" at ")
    return name if name.isidentifier() and not is_library(place) else ""


def place_of(equation: Any) -> str:
    """Say where in the user's code a scan's step stands."""
    about = body(equation)[0].debug_info
    return str(getattr(about, "func_src_info", "") or "a function without a name")


def kinds_of(equation: Any, states: Sequence[int], weights: Sequence[str]) -> tuple[str, ...]:
    """Name the states: as a cell that is known by the names of its recurrent weights has them, or as the user's step.

    Where neither tells, they are named by their places: h, h2, h3.
    """
    parts = {part for name in weights for part in name.split(".")}
    known = next((kinds for own, kinds in _CELLS if own <= parts and len(kinds) == len(states)), None)
    if known is not None:
        return known
    by_place = tuple("h" if not k else f"h{k + 1}" for k in range(len(states)))
    names, first = getattr(body(equation)[0].debug_info, "arg_names", None) or (), counts(equation)[0]
    if len(names) <= first + max(states) or (is_library(place_of(equation)) and "flax" in place_of(equation)):
        return by_place
    found = [re.split(r"[.\[\]'\"]+", names[first + one].rstrip("]'\""))[-1] for one in states]
    if len(set(found)) < len(found) or not all(one.isidentifier() for one in found):
        return by_place
    return tuple(found)


def is_library(place: str) -> bool:
    """Whether a place in code is no user's."""
    return any(one in place for one in _LIBRARY)


def joined(scopes: Sequence[str]) -> str:
    """Join the scopes that an equation stands in; one that begins with the one around it goes on from there."""
    parts = [re.sub(r"^(?:\w+\()*|\)*$", "", part) for one in scopes for part in one.split("/") if part]
    found: list[str] = []
    for part in dict.fromkeys(one for one in parts if one.strip("~") and not one.startswith("jit")):
        found.append(part.removeprefix(f"{found[-1]}.") if found else part)
    return ".".join(found)


def owner(weights: Sequence[str]) -> str:
    """Give what the names of weights have in common: the module that they belong to."""
    owners = [name.rpartition("/")[0] or name.rpartition(".")[0] for name in weights]
    shared = []
    for parts in zip(*(re.split("[./]", owner) for owner in owners), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
