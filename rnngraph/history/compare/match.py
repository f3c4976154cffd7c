"""Which recurrence of one network is set against which of the other.

In: two networks. Out: pairs of layers, and sentences about what has no partner or is of another length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnngraph.diagnosis.layer import Layer
from rnngraph.diagnosis.network import Network


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer of A and one of B."""

    a: Layer
    b: Layer

    @property
    def name(self) -> str:
        """The name of the two."""
        return name_of_two(self.a.name, self.b.name)


def name_of_two(one: str, other: str) -> str:
    """Name what has a name in A and one in B: both where they differ."""
    return one if one == other else f"{one} | {other}"


def pairs_of(a: Network, b: Network) -> tuple[Pair, ...]:
    """Pair layers of one name; the others by their place, where it is the only one on both sides."""
    named = {layer.name: layer for layer in b.layers}
    found = {layer.name: named[layer.name] for layer in a.layers if layer.name in named}
    left = [layer for layer in a.layers if layer.name not in found]
    right = [layer for layer in b.layers if layer not in found.values()]
    for layer in left:
        there = [one for one in right if _place(one) == _place(layer)]
        if len(there) == 1 and sum(_place(one) == _place(layer) for one in left) == 1:
            found[layer.name] = there[0]
    return tuple(Pair(layer, found[layer.name]) for layer in a.layers if layer.name in found)


def _place(layer: Layer) -> tuple[int, str]:
    return layer.recurrence.layer, layer.recurrence.direction


def left_out(a: Network, b: Network, pairs: Sequence[Pair]) -> Iterator[str]:
    """Say what is not compared, and what is compared although it differs."""
    for letter, other, network, taken in (
        ("A", "B", a, [pair.a for pair in pairs]),
        ("B", "A", b, [pair.b for pair in pairs]),
    ):
        names = [layer.name for layer in network.layers if layer not in taken]
        if names:
            yield f"only {letter} has {', '.join(names)}: nothing of {other} is set against that"
    for pair in pairs:
        one, two = pair.a.recurrence, pair.b.recurrence
        if one.name != two.name:
            yield f"A's {one.name} is set against B's {two.name}, which has its place and another name"
        if one.timesteps != two.timesteps:
            shorter = min(one.timesteps, two.timesteps)
            yield (
                f"{pair.name} takes {one.timesteps} steps in A and {two.timesteps} in B: "
                f"lags up to {shorter - 1} are compared, and norms from the end back"
            )
