"""The states that a user declares of a cell written by hand: what is refused, so that the trace can follow the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnngraph.errors import InputError, TapeError

if TYPE_CHECKING:
    from rnngraph.autodiff.tape import Tape
    from rnngraph.autodiff.tensor import Tensor


def check_states(tape: Tape, name: str, *, tensors: Sequence[Tensor], initial: Tensor | None) -> None:
    """Refuse what `Tape.state` says it refuses.

    A state that was computed outside its timestep would be measured as if nothing were carried back to it.
    """
    if not name or not isinstance(name, str):
        raise InputError(f"a state is named {name!r}; name it after its cell, such as 'cell.h'.")
    if not len(tensors):
        raise InputError(f"state {name!r} has no timesteps; pass one tensor a timestep.")
    for tensor in [*tensors, *([] if initial is None else [initial])]:
        if not hasattr(tensor, "tape"):
            raise InputError(f"state {name!r} got a {type(tensor).__name__}; pass one Tensor a timestep.")
        if tensor.tape is not tape:
            raise TapeError(f"state {name!r} got a tensor of another tape; make all inputs with the same Tape.")
    for t, tensor in enumerate(tensors):
        if tensor.shape != tensors[0].shape:
            raise InputError(f"state {name!r} has shape {tensors[0].shape} at step 0 and {tensor.shape} at {t}.")
    for t, tensor in enumerate(tensors):
        recorded = tensor.node.timestep
        if len(tensors) > 1 and recorded != t:
            where = "outside any timestep" if recorded < 0 else f"at timestep {recorded}"
            raise InputError(
                f"state {name!r} of step {t} was recorded {where}; compute it under `with tape.scope(t={t})`."
            )
