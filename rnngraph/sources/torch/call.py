"""One call of a watched PyTorch module, as NumPy arrays in our shapes: batch first, or layers first for states.

In: what a forward hook is given. Out: a `Call`. The tensors are cloned on their device when the call is made
and become NumPy arrays when the trace is asked for, so that a watched run waits for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.sources.torch.lineage import Passage
from rnngraph.sources.torch.passes import Arrivals

FUSED = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "LSTM": "lstm", "GRU": "gru"}


@dataclass(slots=True, eq=False)
class Call:
    """A call of a fused recurrent layer or of a cell; hooks fill `arrivals` when the backward passes."""

    module: str  # the path in the user's model
    cell: str  # tanh, relu, lstm or gru
    weights: dict[str, Any]  # PyTorch tensors by PyTorch's names, as they were at the call
    x: Any  # (T, N, D) as given, or (N, T, D), (T, D), (N, D), or the data of a packed sequence
    initial: dict[str, Any]  # "h" and "c", absent where the module was called without
    final: dict[str, Any]  # empty where a layer's own forward returns its output alone
    output: Any  # None for a cell, whose output is its final state
    layout: Layout
    autocast: str  # the dtype that autocast chose for the arithmetic, or nothing
    gradient: bool  # the output is part of the autograd graph
    index: int = 0  # the place among the watch's calls
    place: int = 0  # the place among the calls of the module
    recomputed: bool = False  # made while a backward was under way, as torch.utils.checkpoint makes calls again
    recording: bool = True  # autograd was on
    fed_by: int = 0  # the calls that x descends from without another call between, as bits
    begun_by: int = 0  # likewise of the initial state
    x_passage: Passage | None = None  # how x descends from them; None where it needs no gradient
    passages: dict[str, Passage] = field(default_factory=dict)  # likewise of each initial state that needs one
    c_within: bool = False  # the gradient of the final c includes what came through the same call's h
    dropping: bool = False  # units were dropped between layers
    dropout: tuple[Any, ...] = ()  # the masks, where they are known
    arrivals: Arrivals = field(default_factory=Arrivals)
    left_out: bool = False  # a backward pass went through that does not count
    several: bool = False  # more than one backward pass went through, and nothing tells which of them count
    grads: dict[str, Any] = field(default_factory=dict)  # "output", "h", "c"; of the passes that count

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the replay: PyTorch's own, or float64 where NumPy has no such arithmetic."""
        name = str(self._reference.dtype).removeprefix("torch.")
        return np.dtype(name if name in ("float32", "float64") else "float64")

    @property
    def rounding(self) -> str:
        """The dtype that PyTorch computed in, such as `bfloat16`."""
        return str(self._reference.dtype).removeprefix("torch.")

    @property
    def precision(self) -> str:
        """The dtype that bounds how far PyTorch's numbers are from exact ones."""
        return self.autocast if self.autocast and self.rounding != "float64" else self.rounding

    @property
    def steps(self) -> int:
        """The number of timesteps."""
        if self.layout.cell or self.layout.batch_sizes:
            return len(self.layout.batch_sizes) or 1
        return int(self.x.shape[1 if self.layout.batch_first and self.layout.batched else 0])

    @property
    def _reference(self) -> Any:
        return self.final["h"] if self.output is None else self.output

    def sequence(self, tensor: Any) -> Array:
        """Turn an input, an output or its gradient into (N, T, ·); padding is zero."""
        return self.layout.sequence(self.array(tensor))

    def array(self, tensor: Any) -> Array:
        """Turn a tensor into an array of the replay's dtype, rounded as PyTorch's arithmetic rounds it."""
        if self.rounding not in ("float32", "float64"):
            tensor = tensor.to(self._reference.dtype)
        wide = tensor.detach().to("cpu").double().numpy()
        return np.ascontiguousarray(wide, dtype=self.dtype)

    def state(self, tensor: Any) -> Array:
        """Turn a state or its gradient into (layers * directions, N, units)."""
        return self.layout.state(self.array(tensor))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the arrays of a call lie: a cell's single step, a padded sequence, or a packed one."""

    cell: bool
    batch_first: bool
    batched: bool
    batch_sizes: tuple[int, ...] = ()  # of a packed sequence: samples that are still running, by timestep
    order: tuple[int, ...] = ()  # of a packed sequence: sorted place -> sample

    @property
    def lengths(self) -> Array | None:
        """The number of valid steps of every sample, of a packed sequence."""
        if not self.batch_sizes:
            return None
        sizes = np.array(self.batch_sizes)
        lengths = np.empty(sizes[0], dtype=np.int64)
        lengths[list(self.order)] = [(sizes > place).sum() for place in range(sizes[0])]
        return lengths

    def mask(self) -> Array | None:
        """(N, T), False in the padding; None where there is none."""
        lengths = self.lengths
        return None if lengths is None else np.arange(len(self.batch_sizes)) < lengths[:, None]

    def sequence(self, array: Array) -> Array:
        """Lay an array out as (N, T, ·)."""
        if self.batch_sizes:
            return self._unpacked(array)
        if self.cell:
            return array[:, None] if self.batched else array[None, None]
        if not self.batched:
            return array[None]
        return array if self.batch_first else array.swapaxes(0, 1)

    def state(self, array: Array) -> Array:
        """Lay a state out as (layers * directions, N, units)."""
        if self.cell:
            return array[None] if self.batched else array[None, None]
        return array if self.batched else array[:, None]

    def _unpacked(self, data: Array) -> Array:
        sizes = self.batch_sizes
        padded = np.zeros((sizes[0], len(sizes), data.shape[-1]), data.dtype)
        place = 0
        for t, size in enumerate(sizes):
            padded[list(self.order[:size]), t] = data[place : place + size]
            place += size
        return padded
