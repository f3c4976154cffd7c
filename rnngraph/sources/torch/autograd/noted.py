"""A tensor as it was when a backward pass began, and the way back to that, unseen by autograd.

In: a weight, a buffer, or anything else that a loop may change. Out: `Noted`. A loop changes numbers where they stand,
or gives a tensor others by `.data =`; what the graph keeps may look at either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.parameter import is_lazy


@dataclass(frozen=True, slots=True)
class Noted:
    """A tensor, and its state of the time."""

    tensor: Any
    version: int
    value: Any
    home: Any  # where its numbers stood

    @staticmethod
    def of(tensor: Any) -> Noted:
        """Note a tensor as it is now."""
        return Noted(tensor, tensor._version, tensor.detach().clone(), tensor.data)

    @property
    def moved(self) -> bool:
        """Whether it was written to since."""
        return bool(self.tensor._version != self.version)

    @property
    def changed(self) -> bool:
        """Whether anything of it is other than it was."""
        return self.moved or not self._is_home() or not torch.equal(self.home, self.value)

    def there(self) -> tuple[Noted, ...]:
        """Note how it is now, in both places."""
        back = Noted(self.tensor, self.tensor._version, self.home.clone(), self.home)
        return (back,) if self._is_home() else (back, Noted.of(self.tensor))

    def put(self) -> None:
        """Let the tensor be as it was."""
        if not self._is_home():
            self.tensor.data = self.home
        self.home.copy_(self.value)
        _set_version(self.tensor, self.version)

    def _is_home(self) -> bool:
        own, home = self.tensor.data, self.home
        same = own.dtype == home.dtype and own.shape == home.shape and own.stride() == home.stride()
        return bool(same and own.data_ptr() == home.data_ptr())


def can_be_noted(tensor: Any) -> bool:
    """Tell a tensor that can be put back from a lazy, sharded or sparse one, and from one that was given up."""
    if is_lazy(tensor) or tensor.is_inference() or tensor.layout != torch.strided or hasattr(tensor, "_local_tensor"):
        return False
    return bool(tensor.untyped_storage().nbytes() >= tensor.nbytes)


def _set_version(weight: Any, version: int) -> None:
    put = torch._C._autograd._unsafe_set_version_counter
    try:
        put((weight,), (version,))
    except TypeError:  # PyTorch before 2.7
        put(weight, version)
