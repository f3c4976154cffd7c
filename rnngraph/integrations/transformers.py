"""A callback for Hugging Face's Trainer: `trainer.add_callback(MonitorCallback(trainer, every=100, folder="runs/a"))`.

In: the trainer, and the options of `rnngraph.torch.monitor`. Out: its traces; its scalars go through `trainer.log`,
and so to the log history and to wherever the trainer reports.
"""

from __future__ import annotations

from typing import Any

from rnngraph.errors import MissingToolError
from rnngraph.torch import Monitor, monitor

try:
    from transformers import TrainerCallback
except ImportError:
    raise MissingToolError("Transformers is not installed; pip install 'transformers[torch]' brings it.") from None


class MonitorCallback(TrainerCallback):  # type: ignore[misc]
    """Monitors the model that is trained."""

    def __init__(self, trainer: Any, **options: Any) -> None:
        """Take the trainer and the options of `monitor`; without `log` the trainer logs."""
        self.trainer, self.options = trainer, options
        self.monitor: Monitor | None = None
        self._new: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Be on before the first batch; a training that ended in an exception has not closed its monitor."""
        self.on_train_end(args, state, control)

        def log(values: dict[str, float], step: int) -> None:
            self._new = values

        self.monitor = monitor(more["model"], **{"log": log, "start": state.global_step, **self.options})

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Log what is new, and leave it to the trainer when it logs its own."""
        values, self._new, due = self._new, {}, control.should_log
        if values:
            self.trainer.log(values)
            control.should_log = due

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Take everything off."""
        if self.monitor is not None:
            self.monitor.close()
