"""How the gradient of fused layers' weights changes if it is cut into chunks of steps, as in truncated training.

In: a recording. Out: gradients by name.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rnngraph.autodiff.contribution import Array, Summed
from rnngraph.autodiff.recurrence import suffix
from rnngraph.sources.torch.fused.inside import Inside
from rnngraph.sources.torch.fused.layer_walk import arrived_at

if TYPE_CHECKING:
    from rnngraph.sources.torch.graph_recording import TorchRecording
    from rnngraph.trace.change import Change


class Chunked:
    """A pass that is cut; of it the gradients alone are known."""

    def __init__(self, gradients: Mapping[str, Array]) -> None:
        """Keep them."""
        self._gradients = gradients

    def changed(self, changes: Sequence[Change]) -> None:
        """Change nothing more."""

    def gradients(self) -> Mapping[str, Array]:
        """Give the gradients of the weights by name."""
        return self._gradients


def chunked(recording: TorchRecording, length: int) -> Chunked | None:
    """Cut one fused layer every so many steps; None of anything else, whose cut changes what reaches the others."""
    one = recording.recurrences[0]
    if len(recording.recurrences) > 1 or not one.fused or len(one.calls) > 1:
        return None
    return Chunked(_gradients(recording, length))


def whole_gradients(recording: TorchRecording) -> Mapping[str, Array]:
    """Give the gradients without a cut."""
    return _gradients(recording, 0)


def _gradients(recording: TorchRecording, length: int) -> Mapping[str, Array]:
    one = recording.recurrences[0]
    inside = recording.inside(one.calls[0])
    cut = _cut(inside, length) if length else inside
    recording.ask_whole()
    _, weights, _ = cut.walk(arrived_at(recording, inside), lend=_nobody, to_input=False)
    return {
        f"{one.path}.{name}{suffix(number, 'reverse' if d else 'forward')}": part.total
        for number, row in enumerate(weights)
        for d, some in enumerate(row)
        for name, part in some.items()
        if isinstance(part, Summed)
    }


def _cut(inside: Inside, length: int) -> Inside:
    again = copy.copy(inside)
    again.blocks = [[copy.copy(block) for block in row] for row in inside.blocks]
    for row in again.blocks:
        for block in row:
            block.cuts = frozenset(range(length, block.steps, length))
    return again


def _nobody(inner: Any) -> None:
    """Look at no window; that somebody may makes sums of the weights' parts."""
