"""Names of recurrences, after their weights, and the line that says what was found.

In: recurrences. Out: names on them, and a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnngraph.autodiff.node import Node
from rnngraph.numpy.finding.found import Found
from rnngraph.numpy.finding.products import leaves_behind

GATES = "cfgiorz"  # a weight of each is one entry of a dict
HOLDERS = ("v", "value", "val", "data")  # how objects that stand for a parameter call their array


def name_all(nodes: Sequence[Node], found: list[Found]) -> None:
    """Name recurrences after their weights, by as much of the path to these as tells them apart."""
    leaves = [leaves_behind(nodes, one.chain.weights) for one in found]
    paths = [_path(min((str(nodes[i].name) for i in some), default="recurrence")) for some in leaves]
    for one, path in zip(found, paths, strict=True):
        others = [other for other in paths if other != path and other[-1] == path[-1]]
        apart = [
            part for place, part in enumerate(path[:-1]) if any(part not in other[: place + 1] for other in others)
        ]
        base = "_".join([*apart, path[-1]])
        taken, count = {other.name for other in found}, 0
        while (f"{base}_{count}" if count else base) in taken:
            count += 1
        one.name = f"{base}_{count}" if count else base


def _path(name: str) -> list[str]:
    """Give the parts of a name, a number with what it counts, and without those that say nothing, such as a gate's."""
    path: list[str] = []
    for part in name.split("."):
        if part.isdigit() and path:
            path[-1] += f"_{part}"
        elif not path or (part not in HOLDERS and not (part in GATES and path[-1][:1] in "wWuU")):
            path.append(part)
    return path


def described(nodes: Sequence[Node], found: list[Found]) -> str:
    """Say what was found, in one line."""
    if not found:
        return (
            "no recurrence was found: no weight multiplies what came out of its own product, and nothing is carried "
            "on by steps that repeat; if there is one, say how many steps it has, steps=, or declare its states: "
            "tape.state of an rnngraph.numpy.ArrayTape"
        )
    parts = []
    for one in found:
        shape = nodes[one.states["h"][0]].value.shape
        units = one.units["h"] if one.units["h"] is not None else len(shape) - 1
        size = shape[units] if shape else 1
        samples = 1 if len(shape) < 2 else shape[1 if units == 0 else 0]
        of = f"{size} unit{'s' * (size != 1)}" + (f", {samples} samples" if samples != 1 else "")
        kinds = " and ".join(one.states)
        reverse = ", from the last step to the first" if one.direction == "reverse" else ""
        parts.append(f"{one.name} (state{'s' * (len(one.states) > 1)} {kinds}, {one.time} steps, {of}{reverse})")
    count = f"{len(found)} recurrences" if len(found) > 1 else "a recurrence"
    return f"found {count}: " + "; ".join(parts)
