"""A callback for Lightning: `Trainer(callbacks=[MonitorCallback(every=100, folder="runs/a")])`.

In: the options of `rnngraph.torch.monitor`. Out: its traces; its scalars go to the trainer's loggers at the step that
they are of, and through `log_dict` to what else reads metrics, such as a checkpoint's name.
"""

from __future__ import annotations

from typing import Any

from rnngraph.errors import MissingToolError
from rnngraph.torch import Monitor, monitor

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    raise MissingToolError("Lightning is not installed; pip install lightning brings it.") from None


class MonitorCallback(Callback):  # type: ignore[misc]
    """Monitors the module that is fitted."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `monitor`; without `log` the trainer's loggers are told."""
        super().__init__()
        self.options = options
        self.monitor: Monitor | None = None
        self._new: dict[str, float] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Be on before the first batch."""

        def log(values: dict[str, float], step: int) -> None:
            self._new = values
            for logger in trainer.loggers:
                logger.log_metrics(values, step)

        self.monitor = monitor(pl_module, **{"log": log, "start": trainer.global_step, **self.options})

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *batch: Any, **more: Any) -> None:
        """Hand on what is new; the loggers have it already, also between two of their steps."""
        values, self._new = self._new, {}
        if values:
            pl_module.log_dict(values, logger=False, rank_zero_only=True)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take everything off."""
        if self.monitor is not None:
            self.monitor.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Take everything off, also after an exception."""
        self.on_train_end(trainer, pl_module)
