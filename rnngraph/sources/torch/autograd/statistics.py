"""Statistics that batch norm takes over samples and time at once: through them every step reaches every other.

That is no memory: at another batch they would say something else, and in evaluation nothing. In: where recurrences hand
out what they compute. Out: the operations that take them, and a way to let them stand still while losses are walked
back one by one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from rnngraph.sources.torch.autograd.edges import Edge, at_and_below, oldest, walk_down
from rnngraph.sources.torch.autograd.hooks import ours

_NORMS = frozenset({"NativeBatchNormBackward0", "CudnnBatchNormBackward0"})
_STEPWISE = 3  # uses of one norm, each of which takes the statistics of a step

NOTE = (
    "batch norm in training takes statistics over all timesteps: what reaches a step through them is in its gradient, "
    "but is no memory, and is left out of the lags"
)


def statistics_between(handed_out: Collection[Edge]) -> list[Any]:
    """Find the norms of whole sequences, and not of single steps, between edges at which recurrences hand out."""
    tops = [node for node, _ in handed_out]
    least = oldest(tops)
    some = [
        node for node in at_and_below(tops, least) if node.name() in _NORMS and getattr(node, "_saved_training", True)
    ]
    uses = Counter(_weight(node) for node in some)
    return [
        node
        for node in some
        if uses[_weight(node)] < _STEPWISE and any((below, k) in handed_out for _, below, k in walk_down([node], least))
    ]


def _weight(node: Any) -> Any:
    return node.next_functions[1][0] or node


def held(nodes: Sequence[Any]) -> contextlib.AbstractContextManager[None]:
    """Let the statistics be what they were, as in evaluation: y = (x - mean) · w / std with a constant mean and std."""
    return ours(node.register_hook(_holder(node)) for node in nodes)


def _holder(node: Any) -> Any:
    def hold(grad_inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        gradient, weight, scale = grad_outputs[0], node._saved_weight, node._saved_result2
        scale = scale if weight is None else scale * weight
        shape = [1, -1] + [1] * (node._saved_input.dim() - 2)
        return (None if gradient is None else gradient * scale.detach().reshape(shape), *grad_inputs[1:])

    return hold
