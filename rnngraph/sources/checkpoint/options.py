"""What can be said of a checkpoint, and what is made of it.

Options come in; the loss on its tape goes out, with sentences that say what was found in the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.autodiff.tensor import Tensor

LOSSES = ("last", "sum", "mean", "every")


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """What can be said of a checkpoint that the file does not say itself."""

    weights: str
    data: str | None = None
    cell: str | None = None  # relu, where a plain recurrence is one; None: what shapes say, tanh for one block
    layer: str | None = None  # NAME,NAME for a stack; embedding=NAME, output=NAME; gates=, joined=, ..
    loss: str | None = None  # one of LOSSES; None: the targets' cross-entropy, or "last" where there are none
    text: str | None = None
    vocabulary: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loss on its tape, what was found in the file, what is wrong with it, and what a reader must know of it."""

    loss: Tensor
    found: tuple[str, ...]
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()
