"""One side of a comparison: a network that was judged, under a name, and its training where it comes from a folder.

In: a trace, or the path of a saved one or of a folder. Out: a `Side`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnngraph.diagnosis.diagnose import judge, network_in
from rnngraph.diagnosis.network import Network
from rnngraph.diagnosis.report import Diagnosis
from rnngraph.errors import InputError
from rnngraph.files import is_folder, path_of
from rnngraph.history.course import History, history_of
from rnngraph.history.folder import open_step
from rnngraph.history.measurement import Measurement, measurement_of
from rnngraph.trace.model import Trace


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    label: str
    network: Network
    diagnosis: Diagnosis
    measurement: Measurement
    history: History | None  # of the training whose last measurement this is

    @property
    def trace(self) -> Trace:
        """What was recorded."""
        return self.network.trace


def side_of(given: Any, letter: str, *, horizon: int | None) -> Side:
    """Open one side; its sentences about mistakes name it by its letter.

    Raises:
        FileError: the file or folder cannot be read.
        InputError: it is no trace, or it has no lags, or the horizon is longer than its sequence.
    """
    if isinstance(given, str | os.PathLike):
        trace, label, history = _opened(path_of(given, example="run.npz"), horizon)
    else:
        trace, label, history = given, letter, None
    try:
        network = network_in(trace, horizon=horizon)
    except InputError as error:
        raise InputError(f"{letter}, {label}: {error}" if label != letter else f"{letter}: {error}") from None
    diagnosis = judge(network)
    return Side(label, network, diagnosis, measurement_of(network, diagnosis, label), history)


def _opened(path: Path, horizon: int | None) -> tuple[Trace, str, History | None]:
    if not is_folder(path):
        return Trace.load(path), str(path), None
    history = history_of(path, horizon=horizon)
    last = history.measurements[-1].label
    return open_step(path / last), f"{path}, step {history.measurements[-1].step}", history
