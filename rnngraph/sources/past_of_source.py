"""How much of its past a trained network uses, whatever it is made of.

In: a loss on a tape, or a PyTorch module with a batch. Out: a `ContextTrace`.
"""

from __future__ import annotations

from typing import Any

from rnngraph.autodiff.tensor import Tensor
from rnngraph.errors import InputError
from rnngraph.sources.target.run import is_torch_pair
from rnngraph.trace.used_past import ContextTrace


def context(
    loss: Tensor | tuple[Any, Any], *, most: int | None = None, reduce: str | None = None, only: str | None = None
) -> ContextTrace:
    """Measure the loss over kept context: 0, 1, 2, 4, ... steps of the past, and the lag in use.

    Args:
        loss: the scalar loss of a trained network, on data that it should know something of; or a PyTorch pair,
            `(module, batch)`, of which a copy is run.
        most: the longest context that is tried; by default all that the sequence has.
        reduce: `sum`, `mean` or `every` (half the sum of squares) of what a module returns, where that is no scalar: of
            losses, as an output is none.
        only: the path of a PyTorch model's recurrent module, where there are several.

    Raises:
        InputError: the loss is no scalar and no `reduce` says what makes one, is not finite, or reads many steps at
            once; or the network has no recurrence whose state can be reset.
    """
    if is_torch_pair(loss):
        from rnngraph.sources.torch.reruns.past_of_module import context_of_pair

        return context_of_pair(*loss, loss=reduce, only=only, most=most)
    from rnngraph.sources.tape.used_past import context as context_of_loss

    if not isinstance(loss, Tensor):
        raise InputError(
            f"the loss is a {type(loss).__name__}; pass the scalar Tensor that the model computed, or a PyTorch pair "
            "(module, batch)."
        )
    return context_of_loss(loss, most=most)
