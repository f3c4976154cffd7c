"""More than one process: the rank, and weights that `fully_shard` divides, whole until the graph was asked.

In: a model. Out: nothing is gathered by us; PyTorch's own engines do what they do in a backward pass. Under
`fully_shard` the questions are asked before the weights are divided again, by every rank alike, or the gathers would
wait for each other.
"""

from __future__ import annotations

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


def keep_whole(modules: list[Any]) -> None:
    """Keep gathered weights after backward, as the kept graph needs them."""
    for one in modules:
        one.set_reshard_after_backward(False)


def divide(modules: list[Any]) -> None:
    """Divide the weights now, as the backward pass would have done."""
    for one in modules:
        one.reshard()


def let_divide(modules: list[Any]) -> None:
    """Let backward passes divide the weights again."""
    for one in modules:
        one.set_reshard_after_backward(True)
