"""What is read at an index and put at one, as nodes: kinds of indices, two of them as one, parts put together.

In: a tape, nodes and indices as NumPy takes them. Out: nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.along import ASSEMBLE
from rnngraph.errors import InputError
from rnngraph.numpy.placed import split

if TYPE_CHECKING:
    from rnngraph.numpy.recorded import Recorded

INTEGERS = frozenset((int, np.int64, np.int32))
_BASIC = INTEGERS | {slice, type(None), type(Ellipsis)}  # such an index is a view


def assembled(tape: Any, base: int, indices: tuple[Any, ...], nodes: list[int]) -> int:
    """Put parts into a base; what is put over all of it last is the whole."""
    last = split(indices[-1], tape.entry(base).value.shape)
    if last is not None and last.is_all:
        return nodes[-1]
    found: int = tape.record(ASSEMBLE, (base, *nodes), {"indices": indices})._node
    return found


def as_tuple(index: Any) -> tuple[Any, ...]:
    """Give an index as a tuple of its parts."""
    return index if type(index) is tuple else (index,)


def deeper(outer: Any, index: Any) -> tuple[Any, ...]:
    """Give the index that does the work of two, the first of integers alone."""
    return (*as_tuple(outer), *as_tuple(index))


def picked(tape: Any, node_id: int, index: Any) -> Recorded:
    """Record what is read at an index."""
    below = tape.entry(node_id)
    value = below.value[index]  # NumPy's own error where the index does not fit
    found: Recorded = tape.enter(
        ops.INDEX, (node_id,), (below.value,), value, below.requires, {"index": as_tuple(index)}
    )
    return found


def is_basic(index: Any) -> bool:
    """Tell an index whose result is a view."""
    return _BASIC.issuperset(map(type, index)) if type(index) is tuple else type(index) in _BASIC


def refuse_twice(index: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Refuse an assignment that names an element twice: only the last one counts, and which is not followed."""
    if ops.is_basic(index) or any(np.asarray(one).dtype == bool for one in index if isinstance(one, np.ndarray | list)):
        return
    places = np.arange(int(np.prod(shape))).reshape(shape)[index]
    if len(np.unique(places)) < places.size:
        raise InputError("an item assignment names an element twice; use np.add.at, or assign each element once.")
