"""Hooks of the run's own, which act in a question as they did in the pass.

In: what PyTorch keeps hooks in: dicts of tensors and nodes, lists of modules that are called. Out: `Hooked`s. A hook
that only looked, as to log or to count, is silent while autograd is asked; one that gave another gradient belongs to
the function.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.hooks import BackwardHook


class Hooked:
    """Hooks that are looked at where they are kept, until they are left alone again."""

    def __init__(self, place: Any) -> None:
        """Look whether they change what they are given."""
        self.place, self.looked = place, {key: _Looked(hook) for key, hook in _held(place).items()}
        self.put(self.looked)

    @property
    def acting(self) -> dict[int, Any]:
        """Those that act in a question: that changed a gradient, or tell a module's hooks of it."""
        return {
            key: one.hook
            for key, one in self.looked.items()
            if one.changed or getattr(one.hook, "__module__", "") == BackwardHook.__module__
        }

    @property
    def changed(self) -> bool:
        """Whether any changed a gradient."""
        return any(one.changed for one in self.looked.values())

    def remove(self) -> None:
        """Leave them alone."""
        held = _held(self.place)
        self.put({key: self.looked[key].hook if one is self.looked.get(key) else one for key, one in held.items()})

    def act(self) -> dict[int, Any]:
        """Let those act that acted in the pass, also where they were taken off since; give those that stood there."""
        present = _held(self.place)
        self.put(self.acting)
        return present

    def put(self, hooks: dict[int, Any]) -> None:
        """Let others stand in their place."""
        _put(self.place, hooks)


class Hooks:
    """Knows where hooks are kept, and which tensors retain their gradients, as long as these live."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._dicts = weakref.WeakValueDictionary[int, Any]()
        self.modules = weakref.WeakSet[BackwardHook]()  # one a call of a module that has hooks
        self._retained: list[weakref.ref[Any]] = []

    def see(self, tensor: Any) -> None:
        """Note the hooks of a tensor."""
        if tensor._backward_hooks is not None:
            self.see_kept(tensor._backward_hooks)
        if tensor.grad_fn is not None and tensor.retains_grad:
            self._retained.append(weakref.ref(tensor))

    def see_kept(self, hooks: Any) -> None:
        """Note a dict of hooks."""
        self._dicts[id(hooks)] = hooks

    def retaining(self) -> list[weakref.ref[Any]]:
        """Give the tensors that retain their gradients."""
        self._retained = [one for one in self._retained if one() is not None]
        return self._retained

    def watched(self, tensors: Iterable[Any]) -> list[Hooked]:
        """Look at all hooks, also those of some tensors."""
        for one in tensors:
            self.see(one)
        lists = [some for one in list(self.modules) for some in (one.user_hooks, one.user_pre_hooks)]
        return [Hooked(place) for place in (*self._dicts.values(), *lists) if place]


class _Looked:
    """A hook, and whether it changed what it was given."""

    def __init__(self, hook: Any) -> None:
        self.hook, self.changed = hook, False

    def __call__(self, *given: Any) -> Any:
        known = [(one, one._version) for some in given for one in _listed(some) if isinstance(one, torch.Tensor)]
        found = self.hook(*given)
        if found is not None:
            before = next(one for one in given if not isinstance(one, torch.nn.Module))
            pairs = zip(_listed(found), _listed(before), strict=False)
            self.changed |= any(one is not own for one, own in pairs)
        self.changed |= any(one._version != version for one, version in known)
        return found


def _listed(some: Any) -> Any:
    return some if isinstance(some, tuple | list) else (some,)


def _held(place: Any) -> dict[int, Any]:
    return dict(place if isinstance(place, dict) else enumerate(place))


def _put(place: Any, hooks: dict[int, Any]) -> None:
    if isinstance(place, dict):
        place.clear()
        place.update(hooks)
    else:
        place[:] = hooks.values()


def put_first(tensor: Any, hook: Callable[[Any], None]) -> Any:
    """Put a hook of our own before all others of a tensor, which may change the gradient."""
    handle = tensor.register_hook(hook)
    own = _held(tensor._backward_hooks)
    _put(tensor._backward_hooks, {handle.id: own.pop(handle.id), **own})
    return handle
