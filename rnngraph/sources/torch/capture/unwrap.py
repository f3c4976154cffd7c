"""The model inside what PyTorch wraps around it, the paths of its modules, and what lies in other processes.

In: whatever a user passes to `watch`. Out: a module, and paths by the id of a module. Nothing is gathered by us;
PyTorch's own engines do what they do in a backward pass. Under `fully_shard` the questions are asked before the weights
are divided again, by every rank alike, or the gathers would wait for each other.
"""

from __future__ import annotations

from typing import Any

import torch

from rnngraph.errors import InputError


def unwrapped(model: Any) -> Any:
    """Take off what `torch.compile` and data parallelism wrap around a model.

    Raises:
        InputError: it is no PyTorch module, or a scripted one, whose calls nobody sees.
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"watch got a {type(model).__name__}; pass a torch.nn.Module.")
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            model = model.module
        else:
            break
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"{model.original_name} is a scripted module, whose calls cannot be seen; watch the module that was given "
            "to torch.jit."
        )
    return model


def paths_of(model: Any) -> dict[int, str]:
    """Give the path of every module by its id; the model itself is called by its type."""
    found = {id(module): path for path, module in model.named_modules()}
    name = type(model).__name__
    found[id(model)] = name if name.lower() in found.values() else name.lower()
    return found


def process_rank() -> int | None:
    """Give the rank in a distributed run, None outside one."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return None


def sharded(model: Any) -> list[Any]:
    """Find the modules to which `fully_shard` was applied."""
    return [one for one in model.modules() if hasattr(one, "set_reshard_after_backward") and hasattr(one, "reshard")]
