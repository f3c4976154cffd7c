"""The dropout masks between the layers of a PyTorch module, drawn again from the generator's state before the call.

On the CPU a recurrent layer draws one mask after every layer but the last and nothing else. cuDNN draws them inside its
kernels, where they cannot be seen. The replay's outputs are compared with PyTorch's, so a wrong mask is noticed.
"""

from __future__ import annotations

from typing import Any

from rnngraph.errors import InputError
from rnngraph.sources.torch.hooks import import_torch


def is_dropping(module: Any) -> bool:
    """Tell whether a call of this module would drop units between layers."""
    return bool(module.training and getattr(module, "dropout", 0) and getattr(module, "num_layers", 1) > 1)


def draw_masks(module: Any, output: Any, state: Any) -> tuple[Any, ...]:
    """Draw the masks of one call again.

    Args:
        module: the layer that was called.
        output: what it returned, (T, N, ·) in memory, or the data of a packed sequence.
        state: the state of the CPU's generator before the call.

    Returns:
        what each layer's output but the last's was multiplied with, in the shape of `output`.
    """
    torch = import_torch()
    swapped = module.batch_first and output.dim() == 3
    shape = output.transpose(0, 1).shape if swapped else output.shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.set_rng_state(state)
        ones = torch.ones(shape, dtype=output.dtype)
        masks = [torch.nn.functional.dropout(ones, module.dropout, training=True) for _ in range(module.num_layers - 1)]
    return tuple(mask.transpose(0, 1) if swapped else mask for mask in masks)


def refuse(path: str) -> InputError:
    """Say that the masks are not known."""
    return InputError(
        f"{path} has dropout between its layers and was in train mode, and which units were dropped cannot be seen "
        "here: watch it in eval mode, or with its dropout set to 0."
    )
