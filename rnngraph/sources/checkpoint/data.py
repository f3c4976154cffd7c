"""The batch that a checkpoint is run on: an `.npz` of arrays.

In: `--data`. Out: `Data`, with every array's shape held to the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import read_npz

_STATES = "(layers * directions, N, units)"
_SHAPES = {
    "x": "(N, T, D)", "tokens": "(N, T)", "targets": "(N, T)", "mask": "(N, T)", "lengths": "(N,)",
    "h0": _STATES, "c0": _STATES, "output_grad": "(N, T, units)",
}  # fmt: skip
KEYS = tuple(_SHAPES)


@dataclass(frozen=True, slots=True)
class Data:
    """One batch; `mask` is False in the padding, where the state is copied."""

    x: Array | None = None  # (N, T, D)
    tokens: Array | None = None  # (N, T)
    targets: Array | None = None  # (N, T), or (N,) for one class a sample
    mask: Array | None = None  # (N, T)
    h0: Array | None = None  # (layers * directions, N, out)
    c0: Array | None = None
    output_grad: Array | None = None  # (N, T, ·)
    labels: Sequence[str | None] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(N, T)."""
        sequence = self.tokens if self.x is None else self.x
        assert sequence is not None
        return int(sequence.shape[0]), int(sequence.shape[1])


def read_data(path: str | Path) -> Data:
    """Read a batch; no pickle is loaded.

    Raises:
        FileError: the file is no NumPy archive, or is damaged.
        InputError: a key is missing or unknown, or two shapes do not fit; the message has both.
    """
    source = Path(path)
    if not source.is_file():
        raise FileError(f"there is no data file {source}.")
    if source.suffix == ".npy":
        raise InputError(f"{source} holds one array without a name: write np.savez('data.npz', x=...), or tokens=....")
    stored = {one.name: one for one in read_npz(source)}
    found = ", ".join(stored)
    unknown = [name for name in stored if name not in KEYS]
    if unknown:
        raise InputError(f"{source} holds {unknown[0]!r}, which is no known key; the keys are {', '.join(KEYS)}.")
    if ("x" in stored) == ("tokens" in stored):
        raise InputError(f"{source} must hold either x (N, T, D) or tokens (N, T); it holds {found}.")
    arrays: dict[str, Any] = {name: one.read() for name, one in stored.items()}
    lengths, mask = arrays.pop("lengths", None), arrays.get("mask")
    _check_shapes(source, arrays)
    data = Data(**arrays)
    if lengths is not None:
        if mask is not None:
            raise InputError(f"{source} holds both mask and lengths; leave one of them out.")
        mask = _mask_of(source, lengths, data.shape)
    return data if mask is None else replace(data, mask=_checked_mask(source, mask))


def _check_shapes(source: Path, arrays: dict[str, Array]) -> None:
    main = "x" if "x" in arrays else "tokens"
    first = arrays[main]
    for name, array in arrays.items():
        shape = _SHAPES[name]
        if name != "targets" and (array.ndim != len(shape.split(",")) or 0 in array.shape):
            raise InputError(f"{name} in {source} has shape {array.shape}; {shape} is needed, no size of it zero.")
    for name in ("mask", "output_grad", "targets"):
        fits = name not in arrays or arrays[name].shape[:2] == first.shape[:2]
        if not fits and not (name == "targets" and arrays[name].shape == first.shape[:1]):
            raise InputError(
                f"{name} in {source} has shape {arrays[name].shape} and {main} {first.shape}; they do not fit."
            )
    for name, array in arrays.items():
        if name in ("tokens", "targets") and array.dtype.kind not in "iu":
            raise InputError(f"{name} in {source} has dtype {array.dtype}; integers are needed.")
        if name in ("x", "h0", "c0", "output_grad"):
            if array.dtype.kind not in "fiub":
                raise InputError(f"{name} in {source} has dtype {array.dtype}; numbers are needed.")
            if not np.isfinite(array).all():
                raise InputError(f"{name} in {source} holds NaN or infinity; give finite numbers.")


def _mask_of(source: Path, lengths: Array, shape: tuple[int, int]) -> Array:
    batch, time = shape
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu":
        raise InputError(f"lengths in {source} is {lengths.dtype} {lengths.shape}; integers ({batch},) are needed.")
    if lengths.min() < 1 or lengths.max() > time:
        place = int(np.argmax((lengths < 1) | (lengths > time)))
        raise InputError(f"lengths in {source} holds {lengths[place]} for sample {place}; 1 to {time} is possible.")
    return np.asarray(np.arange(time) < lengths[:, None])


def _checked_mask(source: Path, mask: Array) -> Array:
    kept = mask.astype(bool)
    empty = np.flatnonzero(~kept.any(axis=1))
    if empty.size:
        raise InputError(f"the mask in {source} has no true entry for sample {empty[0]}: a sequence of length zero.")
    return kept
