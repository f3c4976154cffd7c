"""A folder of traces, read one after the other in the order of the training.

In: a folder, as `rnngraph.torch.monitor` fills it. Out: every trace with its step, and who was passed by and why. What
is damaged, foreign or without a step is passed by: one bad file must not hide the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from rnngraph.diagnosis.sentences import counted
from rnngraph.errors import FileError, InputError, RnnGraphError
from rnngraph.files import is_folder, path_of
from rnngraph.history.measurement import Measurement, measured
from rnngraph.trace.model import Trace

EXAMPLE = "runs/a"
_NUMBER = re.compile(r"(\d{1,15})$")  # at the end of a name
_QUOTED = 3  # files that a message names


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was passed by."""

    name: str
    reason: str


def read_folder(place: Path, *, horizon: int | None = None) -> tuple[tuple[Measurement, ...], tuple[Skipped, ...]]:
    """Measure all traces of a folder, at a horizon or each at its own.

    Returns:
        the measurements, at least one, in the order of their steps, and what was passed by.

    Raises:
        FileError: there is no trace in it that can be read.
        InputError: none that can be measured, or the horizon is longer than all sequences.
    """
    files = trace_files(place)
    found: dict[int, Measurement] = {}
    skipped, error, longest = [], None, 0
    for file in files:
        try:
            trace = open_step(file)
            step = trace.training_step or 0
            if step in found:
                raise InputError(f"of step {step} there is another trace already, {found[step].label}.")
            # A sequence that is shorter than the horizon still says how far it reaches.
            far = horizon is not None and horizon < trace.timesteps
            found[step] = measured(trace, file.name, horizon=horizon if far else None)
            longest = max(longest, trace.timesteps)
        except RnnGraphError as caught:
            error = caught
            skipped.append(Skipped(file.name, str(caught).removeprefix(f"{file} ")))
    if not found:
        said = "; ".join(f"{one.name}: {one.reason.rstrip('.')}" for one in skipped[:_QUOTED])
        kind = FileError if isinstance(error, FileError) else InputError
        raise kind(f"of {counted(len(files), 'file')} in {place} none can be used: {said}.")
    if horizon is not None and horizon >= longest:
        raise InputError(f"the horizon is {horizon}, but the longest sequence in {place} has {longest} timesteps.")
    return tuple(found[step] for step in sorted(found)), tuple(skipped)


def folder_of(given: object) -> Path:
    """Take a folder.

    Raises:
        FileError: there is none.
    """
    place = path_of(given, example=EXAMPLE)
    if is_folder(place):
        return place
    kind = "is a file, and a folder of traces is needed" if place.exists() else "is not there"
    raise FileError(f"{str(place)!r} {kind}; name the folder that rnngraph.torch.monitor fills, such as {EXAMPLE}.")


def trace_files(place: Path) -> list[Path]:
    """List the files of a folder that may be traces.

    Raises:
        FileError: there is none, or the folder cannot be read.
    """
    try:
        every = sorted(place.iterdir())
    except OSError as error:
        raise FileError(f"{str(place)!r} cannot be read: {error.strerror or error}.") from None
    files = [file for file in every if file.suffix == ".npz" and not file.name.startswith(".")]
    if not files:
        held = counted(len(every), "other file") if every else "nothing at all"
        raise FileError(f"{str(place)!r} holds no trace (.npz), but {held}; rnngraph.torch.monitor writes them there.")
    return files


def open_step(file: Path) -> Trace:
    """Load a trace with its training step: its own, or else the number that its name ends in.

    Raises:
        FileError: it cannot be read.
        InputError: it has no step.
    """
    trace = Trace.load(file)
    if trace.training_step is not None:
        return trace
    number = _NUMBER.search(file.stem)
    if number is None:
        raise InputError("it has no training step; save it under a name that ends in one, such as step-000000100.npz.")
    return replace(trace, training_step=int(number[1]))
