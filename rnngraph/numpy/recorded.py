"""The recording array: what a user's NumPy code sees in place of an array of floats.

It is one of two things. A plain array that nothing recorded was put into, such as fresh `np.zeros`; or a place on a
tape, which a change in place moves to a new node. What would lose a gradient without a word raises one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnngraph.autodiff import ops
from rnngraph.autodiff.along import BROADCAST, CAST
from rnngraph.autodiff.contribution import Array
from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.numpy import dispatch
from rnngraph.numpy.methods import Methods
from rnngraph.numpy.placed import Parts, assembled, picked
from rnngraph.numpy.subscripts import ALL, INTEGERS, Split, as_tuple, deeper, is_basic, refuse_twice, split
from rnngraph.numpy.tape import ArrayTape
from rnngraph.numpy.values import Handle, recorded_in, unwrapped, value_of, wrapped


class Recorded(Methods, Handle, Tensor):  # type: ignore[misc]
    """An array that is recorded, or that can be filled with what is."""

    __slots__ = ("_node", "_parts", "_plain", "_source", "_version")
    __array_priority__ = 1000.0
    tape: ArrayTape

    def __init__(self, tape: Any, node_id: int, plain: Array | None = None) -> None:
        """Refer to a node of `tape`, or hold a plain array."""
        self.tape = tape
        self._node = node_id
        self._plain = plain
        self._parts: Parts | None = None
        self._source: tuple[Recorded, Any, int] | None = None  # the array this is a view of, where, and its version
        self._version = 0

    # ---- what it holds
    def settled(self) -> int:
        """Give the node at once, where nothing has to be joined or followed before; else -1."""
        source = self._source
        if source is not None and (source[0]._version != source[2] or source[0]._source is not None):
            return -1
        parts = self._parts
        return self._node if parts is None or parts.joined == parts.stamp else -1

    @property
    def plain(self) -> Array | None:
        """The plain array, where nothing recorded was put into it."""
        if self._source is not None:
            self._follow()
        return self._plain

    @property
    def id(self) -> int:  # type: ignore[override]
        """The node of the whole, with all parts joined."""
        if self._source is not None:
            self._follow()
        parts = self._parts
        if parts is not None and parts.joined < parts.stamp:
            self._node = assembled(self.tape, self._node, *parts.join())
        return self._node

    @property
    def value(self) -> Array:
        """The value; not to be written to."""
        plain = self.plain
        return plain if plain is not None else self.tape.entry(self.id).value

    def _whole(self) -> Array:
        """Give an array of this shape and dtype, without joining parts."""
        plain = self.plain
        return plain if plain is not None else self.tape.entry(self._node).value

    def _follow(self) -> None:
        """See what was written into the array that this is a view of."""
        assert self._source is not None
        source, index, version = self._source
        if source._source is not None:
            source._follow()
        if source._version != version:
            now = source._read(index)
            self._plain, self._node, self.tape = now._plain, now._node, now.tape
            self._parts, self._version = None, self._version + 1
            self._source = source, index, source._version

    @property
    def requires(self) -> bool:
        """Whether a gradient would be lost with it."""
        return self.plain is None and bool(self.tape.entry(self.id).requires)

    shape = property(lambda self: self._whole().shape)
    ndim = property(lambda self: self._whole().ndim)
    dtype = property(lambda self: self._whole().dtype)

    # ---- reading and writing
    def __len__(self) -> int:
        """The size of the first axis; TypeError where there is none, as NumPy has it."""
        return len(self._whole())

    def __iter__(self) -> Iterator[Recorded]:
        """Go along the first axis."""
        return (self[place] for place in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """Read a place; what was put there comes back as it was put."""
        if self._parts is None and is_basic(index):
            node = self.settled()
            if node >= 0:
                return self._view(picked(self.tape, node, index), index, basic=True)
            if self._plain is None and self._node < 0:  # it is not read yet: h[t][layer] is h[t, layer]
                return self._source[0][deeper(self._source[1], index)]  # type: ignore[index]
        return self._read(index, later=True)

    def _read(self, index: Any, *, later: bool = False) -> Any:
        """Read a place; where it must be joined of many parts, perhaps only when it is needed."""
        basic, plain = is_basic(index), self.plain
        if not basic:
            index = value_of(index)
            basic = is_basic(index)
        if plain is not None:
            return self._view(wrapped(plain[index]), index, basic=basic)
        parts = self._parts
        where = split(index, self.shape) if parts is not None and parts.known else None
        if parts is not None and where is not None:
            held = parts.at(where)
            if held is not None:
                part = Recorded(self.tape, held[0])
                part = part if held[1].is_all else part[held[1].index]
                return self._view(part, index, basic=basic)
            if parts.is_below(where):
                return self._view(picked(self.tape, self._node, index), index, basic=basic)
            if later and where.whole and len(where.axes) == len(as_tuple(index)) < self.ndim:
                unread = Recorded(self.tape, -1)
                unread._source = self, index, -1
                return unread
        return self._view(picked(self.tape, self.id, index), index, basic=basic)

    def _view(self, view: Any, index: Any, *, basic: bool) -> Any:
        if basic and type(view) is Recorded and view._whole().ndim:
            view._source = self, index, self._version
        return view

    def __setitem__(self, index: Any, given: Any) -> None:
        """Put something into a place."""
        if not is_basic(index):
            index = value_of(index)
        if self._source is not None and INTEGERS.issuperset(map(type, as_tuple(self._source[1]))):
            self._source[0][deeper(self._source[1], index)] = given
            return
        plain = self._plain if self._source is None else self.plain
        if plain is not None or type(given) is not Recorded or given._plain is not None:
            given = unwrapped(given)
        if plain is not None:
            source = recorded_in(given)
            if source is None:
                plain[index] = given
                return
            if plain.dtype.kind != "f":
                raise InputError(f"a recorded value was put into an array of {plain.dtype}; make it one of floats.")
            self.tape, self._node, self._plain = source.tape, source.tape.lift(plain), None
        whole = self.tape.entry(self._node).value
        where, node = split(index, whole.shape), self._fitted(given, whole[index].shape, whole.dtype)
        if self._parts is None:
            self._parts = Parts()
        if where is not None and where.axes:
            self._put(where, node)
        else:
            at = as_tuple(index)
            refuse_twice(at, self.shape)
            self._parts.put_across(at, node)
        self._changed()

    def _put(self, where: Split, node: int) -> None:
        """Put a part where integers say, or into a slice of it."""
        assert self._parts is not None
        if not where.whole:
            rest, where = where.rest, Split(where.axes, where.place, (ALL,) * len(where.rest), True)
            node = assembled(self.tape, self[where.index].id, (rest,), [node])
        self._parts.put(where, node)

    def _fitted(self, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """Give the node of what is put, in the dtype of this array and of the shape of the place."""
        node_id = given.settled() if type(given) is Recorded else -1
        node_id = self.tape.lift(dispatch.stacked(given)) if node_id < 0 else node_id
        value = self.tape.entry(node_id).value
        if value.dtype == dtype and value.shape == shape:
            return node_id
        part = Recorded(self.tape, node_id)
        if value.dtype != dtype:
            part = self.tape.record(CAST, (node_id,), {"dtype": dtype})
        if part.shape != shape:
            extra = part.ndim - len(shape)
            if extra > 0 and part.shape[:extra] == (1,) * extra:  # NumPy drops leading ones
                part = self.tape.record(ops.RESHAPE, (part.id,), {"shape": part.shape[extra:]})
            part = self.tape.record(BROADCAST, (part.id,), {"shape": shape})
        return part._node

    def become(self, other: Any) -> Any:
        """Take another value in place, as `+=` does; a scalar does not change in place."""
        if not self.ndim:
            return other
        self[...] = other
        return self

    def _changed(self) -> None:
        self._version += 1
        if self._source is not None:  # views write through
            source, index, _ = self._source
            self._source = None
            source[index] = Recorded(self.tape, self.id)
            self._source = source, index, source._version

    __hash__ = object.__hash__
