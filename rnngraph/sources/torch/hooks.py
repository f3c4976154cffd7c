"""PyTorch as an optional package, and the two rules of every hook: keep a copy, return nothing."""

from __future__ import annotations

from typing import Any

from rnngraph.errors import InputError, MissingToolError


def import_torch() -> Any:
    """Import PyTorch.

    Raises:
        MissingToolError: it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingToolError("PyTorch is not installed; run: pip install 'rnngraph[torch]'") from None
    return torch


def kept(tensor: Any) -> Any:
    """Copy a tensor, so that neither in-place changes nor our reference to it matter to the run."""
    return tensor.detach().clone()


def adder(grads: dict[str, Any], key: str) -> Any:
    """Make a gradient hook that adds what passes to `grads[key]`; several backward passes add up, as `.grad` does."""

    def hook(gradient: Any) -> None:
        if gradient is None:  # an output that nothing depends on
            return
        copy = kept(gradient)
        grads[key] = copy if key not in grads else grads[key] + copy

    return hook


def unwrapped(model: Any) -> Any:
    """Take off what `torch.compile` and data parallelism wrap around a model.

    Raises:
        InputError: it is no PyTorch module.
    """
    torch = import_torch()
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"watch got a {type(model).__name__}; pass a torch.nn.Module.")
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            model = model.module
        else:
            return model
