"""One node of a tape walked back for many cotangents at once.

In: rows in bands of powers of two. Out: rows for its inputs. Nothing gets lost below the range of a float64: where the
processor tells of an underflow, the node is walked again with its rows lifted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnngraph.autodiff.again import with_value
from rnngraph.autodiff.backward import unbroadcast
from rnngraph.autodiff.banding import Groups
from rnngraph.autodiff.block.careful import by_size
from rnngraph.autodiff.block.carry import BAND
from rnngraph.autodiff.contribution import Array, Contribution
from rnngraph.autodiff.cotangents import Cotangents, Walk
from rnngraph.autodiff.node import Node


def through_node(walk: Walk, node: Node, groups: Groups) -> list[tuple[int, Cotangents]]:
    """Walk all bands through a node; what would get lost is walked in parts of about one size, lifted."""
    if node.op.vjp is None:
        return []
    walk.underflows.clear()
    found = [one for band, (low, value) in groups.items() for one in _passed(walk, node, value, low, band)]
    if not walk.underflows:
        return found
    found = []
    for band, (low, value) in groups.items():
        for part_band, part in by_size(value):
            lifted = list(_passed(walk, node, np.ldexp(part, BAND), low, band + part_band - 1))
            fine = all(_is_finite(one.value) for _, one in lifted)
            found += lifted if fine else _passed(walk, node, part, low, band + part_band)
    return found


def _is_finite(value: Contribution) -> bool:
    array = value if isinstance(value, np.ndarray) else getattr(value, "array", None)
    return array is None or bool(np.isfinite(array).all())


def _passed(walk: Walk, node: Node, value: Array, low: int, band: int) -> Iterable[tuple[int, Cotangents]]:
    assert node.op.vjp is not None
    narrow = node.id in walk.narrow
    seen: Any = _narrowed(walk, node, value) if narrow else node
    first = 0 if walk.window is None else walk.window[0]
    for source, contribution in zip(node.inputs, node.op.vjp(value, seen), strict=False):
        if contribution is None or source not in walk.leads:
            continue
        if isinstance(contribution, np.ndarray):
            own = walk.tape.entry(source).value.shape
            shape = (len(value), *(contribution.shape[1:3] if narrow else own[:2]), *own[2:])
            if contribution.shape != shape and (len(own) == 3 or not narrow):  # else it is widened first
                contribution = unbroadcast(contribution, shape, lead=1, node=node, source=source)
        yield source, Cotangents(contribution, low, len(value), band, narrow, first if narrow else 0, node.id)


def _narrowed(walk: Walk, node: Node, value: Array) -> Node:
    """Show a node with the chosen samples and the window of its arguments that is walked."""
    batch, time = node.value.shape[:2]
    samples, first = walk.samples[batch], 0 if walk.window is None else walk.window[0]
    steps = slice(first, first + value.shape[2])

    def of(array: Array) -> Array:
        if array.ndim >= 2 and array.shape[-2] == time:
            array = array[..., steps, :]
        return array[samples] if array.ndim == 3 and array.shape[0] == batch else array

    count = 1 if node.op.stepwise == "first" else len(node.arguments)
    arguments = tuple([of(one) if k < count else one for k, one in enumerate(node.arguments)])
    return with_value(node, of(node.value), arguments)
