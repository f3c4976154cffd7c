"""Gradients apart by the backward pass that brought them, and which of the passes count.

In: what hooks see, several passes in a row where the user runs several. Out: one gradient for each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rnngraph.errors import InputError
from rnngraph.sources.torch.hooks import import_torch, kept


def current_pass() -> int:
    """Give the number of the backward pass under way, -1 outside one."""
    return int(import_torch()._C._current_graph_task_id())


@dataclass(slots=True)
class Arrivals:
    """What reached the tensors that one call returned."""

    found: dict[str, dict[int, Any]] = field(default_factory=dict)  # by the tensor's name, by the pass
    altered: set[str] = field(default_factory=set)  # of these a hook of the user's changed the gradient
    _before: dict[str, tuple[Any, int]] = field(default_factory=dict)  # what the hooks of the user's are given

    def watch(self, key: str, tensor: Any, keep: Callable[[Any], None]) -> None:
        """Keep the gradients of `tensor`, as they are after all hooks on it; `keep` is given every handle."""
        node, place = tensor.grad_fn, tensor.output_nr
        if node is None:
            keep(tensor.register_hook(_unsaved(lambda gradient: self._add(key, gradient))))
            return
        keep(tensor.register_hook(_unsaved(lambda gradient: self._note(key, gradient))))
        keep(node.register_prehook(lambda gradients: self._add(key, gradients[place])))

    @property
    def seen(self) -> set[int]:
        """The numbers of all passes."""
        return {number for one in self.found.values() for number in one}

    def counted(self, passes: set[int]) -> dict[str, Any]:
        """Add up the gradients of the passes that count, all where none is known to, by the tensors' names."""
        sums: dict[str, Any] = {}
        for key, arrived in self.found.items():
            wanted = [one for number, one in arrived.items() if number in passes or not passes]
            if wanted:
                sums[key] = sum(wanted[1:], start=wanted[0])
        return sums

    def _note(self, key: str, gradient: Any) -> None:
        if gradient is not None:
            self._before[key] = gradient, gradient._version

    def _add(self, key: str, gradient: Any) -> None:
        before, version = self._before.pop(key, (gradient, None))
        if gradient is None:  # an output that nothing depends on
            return
        if before is not gradient:
            if before.shape != gradient.shape or not before.nan_to_num().equal(gradient.nan_to_num()):
                self.altered.add(key)
        elif version not in (None, gradient._version):
            self.altered.add(key)
        arrived, number, copy = self.found.setdefault(key, {}), current_pass(), kept(gradient)
        arrived[number] = copy if number not in arrived else arrived[number] + copy


def counting(arrivals: Iterable[Arrivals], passes: set[int]) -> set[int]:
    """Give the passes that count among what reached a module: those that reached the weights too.

    A pass to something else, such as torch.autograd.grad with regard to the input, has no part in what a training
    step does. Nothing is given where none of `passes` reached the module.
    """
    return passes if any(one.seen & passes for one in arrivals) else set()


def several(path: str) -> InputError:
    """Say that more than one backward pass went through a module, and that nothing tells which of them count."""
    return InputError(
        f"more than one backward pass went through {path} and none of them reached its weights, so it cannot be told "
        "which of them is meant: run one loss.backward() inside the with block, and torch.autograd.grad outside it."
    )


def pass_noter(passes: set[int]) -> Any:
    """Make a gradient hook that notes the number of the pass."""
    return _unsaved(lambda gradient: passes.add(current_pass()))


def _unsaved(see: Callable[[Any], None]) -> Any:
    def hook(gradient: Any) -> None:
        see(gradient)

    hook.__torch_unserializable__ = True  # type: ignore[attr-defined]  # a saved tensor leaves it out, without a word
    return hook
