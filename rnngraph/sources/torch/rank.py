"""More than one process: sharded weights stay whole while the graph is asked, and every rank asks the same.

In: a model. Out: nothing is gathered by us; PyTorch's own engines do what they do in a backward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def process_rank() -> int | None:
    """Give the rank in a distributed run, None outside one."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return None


def sharded(model: Any) -> list[Any]:
    """Find the modules to which `fully_shard` was applied."""
    return [one for one in model.modules() if hasattr(one, "set_reshard_after_backward") and hasattr(one, "reshard")]


@contextlib.contextmanager
def every_rank_asks(model: Any) -> Iterator[None]:
    """Keep sharded weights whole while questions are asked, which all ranks must do alike."""
    yield


def keep_whole(model: Any) -> None:
    """Keep gathered weights after backward, as the kept graph needs them."""
    for one in sharded(model):
        one.set_reshard_after_backward(False)


def shard_again(model: Any) -> None:
    """Let sharded weights go back to what they were."""
    for one in sharded(model):
        one.set_reshard_after_backward(True)
        one.reshard()
