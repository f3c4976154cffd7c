"""The steps of the optimizers that train a model: all that is hooked between two measurements.

In: a model. Out: a call before the weights change and one after. PyTorch calls its hooks for every optimizer there is;
those that hold no weight of the model are passed by.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


class Steps:
    """Counts steps. With several optimizers a new step begins with the one that has stepped in it already."""

    def __init__(self, model: Any, start: int, before: Callable[[bool], None], after: Callable[[Any], None]) -> None:
        """Begin to hear.

        Args:
            model: whose weights are trained.
            start: steps that were taken earlier, such as those of a checkpoint.
            before: is called before the weights change, with whether a new step begins.
            after: is called with the optimizer once they have changed.
        """
        self.model, self.taken, self.begun = model, start, False  # `taken` before the one that is under way
        self._before, self._after = before, after
        self._known: WeakKeyDictionary[Any, tuple[int, bool]] = WeakKeyDictionary()
        self._stepped: WeakSet[Any] = WeakSet()  # in the step that is under way
        self._hooks = [register_optimizer_step_pre_hook(self._pre), register_optimizer_step_post_hook(self._post)]

    def stop(self) -> None:
        """Hear no more, and hold nobody."""
        while self._hooks:
            self._hooks.pop().remove()
        self._before = self._after = _ignore

    def _pre(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._trains(optimizer):
            return None
        begins = not self._stepped or optimizer in self._stepped
        if begins:
            self.taken += self.begun
            self.begun = True
            self._stepped.clear()
        self._stepped.add(optimizer)
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if not callable(closure):
            self._before(begins)
            return None
        # Forward and backward run inside the step, as Lightning has it; the first run is at the old weights.
        own = _Once(closure, functools.partial(self._before, begins))
        return (args, {**kwargs, "closure": own}) if "closure" in kwargs else ((args[0], own, *args[2:]), kwargs)

    def _post(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._trains(optimizer):
            self._after(optimizer)

    def _trains(self, optimizer: Any) -> bool:
        """Tell whether an optimizer holds a weight of the model; asked again once it holds more or fewer."""
        size = sum(len(group["params"]) for group in optimizer.param_groups)
        known = self._known.get(optimizer)
        if known is None or known[0] != size:
            mine = {id(one) for one in self.model.parameters()}
            known = size, not mine.isdisjoint(id(one) for group in optimizer.param_groups for one in group["params"])
            self._known[optimizer] = known
        return known[1]


def _ignore(what: object) -> None:
    """Do nothing."""


class _Once:
    """A closure with something to be done after its first run."""

    def __init__(self, closure: Callable[..., Any], then: Callable[[], None]) -> None:
        self._closure, self._then = closure, then
        self._ran = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._closure(*args, **kwargs)
        if not self._ran:
            self._ran = True
            self._then()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._closure, name)
