"""Edges by their node, for walks. In: edges. Out: an `EdgeIndex`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, oldest


class EdgeIndex:
    """Edges by their node, so that a walk finds those that it comes by and looks at no others."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        """Take edges, each once."""
        self.by_node: dict[Any, dict[int, None]] = {}
        for node, place in edges:
            self.by_node.setdefault(node, {})[place] = None
        self.ends = [(node, k) for node, places in self.by_node.items() if not node.next_functions for k in places]
        self.oldest = oldest(self.by_node)

    def __iter__(self) -> Iterator[Edge]:
        """Yield all."""
        return ((node, place) for node, places in self.by_node.items() for place in places)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.by_node)

    def remove(self, edge: Edge) -> None:
        """Forget an edge."""
        self.by_node.get(edge[0], {}).pop(edge[1], None)
