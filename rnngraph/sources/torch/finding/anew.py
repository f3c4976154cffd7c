"""What becomes of the samples of a recurrence between two steps: some start anew, or rows are picked out of a table.

In: a recurrence. Out: (N, T) booleans, or None: where every way from the step before leads through a product with zeros
or a choice; what it is multiplied by is data, as `1 - done`, and autograd keeps it. And whether a row is another sample
in every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from rnngraph.sources.anew import starts_anew
from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, oldest, plain, shape_of
from rnngraph.sources.torch.finding.entrance import saved
from rnngraph.sources.torch.finding.recurrence import SEQUENCE, STEPS, Recurrence, is_cell, states_before
from rnngraph.trace.magnitudes import Booleans


def anew_in(one: Recurrence, batch: int) -> Booleans | None:
    """Look at every step; of a fused layer, at what lies between its calls."""
    found = np.zeros((batch, one.steps), bool)
    if one.how == SEQUENCE:
        return None
    for t, before, after in _between(one):
        found[:, t] = t in one.anew or _closed(before, after, batch)
    return found if found.any() else None


def picks_rows(one: Recurrence) -> bool:
    """Whether steps read rows that an index picks, so that these are other samples in every step."""
    if one.how == SEQUENCE or one.fused:
        return False
    made = {edge for some in one.states for edge in some}
    return any(
        _picks(node) or (node.name() == "CatBackward0" and node._saved_dim == 0 and _several(node, made))
        for _, before, after in _between(one)
        for node in _on_the_way(before, after)
    )


def _several(node: Any, made: set[Edge]) -> bool:
    """Whether states of several steps are put one behind the other, as where each is a start of its own."""
    return sum(below is not None and plain((below, place)) in made for below, place in node.next_functions) > 1


def _picks(node: Any) -> bool:
    """Whether a node picks samples, along the first axis, but not each in its turn."""
    name, chosen = node.name(), None
    if name == "IndexBackward0":
        chosen = node._saved_indices[0]
    elif name in ("IndexSelectBackward0", "GatherBackward0") and node._saved_dim == 0:
        chosen = node._saved_index
    return chosen is not None and not torch.equal(chosen, torch.arange(len(chosen), device=chosen.device))


def _on_the_way(before: Sequence[Edge], after: Sequence[Edge]) -> list[Any]:
    """List the nodes that lead from some edges to others, the first made first."""
    own, roots = {node for node, _ in before}, {node for node, _ in after}
    found = dict.fromkeys(own)
    for node in at_and_below(roots, oldest(own), own.__contains__) if own and roots else ():
        if any(below in found for below, _ in node.next_functions):
            found[node] = None
    return [node for node in found if node not in own]


def _between(one: Recurrence) -> Iterator[tuple[int, Sequence[Edge], Sequence[Edge]]]:
    """Yield steps with what the step before handed out, and what this one took or made; no kernel is looked into."""
    if one.fused:
        for start, (earlier, later) in zip(one.starts[1:], pairwise(one.layers), strict=True):
            yield start, [*earlier.ports.values()], [edge for edge in later.initial_edges if edge is not None]
        return
    for t, after in enumerate(one.states):
        before = states_before(one, t)
        if one.how == STEPS and is_cell(one.module):
            yield t, before, one.calls[t].taken_edges
        else:
            yield t, before, after


def _closed(before: Sequence[Edge], after: Sequence[Edge], batch: int) -> Booleans:
    """Tell, by sample, whether ways lead from some edges to others, and all of them are closed."""
    ways: dict[Any, Booleans] = {node: np.ones(batch, bool) for node, _ in before}
    for node in _on_the_way(before, after):
        ways[node] = np.logical_or.reduce(
            [ways[below] & _lets(node, k, batch) for k, (below, _) in enumerate(node.next_functions) if below in ways]
        )
    reached = [ways[node] for node, _ in after if node in ways]
    return ~np.logical_or.reduce(reached) if reached else np.zeros(batch, bool)


def _lets(node: Any, place: int, batch: int) -> Booleans:
    """Tell, by sample, whether a node lets anything through of an input."""
    name, every = node.name(), np.ones(batch, bool)
    if name == "MulBackward0" and node.next_functions[1 - place][0] is None:
        factor = saved(node, "self" if place else "other")
        passes = None if factor is None or not factor.dim() else factor != 0
    elif name == "WhereBackward0":
        condition = saved(node, "condition")
        passes = condition if place == 0 or condition is None else ~condition
    elif name == "MaskedFillBackward0":
        mask = saved(node, "mask")
        passes = None if mask is None else ~mask
    else:
        return every
    if passes is None:
        return every
    shape = shape_of((node, 0))
    axis = next((axis for axis, size in enumerate(shape) if size == batch), None)
    return every if axis is None else ~starts_anew(passes.cpu().numpy(), shape, axis, batch)
