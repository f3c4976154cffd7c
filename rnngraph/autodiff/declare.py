"""Declare the states of a cell written by hand: what is refused, and the recurrence that the tape then knows.

In: tensors, one a timestep, and what is declared of them. Out: a `Recurrence` on the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnngraph.autodiff.checked import check_states, declared_cuts, declared_mask
from rnngraph.autodiff.recurrence import Recurrence
from rnngraph.errors import InputError
from rnngraph.trace.cell import custom_cell

if TYPE_CHECKING:
    from rnngraph.autodiff.tape import Tape
    from rnngraph.autodiff.tensor import Tensor


def declare_state(
    tape: Tape,
    name: str,
    tensors: Sequence[Tensor],
    initial: Tensor | None,
    *,
    mask: Any,
    cuts: Any,
    batch_axis: int | None,
    direction: str,
) -> None:
    """Add a state to the recurrence of its cell, or to a new one; see `Tape.state`."""
    check_states(tape, name, tensors=tensors, initial=initial)
    stem, _, kind = name.rpartition(".")
    stem, kind = (stem, kind) if stem else (name, "h")
    axis = _batch_axis(name, tensors[0].shape, batch_axis)
    size = 1 if axis is None else tensors[0].shape[axis], len(tensors)
    found = Recurrence(
        stem, custom_cell((kind,)), direction=direction, states={kind: [tensor.id for tensor in tensors]},
        initial={} if initial is None else {kind: initial.id}, batch_axis=axis,
        mask=declared_mask(mask, name, size), cuts=declared_cuts(cuts, name, size),
    )  # fmt: skip
    known = next((one for one in tape.recurrences if one.stem == stem and one.timesteps == len(tensors)), None)
    if known is None or known.cell is not None:
        tape.recurrences.append(found)
        return
    known.states |= found.states
    known.initial |= found.initial
    known.facts = custom_cell(tuple(sorted(known.states, key=lambda one: one != "h")))
    known.mask = known.mask if found.mask is None else found.mask
    known.cuts = known.cuts if found.cuts is None else found.cuts


def _batch_axis(name: str, shape: tuple[int, ...], axis: int | None) -> int | None:
    if axis is None:
        return None
    if not -len(shape) <= axis < max(len(shape), 1):
        raise InputError(f"state {name!r} has shape {shape}, which has no axis {axis}: choose its batch_axis.")
    return None if len(shape) < 2 else axis % len(shape)
