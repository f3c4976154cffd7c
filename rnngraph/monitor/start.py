"""The one line around nothing: `rnngraph.torch.monitor`.

In: a model and what is wanted. Out: a `Monitor` that is on, or one sentence about what cannot be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnngraph.checks import whole_number
from rnngraph.errors import InputError
from rnngraph.measure.lag_options import LagOptions
from rnngraph.monitor.folder import Folder
from rnngraph.monitor.monitor import Choices, Log, Monitor
from rnngraph.sources.torch.watch import Watch

# A look at every 100th step of a fused LSTM on the CPU then costs less than 5 % of the training.
LAGS = LagOptions(losses=16, samples=4, updates=False)


def monitor(
    model: Any,
    every: int = 100,
    folder: str | Path | None = None,
    *,
    horizon: int | None = None,
    log: Log | None = None,
    keep: int = 50,
    megabytes: float = 200.0,
    start: int = 0,
    only: str | Sequence[str] | None = None,
    lags: LagOptions = LAGS,
) -> Monitor:
    """Run along with a training: measure every n-th optimizer step, before the weights change.

    The first step is measured too. In between nothing is hooked but the optimizers' steps, and nothing of the run is
    changed. With several backward passes a step the last is measured; with several optimizers a step ends where one of
    them steps again. What goes wrong is a warning, and a note in `notes` and in the next trace.

    Args:
        model: what is trained, wrapped or not.
        every: how many steps lie between two measurements.
        folder: where the traces go, `step-000001200.npz`; made where it does not exist.
        horizon: the lag that the task needs; by default each measurement has its own.
        log: is called with numbers by name (`rnngraph/lstm/reach`) and the step, such as `wandb.log`.
        keep: how many traces stay in the folder: the first, the last, and evenly between.
        megabytes: the largest size of all of them together.
        start: steps that were taken before, where a training goes on in the folder that it began with.
        only: the path of a module, or several, where not all is wanted; see `watch`.
        lags: which part of the lag matrix is measured.

    Raises:
        InputError: something else than a module, one without weights to train, a number out of its range, or neither a
            folder nor a log.
        FileError: the folder cannot be made or written to, or holds another training.
    """
    whole_number(every, "every", least=1)
    whole_number(start, "start", least=0)
    if horizon is not None:
        whole_number(horizon, "horizon", least=1)
    if log is not None and not callable(log):
        raise InputError(f"log is {log!r}; pass a function of a dict and a step, such as wandb.log.")
    if not isinstance(lags, LagOptions):
        raise InputError(f"lags is {lags!r}; pass an rnngraph.LagOptions.")
    bare = Watch(model, only).model
    if not any(one.requires_grad for one in bare.parameters()):
        raise InputError(f"{type(bare).__name__} has no weight that is trained; pass the model that the optimizer has.")
    if folder is None and log is None:
        raise InputError("the monitor has nowhere to put what it finds; pass folder= or log=.")
    place = None if folder is None else Folder(folder, keep=keep, megabytes=megabytes, every=every, start=start)
    return Monitor(bare, Choices(every, start, (only,) if isinstance(only, str) else only, lags, horizon, place, log))
