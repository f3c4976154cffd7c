"""PyTorch as an optional package, and the two rules of every hook: keep a copy, return nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, TypeVar

from rnngraph.errors import InputError, MissingToolError


def import_torch() -> Any:
    """Import PyTorch.

    Raises:
        MissingToolError: it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingToolError("PyTorch is not installed; pip install 'rnngraph[torch]' brings it.") from None
    return torch


def kept(tensor: Any) -> Any:
    """Copy a tensor, so that neither in-place changes nor our reference to it matter to the run."""
    return tensor.detach().clone()


Key = TypeVar("Key")
UNDER_FUNC = (
    "was made under a transform of torch.func, such as grad or vmap, whose gradients pass by the hooks; run the model "
    "with loss.backward() inside the with block"
)


def adder(grads: dict[Key, Any], key: Key) -> Any:
    """Make a gradient hook that adds what passes to `grads[key]`; several backward passes add up, as `.grad` does."""

    def hook(gradient: Any) -> None:
        if gradient is None:  # an output that nothing depends on
            return
        copy = kept(gradient)
        grads[key] = copy if key not in grads else grads[key] + copy

    hook.__torch_unserializable__ = True  # type: ignore[attr-defined]  # a saved tensor leaves it out, without a word
    return hook


class ModuleHook:
    """A hook on one module that stays behind when the module is copied or saved: a copy of it does nothing."""

    def __init__(self, module: Any, see: Callable[..., None]) -> None:
        """Let `see` take what the module's hooks are given; calls of any other module are ignored."""
        self._module = module
        self._see: Callable[..., None] | None = see
        _keep_apart()

    def __call__(self, module: Any, *arguments: Any) -> None:
        """Take what the module was given and returned."""
        if module is self._module and self._see is not None:
            self._see(module, *arguments)

    def remove(self) -> None:
        """See nothing more, also where a compiled model goes on calling this."""
        self._module = self._see = None

    def __reduce__(self) -> Any:
        """Become a function of Python's own that takes anything and returns None."""
        return getattr, (nullcontext(), "__exit__")

    def __deepcopy__(self, memo: Any) -> Any:
        """Become the same in a copied module."""
        return nullcontext().__exit__


@cache
def _keep_apart() -> None:
    """Keep hooks out of what torch.compile compiles; a compiled model runs its recurrent layers eagerly."""
    ModuleHook.__call__ = import_torch().compiler.disable(ModuleHook.__call__)  # type: ignore[method-assign]


def is_transformed() -> bool:
    """Tell whether a transform of torch.func is under way, whose gradients no hook sees."""
    stack = getattr(getattr(import_torch()._C, "_functorch", None), "peek_interpreter_stack", None)
    return stack is not None and stack() is not None


def autocast_dtype(device: str) -> str:
    """Give the dtype that autocast chooses on a kind of device, or nothing where it is off."""
    torch = import_torch()
    if not torch.is_autocast_enabled(device):
        return ""
    return str(torch.get_autocast_dtype(device)).removeprefix("torch.")


def is_compiled(model: Any) -> bool:
    """Tell whether torch.compile was applied to a model or to a part of it."""
    return any(hasattr(one, "_orig_mod") or getattr(one, "_compiled_call_impl", None) for one in model.modules())


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
