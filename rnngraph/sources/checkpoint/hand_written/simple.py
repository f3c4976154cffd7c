"""Names that people give the weights of a recurrence written by hand, as `W_ih, W_hh, b_h, W_ho, b_o`: one for each.

In: the index of a checkpoint. Out: the same, with such a network under the names `Wxh, Whh, bh, Why, by`, which
`gate_by_gate` reads.
"""

from __future__ import annotations

import re

from rnngraph.sources.checkpoint.files import StoredArray

# The state is called h in most texts and a in some.
_NAMES = {
    "Wxh": r"W_?(xh|ih|ax|hx|xa)", "Whh": r"W_?(hh|aa)", "bh": r"b(_?(h|hh|a|xh))?", "Why": r"W_?(hy|yh|ya|ay|ho)",
    "by": r"b_?(y|o|hy)",
}  # fmt: skip


def with_usual_names(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Put the arrays of a plain recurrence that was written by hand under usual names; everything else stays."""
    groups: dict[str, dict[str, str]] = {}  # by what stands before the name: the usual names, and those in the file
    for name in arrays:
        for usual, pattern in _NAMES.items():
            match = re.match(rf"^(?P<prefix>(?:.*[./_])?){pattern}$", name)
            if match is not None:
                groups.setdefault(match["prefix"], {})[usual] = name
    renamed = dict[str, str]()
    for prefix, group in groups.items():
        shape = arrays[group["Whh"]].shape if {"Wxh", "Whh"} <= group.keys() else ()
        if len(shape) == 2 and shape[0] == shape[1]:
            renamed |= {name: prefix + usual for usual, name in group.items() if prefix + usual not in arrays}
    return {renamed.get(name, name): array for name, array in arrays.items()}
