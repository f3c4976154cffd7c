"""What a user hands to a tape, arrays and declared states: what is refused, so that the trace can follow the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.checks import rectangular
from rnngraph.errors import DtypeError, InputError, TapeError
from rnngraph.norms import all_finite

if TYPE_CHECKING:
    from rnngraph.autodiff.tape import Tape
    from rnngraph.autodiff.tensor import Tensor


def check_states(tape: Tape, name: str, *, tensors: Sequence[Tensor], initial: Tensor | None) -> None:
    """Refuse what `Tape.state` says it refuses.

    A state that was computed outside its timestep would be measured as if nothing were carried back to it.
    """
    if not name or not isinstance(name, str):
        raise InputError(f"a state is named {name!r}; name it after its cell, such as 'cell.h'.")
    if not isinstance(tensors, Sequence) or isinstance(tensors, str):
        raise InputError(f"state {name!r} got a {type(tensors).__name__}; pass a list of one Tensor a timestep.")
    if not len(tensors):
        raise InputError(f"state {name!r} has no timesteps; pass one tensor a timestep.")
    for tensor in [*tensors, *([] if initial is None else [initial])]:
        if not hasattr(tensor, "tape"):
            raise InputError(f"state {name!r} got a {type(tensor).__name__}; pass one Tensor a timestep.")
        if tensor.tape is not tape:
            raise TapeError(f"state {name!r} got a tensor of another tape; make all inputs with the same Tape.")
    layer, _, kind = name.rpartition(".")
    for known in tape.recurrences:
        taken = {node_id for ids in known.states.values() for node_id in ids}
        if known.stem == (layer or name) and (kind if layer else "h") in known.states:
            raise InputError(f"state {name!r} was declared already; declare it once, or take a new tape.")
        if taken.intersection(tensor.id for tensor in tensors):
            raise InputError(f"state {name!r} got states of {known.name!r}, declared already; declare them once.")
    shapes = [tensor.shape for tensor in tensors]
    for t, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise InputError(f"state {name!r} has shape {shapes[0]} at step 0 and {shape} at {t}.")
    for t, tensor in enumerate(tensors):
        recorded = tensor.node.timestep
        if len(tensors) > 1 and recorded != t:
            where = "outside any timestep" if recorded < 0 else f"at timestep {recorded}"
            raise InputError(
                f"state {name!r} of step {t} was recorded {where}; compute it under `with tape.scope(t={t})`."
            )


def declared_mask(mask: Any, name: str, size: tuple[int, int]) -> Array | None:
    """Take the declared mask of a state, (N, T) booleans."""
    if mask is None:
        return None
    found = np.asarray(mask.value if hasattr(mask, "tape") else mask)
    if found.dtype.kind != "b" or found.shape != size:
        raise InputError(
            f"the mask of state {name!r} has shape {found.shape} and dtype {found.dtype}; booleans {size} are needed."
        )
    return found


def declared_cuts(cuts: Any, name: str, size: tuple[int, int]) -> Array | None:
    """Take the declared cuts of a state: timesteps, or (N, T) booleans; give (N or 1, T) booleans."""
    if cuts is None:
        return None
    found = np.asarray(cuts)
    if found.dtype.kind == "b" and found.shape in (size, (1, size[1])):
        return found
    steps = found.reshape(-1) if found.size else np.zeros(0, np.int64)
    if steps.dtype.kind not in "iu" or ((steps < 0) | (steps >= size[1])).any():
        raise InputError(
            f"the cuts of state {name!r} are {cuts!r:.60}; pass timesteps from 0 to {size[1] - 1}, or booleans {size}."
        )
    marked = np.zeros((1, size[1]), bool)
    marked[0, steps] = True
    return marked


def checked_array(array: Any, name: str, *, finite: bool = True) -> Array:
    """Take an array from a user: not empty, numeric, and finite unless told otherwise."""
    if hasattr(array, "tape"):
        raise InputError(f"{name} is a Tensor, which is recorded already; use it as it is, or pass its .value.")
    value = rectangular(array, name)
    if value.dtype.kind not in "fiub":
        raise DtypeError(f"{name} has dtype {value.dtype}; pass floating point numbers, integers or booleans.")
    if value.size == 0:
        raise InputError(f"{name} has shape {value.shape}, which holds nothing; every size must be at least 1.")
    if finite and value.dtype.kind == "f" and not all_finite(value):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
        raise InputError(f"{name} holds {value[place]} at {place}; pass finite numbers.")
    if value.dtype == np.float16:
        value = value.astype(np.float32)
    return value
