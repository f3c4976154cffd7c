"""What the samples of a recurrence are: what its steps keep apart, along one axis of its states.

In: a recurrence of a pass. Out: the axis, by asking autograd; None where a row is another sample in every step, picked
out of a table, or where rows meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rnngraph.sources.torch.autograd.edges import Edge, cast_to, fixed_normal, full_at, shape_of, unviewed
from rnngraph.sources.torch.autograd.opaque_nodes import batch_norms
from rnngraph.sources.torch.autograd.vjp import vjp
from rnngraph.sources.torch.capture.backward_pass import BackwardPass
from rnngraph.sources.torch.recurrences.recurrence import SEQUENCE, Recurrence, nodes_of_step
from rnngraph.sources.torch.recurrences.resets_and_masks import between, on_the_way


def sample_axis(run: BackwardPass, one: Recurrence) -> int | None:
    """Find the axis along which a step keeps its states apart: the first, or of more than two the second behind layers.

    None where there is neither, as of a layer's weights or the nodes of a graph, or where rows are others in every
    step: all is one sample then.
    """
    if _picks_rows(one):
        return None
    last = None if one.how == SEQUENCE or one.fused else one.before(t := one.steps // 2)
    pairs = [] if last is None else list(zip(one.states[t], one.states[last], strict=False))
    some = [(a, b) for a, b in pairs if len(shape_of(a)) > 1 and shape_of(a) == shape_of(b)]
    deep = [pair for pair in some if len(shape_of(pair[0])) > 2]
    norms = batch_norms(nodes_of_step(one, t)) if some else []

    def keeps_apart(pairs: Sequence[tuple[Edge, Edge]], axis: int) -> bool:
        """Whether neither end of an axis is made of anything else along it, (after, before) a state."""
        axes = {after: axis if len(shape_of(after)) > 2 else 0 for after, _ in pairs}
        sizes = {shape_of(after)[axes[after]] for after, _ in pairs}
        if len(sizes) > 1 or (size := sizes.pop()) == 1:
            return False
        for place in (0, size - 1):
            seeds = {after: full_at(after, 0.0) for after in axes}
            for after, seed in seeds.items():
                part = seed.select(axes[after], place)
                part.copy_(cast_to(after, fixed_normal(tuple(part.shape))))
            before = {edge: axes[after] for after, edge in pairs}
            still = (node.register_hook(_past_statistics) for node in norms)
            for edge, found in vjp(run, seeds, list(before), walls=before, hooks=still).items():
                found.select(before[edge], place).zero_()
                if (found.isfinite() & (found != 0)).any():  # zero times NaN, of a sample that broke, tells nothing
                    return False
        return True

    if not some or keeps_apart(some, 0):
        return 0
    if all(shape_of(after)[0] == 1 for after, _ in some):  # of a picture every pixel keeps apart, which tells nothing
        return 1 if deep and keeps_apart(some, 1) and not keeps_apart(deep, -1) else 0
    return 1 if deep and keeps_apart(some, 1) else None


def _past_statistics(taken: tuple[Any, ...], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let through what comes from a sample itself, whatever its size, and nothing of a batch's mean and deviation."""
    return (None if taken[0] is None else given[0].to(taken[0].dtype), *taken[1:])


def _picks_rows(one: Recurrence) -> bool:
    """Whether steps read rows that an index picks, so that these are other samples in every step."""
    if one.how == SEQUENCE or one.fused:
        return False
    made = {edge for some in one.states for edge in some}
    return any(
        _picks(node) or (node.name() == "CatBackward0" and node._saved_dim == 0 and _several(node, made))
        for step in between(one)
        for node in on_the_way(step.before, step.after)
    )


def _several(node: Any, made: set[Edge]) -> bool:
    """Whether states of several steps are put one behind the other, as where each is a start of its own."""
    return sum(below is not None and unviewed((below, place)) in made for below, place in node.next_functions) > 1


def _picks(node: Any) -> bool:
    """Whether a node picks samples, along the first axis, but not each in its turn."""
    name, chosen = node.name(), None
    if name == "IndexBackward0":
        chosen = node._saved_indices[0]
    elif name in ("IndexSelectBackward0", "GatherBackward0") and node._saved_dim == 0:
        chosen = node._saved_index
    return chosen is not None and not torch.equal(chosen, torch.arange(len(chosen), device=chosen.device))
