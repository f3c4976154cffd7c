"""Find where numbers stopped being finite: the first node, forward or back, that made a non-finite one of finite ones.

In: a tape. Out: a node id, -1 where everything is finite. Inside a block it is the node of a step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnngraph.autodiff.backward import sweep
from rnngraph.autodiff.block import Block
from rnngraph.autodiff.block.backward import Inner
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.node import Node
from rnngraph.autodiff.show import shown_nodes
from rnngraph.autodiff.tape import Tape
from rnngraph.norms import all_finite


def first_nonfinite_forward(tape: Tape) -> int:
    """Find the first node, in tape order, that is not finite although all of its inputs are."""
    broken: set[int] = set()
    for entry in tape.entries:
        if _is_finite(entry):
            continue
        if broken.intersection(entry.inputs):
            broken.add(entry.id)
        elif isinstance(entry, Block):
            return _first_step(entry)
        else:
            return entry.id
    return -1


def _is_finite(entry: Node | Block) -> bool:
    if isinstance(entry, Block):
        return all(map(all_finite, entry.columns.values()))
    return entry.value.dtype.kind != "f" or all_finite(entry.value)


def _first_step(block: Block) -> int:
    """Find the first node of a block's steps, in the order of processing, that is not finite."""
    finite = np.ones(block.steps, bool)
    for column in (*(block.order(one)[1:] for one in block.columns.values()), block.order(block.gates)):
        finite &= np.isfinite(column).all(axis=(1, 2))
    place = int(np.argmin(finite))
    count = len(block.cell.facts.parts)
    start = block.first + 1 + place * count
    for node in shown_nodes(block, (block.first, *range(start, start + count))):
        value = node.value if node.timestep >= 0 else node.value[:, block.place_of(place)]
        if not np.isfinite(value).all():
            return node.id
    return block.id


def first_nonfinite_backward(tape: Tape, starts: Mapping[int, Array]) -> int:
    """Find the node whose vjp first made a non-finite gradient of a finite one.

    Walks the tape again, so it is called only once something non-finite was measured.
    """
    inside: list[int] = []

    def lend(inner: Inner) -> None:
        block = inner.block
        columns = [*inner.total.values(), *inner.carried.values()]
        finite = np.logical_and.reduce([np.isfinite(one).all(axis=(1, 2)) for one in columns])
        if not finite.all() and not inside:
            steps = np.arange(inner.steps.start, inner.steps.stop)[~finite]
            t = int(steps[0] if block.reverse else steps[-1])
            place = block.place_of(t)
            # What was carried to it came out of the step processed after it.
            origin = place + 1 if place + 1 < block.steps else place
            inside.append(int(block.order(block.node_ids("h"))[origin]))

    for step in sweep(tape, starts, lend=lend):
        if inside:
            return inside[0]
        reached = step.contributions if isinstance(step.node, Block) else [step.gradient]
        if all(_is_finite_part(one) for one in reached):
            continue
        for consumer, contribution in zip(step.consumers, step.contributions, strict=True):
            if consumer is not None and not _is_finite_part(contribution):
                return consumer.id
        # Finite parts of which the sum is not, or a factored part: the last consumer completed it.
        last = step.consumers[-1]
        return step.node.id if last is None else last.id
    return inside[0] if inside else -1


def _is_finite_part(part: Contribution) -> bool:
    return not isinstance(part, np.ndarray) or bool(np.isfinite(part).all())
