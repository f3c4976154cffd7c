"""The tensors to look at, by name: of a module, of a state dict, or of a checkpoint, read one at a time.

In: a `torch.nn.Module`, a table of tensors or arrays, or what the checkpoint readers indexed. Out: `Weights`, in which
shapes are known and numbers are read when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import plain_name
from rnngraph.sources.decay.config import Config, config_of
from rnngraph.trace.magnitudes import Floats

LARGEST = 2**24  # numbers of one tensor that is read; a decay of 16,384 channels and 1,024 states is as large


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor: its shape, and how to read it."""

    shape: tuple[int, ...]
    reader: Callable[[], Any]

    def read(self) -> Floats:
        """Read the numbers as float64.

        Raises:
            FileError: it is larger than any decay, or cannot be read.
        """
        if np.prod(self.shape, dtype=object) > LARGEST:
            raise FileError(f"it has shape {self.shape}, more than may be read ({LARGEST} numbers).")
        return np.asarray(self.reader(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Weights:
    """Everything that a source holds by name, and what its configuration says."""

    source: str
    weights: Mapping[str, Weight]
    config: Config


def module_weights(module: Any) -> Weights:
    """Take a PyTorch module's tensors, and the configuration that it carries, if it does."""
    found = (getattr(one, "config", None) for one in module.modules())
    config = next((one for one in found if isinstance(one, Mapping) or hasattr(one, "to_dict")), None)
    known = config_of({} if config is None else config)
    return Weights(type(module).__name__, _table(module.state_dict()), Config(known.table, "the module's config"))


def state_weights(state: Mapping[Any, Any]) -> Weights:
    """Take a table of tensors or arrays.

    Raises:
        InputError: a name that is no text, or a value that is no array.
    """
    return Weights("state dict", _table(state), Config({}))


def _table(state: Mapping[Any, Any]) -> dict[str, Weight]:
    found = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise InputError(f"the state dict has the key {name!r}; its keys must be the names of tensors.")
        shape = getattr(value, "shape", None)
        if shape is None:
            if hasattr(value, "keys"):
                raise InputError(f"{name} in the state dict is a table itself: pass the table that holds the tensors.")
            continue  # extra state that a module keeps, such as a counter
        found[plain_name(name)] = Weight(tuple(int(one) for one in shape), partial(_array, value))
    return found


def _array(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return np.asarray(value)
    if value.is_meta:
        raise FileError("it has no values yet (device meta): initialise the module first.")
    value = value.full_tensor() if hasattr(value, "full_tensor") else value  # a tensor that is spread over devices
    return value.detach().to("cpu").double().numpy()
