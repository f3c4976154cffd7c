"""A folder of traces that stays small, however long the training: the first, the last, and evenly between.

In: traces, each with its training step. Out: files `step-000001200.npz`.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from rnngraph.checks import whole_number
from rnngraph.errors import FileError, InputError
from rnngraph.files import check_place
from rnngraph.trace.model import Trace

EXAMPLE = "runs/a"
_NAME = re.compile(r"step-(\d{9,})\.npz")
_MEGABYTE = 1_000_000


class Folder:
    """Traces of one training, at most `keep` of them and at most so many megabytes."""

    def __init__(self, path: object, *, keep: int, megabytes: float, every: int, start: int) -> None:
        """Make the folder, and see that it can be written to; `every` is the usual distance of two traces.

        Raises:
            InputError: a bound that is none, or no path.
            FileError: the folder cannot be made or written to, or holds the traces of another training: one that goes
                on says at which step it starts.
        """
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"folder is {path!r}; pass the path of a folder, such as {EXAMPLE!r}.")
        self.path = Path(path)
        self._keep = whole_number(keep, "keep", least=2)
        if isinstance(megabytes, bool) or not isinstance(megabytes, int | float) or not 0 < megabytes < math.inf:
            raise InputError(f"megabytes is {megabytes!r}; it must be a number above 0.")
        self._bytes, self._width = int(megabytes * _MEGABYTE), every
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.files = sorted((one for one in self.path.iterdir() if _NAME.fullmatch(one.name)), key=step_of)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            reason = error.strerror if isinstance(error, OSError) else error
            raise FileError(f"the folder {str(self.path)!r} cannot be made or read: {reason}.") from None
        check_place(self.path / file_name(0), example=EXAMPLE)
        if self.files and not start:
            raise FileError(
                f"{str(self.path)!r} holds {len(self.files)} traces of another training; name another folder, remove "
                f"them, or pass start= if this training goes on from a checkpoint."
            )

    def add(self, trace: Trace) -> None:
        """Save a trace; those of later steps are of a training that was left, and go.

        Raises:
            FileError: it cannot be written, or is larger than the whole folder may be.
        """
        step = trace.training_step or 0
        path = self.path / file_name(step)
        trace.save(path)
        for later in [one for one in self.files if step_of(one) > step]:
            self._remove(later)
        self.files = [*(one for one in self.files if one != path), path]
        self._thin()
        if _size(self.files) > self._bytes:
            size = _size([path]) / _MEGABYTE
            self._remove(path)
            raise FileError(f"the trace of step {step} takes {size:.1f} MB, more than megabytes= leaves room for.")

    def _thin(self) -> None:
        """Keep the first trace of every stretch of one length, and the last of all; double the length until it fits."""
        self._keep_firsts()
        while len(self.files) > 2 and (len(self.files) > self._keep or _size(self.files) > self._bytes):
            self._width *= 2
            self._keep_firsts()

    def _keep_firsts(self) -> None:
        kept = {step_of(one) // self._width: one for one in reversed(self.files)}
        for one in [one for one in self.files[:-1] if one not in kept.values()]:
            self._remove(one)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.files.remove(path)


def file_name(step: int) -> str:
    """Give the name of the trace of a step."""
    return f"step-{step:09d}.npz"


def step_of(path: Path) -> int:
    """Give the step that a file's name tells."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _size(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files if path.exists())
