"""A module and a batch: how it is called, and what of its output is differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnngraph.errors import InputError


def called(module: Any, batch: Any) -> Any:
    """Call a module with a batch: keywords, several arguments, or one."""
    if isinstance(batch, Mapping):
        return module(**batch)
    # A packed sequence is a tuple too, and one argument.
    if isinstance(batch, tuple | list) and not hasattr(batch, "batch_sizes"):
        return module(*batch)
    return module(batch)


def reduced(returned: Any, loss: str) -> tuple[Any, tuple[str, ...]]:
    """Take the loss that a module returned, or a reduction of its first output, with a note that says which.

    Raises:
        InputError: nothing that it returned can be differentiated.
    """
    given = returned.get("loss") if isinstance(returned, Mapping) else getattr(returned, "loss", None)
    output = _first_tensor(returned if given is None else given)
    if output is None or not output.requires_grad:
        raise InputError(
            f"the module returned {type(returned).__name__}, in which nothing can be differentiated; return a loss, "
            "or an output that depends on its parameters."
        )
    if output.numel() == 1:
        return output.sum(), ()
    text = {"sum": "the sum", "mean": "the mean", "every": "half the sum of squares"}[loss]
    note = f"the module returned no scalar: {text} of its output, {tuple(output.shape)}, was differentiated"
    return {"sum": output.sum, "mean": output.mean, "every": lambda: output.square().sum() / 2}[loss](), (note,)


def _first_tensor(value: Any) -> Any:
    pending = [value]
    while pending:
        one = pending.pop(0)
        if hasattr(one, "requires_grad") and hasattr(one, "is_floating_point"):
            if one.is_floating_point():
                return one
        elif isinstance(one, Mapping):
            pending = [*one.values(), *pending]
        elif isinstance(one, tuple | list):
            pending = [*one, *pending]
    return None
