"""How a module was called by the user's own code, so that a copy of it can be called the same way.

In: a call that lies in no other. Out: an `Invocation`, which runs a copy: no tensor, weight or random state of the
user's is touched.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rnngraph.sources.torch.autograd.edges import mapped
from rnngraph.sources.torch.capture.random_numbers import drawn_from


@dataclass(slots=True)
class Invocation:
    """What a module was given, and the state of the time."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    random: Any
    device_random: Any  # of the GPU, where one is in use
    autocast: tuple[tuple[str, torch.dtype], ...]

    @staticmethod
    def now(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Invocation:
        """Note a call that begins."""
        device = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        kinds = tuple((k, torch.get_autocast_dtype(k)) for k in ("cpu", "cuda") if torch.is_autocast_enabled(k))
        return Invocation(args, kwargs, torch.get_rng_state(), device, kinds)

    def replay(self, module: Any) -> Any:
        """Call a copy of the module with tensors that lead to nothing of the user's, and give what it returns."""
        args, kwargs = mapped((self.args, self.kwargs), lambda one: one.detach().requires_grad_(one.requires_grad))
        with contextlib.ExitStack() as stack:
            stack.callback(random.setstate, random.getstate())  # the user's code may draw from any of them
            stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
            stack.enter_context(warnings.catch_warnings(action="ignore"))  # the run has given them
            stack.enter_context(drawn_from(self.random, torch.device("cpu")))
            if self.device_random is not None:
                device = torch.device("cuda", torch.cuda.current_device())
                stack.enter_context(drawn_from(self.device_random, device))
            stack.enter_context(torch.enable_grad())
            for kind, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype))
            return module(*args, **kwargs)
