"""The tensors to look at, by name: of a module, of a state dict, or of a checkpoint, read one at a time.

In: a `torch.nn.Module`, a table of tensors or arrays, or what the checkpoint readers indexed. Out: `Weights`, in which
shapes are known and numbers are read when asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import StoredArray, plain_name
from rnngraph.sources.checkpoint.stored import read_checkpoint
from rnngraph.sources.decay.config import NAME, Config, config_of, read_config


@dataclass(frozen=True, slots=True)
class Weights:
    """Everything that a source holds by name, and what its configuration says."""

    source: str
    weights: Mapping[str, StoredArray]
    config: Config


def file_weights(path: Path) -> Weights:
    """Index a checkpoint, with the `config.json` that is beside it.

    Raises:
        FileError, MissingToolError: see `read_checkpoint`; or the configuration is no JSON table.
    """
    beside = (path if path.is_dir() else path.parent) / NAME
    config = read_config(beside) if beside.is_file() else Config({})
    return Weights(str(path), read_checkpoint(path).arrays, config)


def module_weights(module: Any) -> Weights:
    """Take a PyTorch module's tensors, and the configuration that it carries, if it does."""
    found = (getattr(one, "config", None) for one in module.modules())
    config = next((one for one in found if isinstance(one, Mapping) or hasattr(one, "to_dict")), None)
    known = config_of({} if config is None else config)
    source = type(module).__name__
    return Weights(source, _table(module.state_dict(), source), Config(known.table, "the module's config"))


def state_weights(state: Mapping[Any, Any]) -> Weights:
    """Take a table of tensors or arrays.

    Raises:
        InputError: a name that is no text, or a value that is no array.
    """
    return Weights("state dict", _table(state, "state dict"), Config({}))


def _table(state: Mapping[Any, Any], source: str) -> dict[str, StoredArray]:
    found = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise InputError(f"the state dict has the key {name!r}; its keys must be the names of tensors.")
        shape = getattr(value, "shape", None)
        if shape is None:
            if hasattr(value, "keys"):
                raise InputError(f"{name} in the state dict is a table itself: pass the table that holds the tensors.")
            continue  # extra state that a module keeps, such as a counter
        found[plain_name(name)] = StoredArray(name, tuple(int(one) for one in shape), source, partial(_array, value))
    return found


def _array(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return np.asarray(value)
    if value.is_meta:
        raise FileError("it has no values yet (device meta): initialise the module first.")
    value = value.full_tensor() if hasattr(value, "full_tensor") else value  # a tensor that is spread over devices
    return value.detach().to("cpu").double().numpy()
