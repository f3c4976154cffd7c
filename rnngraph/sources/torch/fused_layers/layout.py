"""PyTorch's forms of a fused layer brought to ours: (T, N, ·) with samples as they came in, and weights by our names.

In: what a call kept. Out: tensors and arrays in our layout, and the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rnngraph.autodiff.contribution import Array
from rnngraph.nn.cells import CELLS, Cell, form
from rnngraph.sources.checkpoint.conventions.torch_arrays import torch_layer
from rnngraph.sources.stack import Stack
from rnngraph.trace.magnitudes import Booleans
from rnngraph.trace.model import FORWARD, REVERSE


class Layout:
    """How one call of a fused layer lays out samples and time."""

    def __init__(self, x: Any, packed: Any, *, batch_first: bool) -> None:
        """Read it off what went in, `packed` without its data; None of a tensor."""
        self.packed, self.batch_first = packed, batch_first
        self.unbatched = packed is None and x.dim() == 2
        if packed is not None:
            self.steps, self.batch = len(packed.batch_sizes), int(packed.batch_sizes[0])
        else:
            self.steps, self.batch = (len(x), 1) if self.unbatched else map(int, self._time_first(x).shape[:2])

    def _time_first(self, field: Any, lead: int = 0) -> Any:
        """Exchange samples and time where the layer has samples first."""
        return field.transpose(lead, lead + 1) if self.batch_first else field

    def _alive(self) -> Any:
        """Tell steps from padding, (T, N), with the samples as they are packed."""
        sizes = self.packed.batch_sizes
        return torch.arange(self.batch, device=sizes.device) < sizes[:, None]

    @property
    def valid(self) -> Booleans | None:
        """Tell steps from padding, (N, T); None where there is none."""
        if self.packed is None:
            return None
        alive, unsorted = self._alive().T.cpu().numpy(), self.packed.unsorted_indices
        return np.asarray(alive if unsorted is None else alive[unsorted.cpu().numpy()])

    def spread(self, field: Any, *, lead: int = 0) -> Any:
        """Bring a field of the layer's input or output to (..., T, N, ·), with `lead` axes in front."""
        if self.packed is not None:
            wide = field.new_zeros((*field.shape[:lead], self.steps, self.batch, field.shape[-1]))
            wide[(slice(None),) * lead + (self._alive().to(field.device),)] = field
            unsorted = self.packed.unsorted_indices
            return wide if unsorted is None else wide.index_select(lead + 1, unsorted)
        return field.unsqueeze(lead + 1) if self.unbatched else self._time_first(field, lead)

    def gathered(self, wide: Any, *, lead: int = 0) -> Any:
        """Bring (..., T, N, ·) back to the form that the layer takes and returns."""
        if self.packed is not None:
            if self.packed.sorted_indices is not None:
                wide = wide.index_select(lead + 1, self.packed.sorted_indices)
            return wide[(slice(None),) * lead + (self._alive().to(wide.device),)]
        return wide.squeeze(lead + 1) if self.unbatched else self._time_first(wide, lead)

    def states(self, tensor: Any, *, lead: int = 0) -> Any:
        """Bring first or last states to (..., layers and directions, N, ·)."""
        return tensor.unsqueeze(lead + 1) if tensor.dim() == 2 + lead else tensor


def width_of(module: Any, kind: str) -> int:
    """Give the number of units of a state of a fused layer."""
    return int(module.proj_size or module.hidden_size) if kind == "h" else int(module.hidden_size)


def cell_of(module: Any) -> Cell:
    """Give our cell of one of PyTorch's modules."""
    return CELLS[cell_name(module)]


def cell_name(module: Any) -> str:
    """Name our cell of one of PyTorch's modules, after its name there; nothing where there is none."""
    if isinstance(module, torch.nn.RNNBase):
        cell = module.mode.rpartition("_")[2].lower()  # of RNN_TANH the end
        return form(cell, having="Wr") if module.proj_size else cell
    if isinstance(module, torch.nn.RNNCell):
        return str(module.nonlinearity)
    known = (kind.__name__ for kind in type(module).__mro__ if kind in (torch.nn.LSTMCell, torch.nn.GRUCell))
    return next(known, "").removesuffix("Cell").lower()


def stack_of(module: Any, name: str, flat: Sequence[Any]) -> Stack:
    """Give tensors in the order of a fused layer's weights by our names."""
    cell, arrays = cell_of(module), dict(zip(module._flat_weights_names, flat, strict=True))
    layers = [
        torch_layer({key.partition("_l")[0]: arrays[key] for key in names if key in arrays}, cell)
        for names in module._all_weights
    ]
    both = 2 if module.bidirectional else 1
    pairs = tuple(tuple(layers[first : first + both]) for first in range(0, len(layers), both))
    return Stack(name, cell_name(module), pairs, (FORWARD, REVERSE)[:both])


def array(tensor: Any, dtype: torch.dtype) -> Array:
    """Give a tensor as an array on this machine."""
    return np.ascontiguousarray(tensor.detach().cpu().to(dtype).numpy())
