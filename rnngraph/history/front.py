"""The two functions of this folder that are public. They load what they need when they are called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnngraph.history.compare.contrast import Comparison
    from rnngraph.history.course import History
    from rnngraph.trace.model import Trace


def history(folder: str | os.PathLike[str], *, horizon: int | None = None) -> History:
    """Say what a training did to the reach, from the folder of traces that `rnngraph.torch.monitor` filled.

    Files that are damaged, foreign, without lags or without a training step are passed by and named in `skipped`.

    Args:
        folder: the folder; every `.npz` in it is read.
        horizon: the lag that the task needs. Without one it is the median over the measurements of the lags that each
            would be judged at alone.

    Raises:
        FileError: there is no such folder, or no trace in it that can be read.
        InputError: no trace in it has lags, or the horizon is longer than the sequences.
    """
    from rnngraph.history.course import history_of

    return history_of(folder, horizon=horizon)


def compare(
    a: Trace | str | os.PathLike[str], b: Trace | str | os.PathLike[str], *, horizon: int | None = None
) -> Comparison:
    """Say what differs between two networks, two starts or two moments of one: verdict, reach, norms, gates.

    What the two do not have in common is left out, and named in `left_out`.

    Args:
        a: a trace with lags, a saved one, or a folder of a training, of which the last is taken.
        b: likewise.
        horizon: the lag that the task needs; without one the shorter of the two that each would be judged at alone.

    Raises:
        FileError: a file or folder cannot be read.
        InputError: a trace has no lags, or the two have nothing in common.
    """
    from rnngraph.history.compare.comparison import compared

    return compared(a, b, horizon=horizon)
