"""Random numbers of a time, drawn again: what the run itself draws afterwards stays what it would have been.

In: the state of a generator. Out: a context in which PyTorch's own generator of a device draws from there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def drawn_from(state: Any, device: torch.device) -> Iterator[None]:
    """Let PyTorch draw from a state, as `get_rng_state` gives it, on a GPU or on the CPU.

    On a GPU the state of another generator stands in. To set that of the run's own, to the same numbers even, makes
    cuDNN seed the dropout of its layers anew, so that the run would go on with other masks.
    """
    if device.type != "cuda":
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(state)
            yield
        return
    other, own = torch.Generator(device), torch.cuda.default_generators[device.index]
    other.set_state(state)
    before = own.graphsafe_get_state()
    own.graphsafe_set_state(other)
    try:
        yield
    finally:
        own.graphsafe_set_state(before)
