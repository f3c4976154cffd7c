"""The batch that a checkpoint is run on: an `.npz` of arrays.

In: `--data`. Out: `Data`, with every array's shape held to the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnngraph.autodiff.contribution import Array
from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint.files import read_npz

KEYS = ("x", "tokens", "targets", "mask", "lengths", "h0", "c0", "output_grad")
_FIELDS = tuple(key for key in KEYS if key != "lengths")


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
    arrays = {name: one.read() for name, one in stored.items()}
    lengths, mask = arrays.pop("lengths", None), arrays.get("mask")
    _check_shapes(source, arrays)
    data = _batch(arrays)
    if lengths is not None:
        if mask is not None:
            raise InputError(f"{source} holds both mask and lengths; leave one of them out.")
        mask = _mask_of(source, lengths, data.shape)
    if mask is not None:
        arrays["mask"] = _checked_mask(source, mask)
    return _batch(arrays)


def _batch(arrays: dict[str, Array]) -> Data:
    x, tokens, targets, mask, h0, c0, output_grad = (arrays.get(name) for name in _FIELDS)
    return Data(x, tokens, targets, mask, h0, c0, output_grad)


def _check_shapes(source: Path, arrays: dict[str, Array]) -> None:
    main = "x" if "x" in arrays else "tokens"
    first = arrays[main]
    for name, axes in (("x", 3), ("tokens", 2), ("mask", 2), ("h0", 3), ("c0", 3), ("output_grad", 3)):
        if name in arrays and (arrays[name].ndim != axes or 0 in arrays[name].shape):
            shape = {"x": "(N, T, D)", "output_grad": "(N, T, units)"}.get(name, "(layers * directions, N, units)")
            shape = "(N, T)" if axes == 2 else shape
            raise InputError(
                f"{name} in {source} has shape {arrays[name].shape}; {shape} is needed, no size of it zero."
            )
    for name in ("mask", "output_grad", "targets"):
        fits = name not in arrays or arrays[name].shape[:2] == first.shape[:2]
        if not fits and not (name == "targets" and arrays[name].shape == first.shape[:1]):
            raise InputError(
                f"{name} in {source} has shape {arrays[name].shape} and {main} {first.shape}; they do not fit."
            )
    for name in ("tokens", "targets"):
        if name in arrays and arrays[name].dtype.kind not in "iu":
            raise InputError(f"{name} in {source} has dtype {arrays[name].dtype}; integers are needed.")
    for name in ("x", "h0", "c0", "output_grad"):
        if name not in arrays:
            continue
        if arrays[name].dtype.kind not in "fiub":
            raise InputError(f"{name} in {source} has dtype {arrays[name].dtype}; numbers are needed.")
        if not np.isfinite(arrays[name]).all():
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
